"""Version trouble in the stack below us: the only place that knows of it.

``mmpose_mspn/__init__.py`` calls :func:`mend` before anything of mmpose is imported. Each function mends one fault
where it is present and leaves a healthy stack alone.
"""
import functools
import importlib
import importlib.util
import pickle
import sys
import threading
from importlib import metadata
from types import SimpleNamespace
from typing import Callable, Dict

import numpy as np
import torch
from mmengine.runner.checkpoint import CheckpointLoader
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
    load_weights_only()


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
    classes = runner_classes()
    if digit_version(torch.__version__) >= digit_version('2.6'):
        torch.serialization.add_safe_globals([(found, name) for name, found in classes.items()])
    else:  # it asks each class for its name
        torch.serialization.add_safe_globals(list(dict.fromkeys(classes.values())))


def runner_classes() -> Dict[str, object]:
    """What a Runner checkpoint holds besides weights, by its name in the file."""
    from mmengine.logging.history_buffer import HistoryBuffer
    # numpy 2 moved the module; the functions carry the name of their home into the file.
    if np.lib.NumpyVersion(np.__version__) >= '2.0.0':
        from numpy._core.multiarray import _reconstruct, scalar
    else:
        from numpy.core.multiarray import _reconstruct, scalar
    dtypes = {type(np.dtype(code)) for code in '?bBhHiIlLqQefdSU'}
    found = (HistoryBuffer, np.ndarray, np.dtype, *dtypes, history_method)
    classes = {f'{one.__module__}.{one.__name__}': one for one in found}
    # The name in files of pickle's protocol 2, which is torch's.
    classes['__builtin__.getattr'] = history_method
    # Files written under the other numpy name the other module.
    classes.update({f'numpy.{module}.multiarray.{function.__name__}': function
                    for function in (_reconstruct, scalar) for module in ('core', '_core')})
    return classes


def history_method(owner: type, name: str) -> Callable:
    """The one use of ``getattr`` in a Runner checkpoint: a history buffer names its methods (min, mean …).

    It stands in for ``getattr``, whose name in the file it goes by: that would hand out anything.
    """
    from mmengine.logging import HistoryBuffer
    if owner is not HistoryBuffer or name.startswith('_'):
        raise pickle.UnpicklingError(f'GLOBAL builtins.getattr of {name!r} is not one of HistoryBuffer\'s methods')
    return getattr(HistoryBuffer, name)


history_method.__module__, history_method.__qualname__, history_method.__name__ = 'builtins', 'getattr', 'getattr'


def load_weights_only() -> None:
    """Keep every checkpoint that mmengine loads, from a file or a download, from running code.

    mmengine leaves ``weights_only`` to torch, whose default is safe for files from 2.6 on, and for downloads never.
    All of mmengine's loading passes through ``CheckpointLoader``: while it is at work in a thread, torch.load is safe
    there, whatever it is asked for. Elsewhere torch.load is as before.
    """
    if hasattr(CheckpointLoader, 'weights_only'):
        return
    load, load_checkpoint = torch.load, CheckpointLoader.load_checkpoint.__func__
    here = threading.local()

    @functools.wraps(load)
    def torch_load(*args, **kwargs):
        if getattr(here, 'safe', False):
            kwargs.update(_safe_arguments())
        return load(*args, **kwargs)

    @functools.wraps(load_checkpoint)
    def safely(cls, *args, **kwargs):
        here.safe = True
        try:
            return load_checkpoint(cls, *args, **kwargs)
        finally:
            here.safe = False

    torch.load = torch_load
    CheckpointLoader.load_checkpoint = classmethod(safely)
    CheckpointLoader.weights_only = True


def _safe_arguments() -> dict:
    if hasattr(torch.serialization, 'add_safe_globals'):
        return dict(weights_only=True)
    # Before 2.4 weights_only knows no allow-list: a Runner checkpoint could not be resumed.
    return dict(weights_only=False, pickle_module=restricted_pickle())


def restricted_pickle() -> SimpleNamespace:
    """A stand-in for :mod:`pickle` that can name nothing but weights and :func:`runner_classes`."""
    allowed = {**torch._weights_only_unpickler._get_allowed_globals(), **runner_classes()}

    class Unpickler(pickle.Unpickler):

        def find_class(self, module: str, name: str) -> object:
            if f'{module}.{name}' not in allowed:
                raise pickle.UnpicklingError(f'GLOBAL {module}.{name} is on no allow-list')
            return allowed[f'{module}.{name}']

    return SimpleNamespace(
        Unpickler=Unpickler, UnpicklingError=pickle.UnpicklingError, __name__='restricted_pickle',
        load=lambda file, **arguments: Unpickler(file, **arguments).load())
