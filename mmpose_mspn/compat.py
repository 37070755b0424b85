"""Version trouble in the stack below us: the only place that knows of it.

``mmpose_mspn/__init__.py`` calls :func:`mend` before anything of mmpose is imported. Each function mends one fault
where it is present and leaves a healthy stack alone.
"""
import importlib
import importlib.util
import sys
from importlib import metadata

import numpy as np
import torch
from mmengine.utils import digit_version

# distribution: (lowest version, first version refused), and why there is an upper bound
BOUNDS = {
    'torch': ('2.1', None),
    'mmengine': ('0.7.1', '1.0'),
    'mmcv': ('2.0.1', '2.2'),
    'mmpose': ('1.3.0', '1.4'),
}


def mend() -> None:
    """Check the stack's versions and mend the faults it is known for.

    Raises:
        ImportError: A package is missing or outside its bounds.
    """
    check_versions()
    import_torchvision()
    allow_runner_checkpoints()


def check_versions() -> None:
    """Hold the installed packages against :data:`BOUNDS`.

    Raises:
        ImportError: Names what was found, what is needed and the command that mends it.
    """
    for name, (low, high) in BOUNDS.items():
        wanted = f'{name}>={low}' + (f',<{high}' if high else '')
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            lite = name == 'mmcv' and importlib.util.find_spec('mmcv')
            what = ('mmcv-lite was found, whose ops mmpose cannot do without' if lite else
                    f'{name} is not installed')
            raise ImportError(f'mmpose_mspn needs {wanted}, but {what}: pip install "{wanted}"') from None
        version = digit_version(found)
        if version < digit_version(low) or (high and version >= digit_version(high)):
            raise ImportError(f'mmpose_mspn needs {wanted}, but {name} {found} was found: pip install "{wanted}"')


def import_torchvision() -> None:
    """Import torchvision, without its ops where they do not fit the installed torch.

    mmpose's visualizer imports torchvision's transforms. A CUDA build of torchvision beside a CPU build of torch dies
    while it imports, because it describes two operators that its library would have defined. Defining their
    schemas is enough: nothing here calls them.
    """
    if importlib.util.find_spec('torchvision') is None:
        return
    try:
        importlib.import_module('torchvision')
        return
    except RuntimeError as error:
        if 'torchvision::nms' not in str(error):
            raise
    for name in [name for name in sys.modules if name.split('.')[0] == 'torchvision']:
        del sys.modules[name]
    box_op = '(Tensor dets, Tensor scores, float iou_threshold) -> Tensor'
    for name in ('nms', 'qnms'):
        torch.library.define(f'torchvision::{name}', box_op)
    importlib.import_module('torchvision')


def allow_runner_checkpoints() -> None:
    """Put the classes of a Runner checkpoint on torch's allow-list.

    From 2.6 on torch.load unpickles weights only. A checkpoint of mmengine's Runner also holds its message hub (history
    buffers, numpy scalars), without which resume fails. Just these classes are allowed: safe loading stays on.
    """
    if not hasattr(torch.serialization, 'add_safe_globals'):
        return
    from mmengine.logging.history_buffer import HistoryBuffer
    # numpy 2 moved the module; the functions carry the name of their home into the file.
    if np.lib.NumpyVersion(np.__version__) >= '2.0.0':
        from numpy._core.multiarray import _reconstruct as reconstruct
        from numpy._core.multiarray import scalar
    else:
        from numpy.core.multiarray import _reconstruct as reconstruct
        from numpy.core.multiarray import scalar
    dtypes = {type(np.dtype(code)) for code in '?bBhHiIlLqQefdSU'}
    classes = [HistoryBuffer, np.ndarray, np.dtype, reconstruct, scalar, *dtypes]
    # Files written under the other numpy name the other module: (object, its name in the file).
    aliases = [(function, f'numpy.{module}.multiarray.{function.__name__}')
               for function in (reconstruct, scalar) for module in ('core', '_core')]
    torch.serialization.add_safe_globals(classes + aliases)
