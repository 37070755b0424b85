"""Compatibility fixes for the packages below this one: the only place that knows about their versions.

``mmpose_mspn/__init__.py`` calls :func:`apply_fixes` before anything of mmpose is imported. Each fix is applied only
where its problem exists.
"""
import functools
import importlib
import importlib.util
import pickle
import sys
import threading
import warnings
from collections import Counter
from contextlib import contextmanager
from importlib import metadata
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import IO, Any, Callable, Dict, Iterator, Optional, Union

import numpy as np
import torch
from mmengine.utils import digit_version

from .on_demand import import_libraries, stand_ins

# distribution: (lowest version, first version refused or None)
BOUNDS = {
    'torch': ('2.1', None),
    'mmengine': ('0.7.4', '1.0'),  # earlier, checkpoints are not written as the checkpoint hook says
    'mmcv': ('2.1.0', '2.2'),  # 2.0 compiles as C++14, and torch 2.1 refuses less than C++17
    'mmpose': ('1.3.0', '1.4'),
}


def apply_fixes() -> None:
    """Check the installed versions, make torchvision importable, import mmengine and mmpose without what few processes
    need of them, and let mmengine load checkpoints safely, build optimizers that old versions of torch cannot fuse, and
    find the package's configs.

    Raises:
        ImportError: A package is missing or outside its bounds.
    """
    check_versions()
    warn_of_other_crops()
    mend_torchvision()
    import_libraries()
    from .checkpoint_loaders import register_loaders  # it imports this module
    register_loaders()
    from .fused_optimizers import register_unfused_optimizers
    register_unfused_optimizers()
    name_package_in_configs()


def check_versions() -> None:
    """Compare the installed packages with :data:`BOUNDS`.

    Raises:
        ImportError: A package is missing or outside its bounds. The message names the version that was found, the
            versions that are needed and the command that installs one of them.
    """
    for name, (low, high) in BOUNDS.items():
        wanted = f'{name}>={low}' + (f',<{high}' if high else '')
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            lite = name == 'mmcv' and importlib.util.find_spec('mmcv')
            what = 'mmcv-lite was found, which lacks the ops that mmpose needs' if lite else f'{name} is not installed'
            raise ImportError(f'mmpose_mspn needs {wanted}, but {what}: pip install "{wanted}"') from None
        version = digit_version(found)
        if version < digit_version(low) or (high and version >= digit_version(high)):
            raise ImportError(f'mmpose_mspn needs {wanted}, but {name} {found} was found: pip install "{wanted}"')


def warn_of_other_crops() -> None:
    """Say that an OpenCV outside of the requirements cuts other crops: ``warpAffine`` of OpenCV 5 rounds otherwise."""
    import cv2
    if digit_version(cv2.__version__) >= digit_version('5.0'):
        warnings.warn(
            f'OpenCV {cv2.__version__} cuts other crops than OpenCV 4, with which models are trained and compared, so '
            'keypoints move (docs/compatibility.md): pip install "opencv-python<4.12"', stacklevel=2)


def mend_torchvision() -> None:
    """Let the first import of torchvision leave its operators out where they do not fit the installed torch.

    mmpose's visualizer and mmengine's Runner import torchvision, most other processes do not. With a CUDA build of
    torchvision beside a CPU build of torch, its import fails, because it describes two operators that its library would
    have defined. It is enough to define their schemas: nothing in this package or in mmpose's 2D code calls them.
    """
    if 'torchvision' not in sys.modules and not any(isinstance(one, _TorchvisionFinder) for one in sys.meta_path):
        sys.meta_path.insert(0, _TorchvisionFinder())


class _TorchvisionFinder(MetaPathFinder):
    """Finds torchvision as Python does, to be run by :class:`_TorchvisionLoader`."""

    looks = False

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Optional[ModuleSpec]:
        if name != 'torchvision' or self.looks:
            return None
        self.looks = True  # the other finders are asked
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self.looks = False
        if spec is not None and spec.loader is not None:
            spec.loader = _TorchvisionLoader(spec.loader)
        return spec


class _TorchvisionLoader(Loader):
    """Runs torchvision's package again with the schemas of its operators where it has failed without them."""

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> Optional[ModuleType]:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = module.__spec__.loader = self.loader
        with stand_ins({'torch._dynamo.utils': ('is_compile_supported', )}):  # torch's compiler, for one operator
            try:
                self.loader.exec_module(module)
                return
            except RuntimeError as error:
                if 'torchvision::nms' not in str(error):
                    raise
            for name in [name for name in sys.modules if name.startswith('torchvision.')]:
                del sys.modules[name]
            schema = '(Tensor dets, Tensor scores, float iou_threshold) -> Tensor'
            for name in ('nms', 'qnms'):
                torch.library.define(f'torchvision::{name}', schema)
            self.loader.exec_module(module)


PACKAGE = __name__.split('.')[0]


def name_package_in_configs() -> None:
    """Let configs anywhere have a base of this package: ``_base_ = 'mmpose_mspn::…'``, as with ``'mmpose::…'``.

    mmengine knows the packages of OpenMMLab alone, and looks for their ``.mim`` folders in site-packages, where an
    editable installation has nothing. The base gets no scope of its own: types of this package carry its name anyway.

    A base of mmpose is found beside mmpose's code. mmengine would ask ``pkg_resources``, which it imports anew for each
    of them, in half a second, and which setuptools no longer has.
    """
    import mmpose
    from mmengine.config import Config
    of_others = Config._get_cfg_path
    if getattr(of_others, 'knows', None) == PACKAGE:
        return

    @functools.wraps(of_others)
    def get_cfg_path(cfg_path: str, filename: str) -> tuple:
        package, _, name = cfg_path.partition('::')
        if package == 'mmpose':
            path = Path(mmpose.__file__).parent / '.mim' / 'configs' / name
            return (str(path), package) if path.is_file() else of_others(cfg_path, filename)
        if package != PACKAGE:
            return of_others(cfg_path, filename)
        path = Path(__file__).parent / '.mim' / 'configs' / name
        if not path.is_file():
            raise FileNotFoundError(f'{cfg_path} does not exist: docs/models.md lists the configs')
        return str(path), None

    get_cfg_path.knows = PACKAGE
    Config._get_cfg_path = staticmethod(get_cfg_path)


def load_safely(file: Union[str, IO[bytes]], map_location: Any = None) -> Any:
    """``torch.load`` that runs no code from the file, on every supported version of torch.

    A file may hold weights, plain Python values and the classes of :func:`runner_classes`. Those are on torch's
    allow-list, which the whole process shares, only during the call.

    Args:
        file: Path or binary file object.
        map_location: As for ``torch.load``.

    Raises:
        pickle.UnpicklingError: The file holds anything else.
    """
    if not hasattr(torch.serialization, 'add_safe_globals'):
        # Before torch 2.4, weights_only=True has no allow-list, and Runner checkpoints could not be resumed.
        return torch.load(file, map_location, weights_only=False, pickle_module=restricted_pickle())
    with _allowed_in_checkpoints(runner_globals()):
        return torch.load(file, map_location, weights_only=True)


_ALLOW_LIST_LOCK = threading.RLock()


@contextmanager
def _allowed_in_checkpoints(entries: list) -> Iterator[None]:
    """Extend torch's allow-list for ``weights_only=True`` by ``entries`` for the duration of the block."""
    with _ALLOW_LIST_LOCK:  # or a thread that finishes would shorten the list of one that still loads
        added = set(entries) - set(torch.serialization.get_safe_globals())
        torch.serialization.add_safe_globals(list(added))
        try:
            yield
        finally:
            # Not the list from before: torch's own modules extend it when they are imported.
            kept = [entry for entry in torch.serialization.get_safe_globals() if entry not in added]
            torch.serialization.clear_safe_globals()
            torch.serialization.add_safe_globals(kept)


def runner_globals() -> list:
    """:func:`runner_classes` in the form that the installed torch's allow-list takes."""
    classes = runner_classes()
    if digit_version(torch.__version__) >= digit_version('2.6'):
        return [(found, name) for name, found in classes.items()]
    return list(dict.fromkeys(classes.values()))  # torch 2.4 and 2.5 read the name from the class


def runner_classes() -> Dict[str, Any]:
    """Classes and functions that a checkpoint of mmengine's Runner holds besides weights, by their names in the file.

    The Runner saves its message hub, history buffers and numpy scalars, which resuming needs, and the metainfo of the
    dataset with its arrays.
    """
    from mmengine.logging.history_buffer import HistoryBuffer
    # numpy 2 renamed the module, and the functions' names in a file are those of the numpy that wrote it.
    if np.lib.NumpyVersion(np.__version__) >= '2.0.0':
        from numpy._core.multiarray import _reconstruct, scalar
    else:
        from numpy.core.multiarray import _reconstruct, scalar
    # All types of numpy. The elements of an array of objects are read by the same unpickler.
    dtypes = {type(np.dtype(code)) for code in np.typecodes['All']}
    found = (HistoryBuffer, np.ndarray, np.dtype, *dtypes, history_method, empty_bytes)
    classes = {f'{one.__module__}.{one.__name__}': one for one in found}
    # The names of builtins.getattr and builtins.bytes in pickle's protocol 2, which torch writes.
    classes['__builtin__.getattr'] = history_method
    classes['__builtin__.bytes'] = empty_bytes
    classes.update({f'numpy.{module}.multiarray.{function.__name__}': function
                    for function in (_reconstruct, scalar) for module in ('core', '_core')})
    return classes


def history_method(owner: type, name: str) -> Callable:
    """Stand-in for ``getattr`` in checkpoints, limited to the public methods of a history buffer.

    A pickled history buffer refers to its own methods (``min``, ``mean``, …) by ``getattr``. The real ``getattr``
    would give a file access to any object.
    """
    from mmengine.logging import HistoryBuffer
    if owner is not HistoryBuffer or name.startswith('_'):
        raise pickle.UnpicklingError(f'GLOBAL builtins.getattr of {name!r} is not one of HistoryBuffer\'s methods')
    return getattr(HistoryBuffer, name)


history_method.__module__, history_method.__qualname__, history_method.__name__ = 'builtins', 'getattr', 'getattr'


def empty_bytes(*arguments: object) -> bytes:
    """Stand-in for ``bytes`` in checkpoints, which protocol 2 calls without arguments for the data of empty arrays.

    The real ``bytes`` would let a file of a few bytes ask for any amount of memory.
    """
    if arguments:
        raise pickle.UnpicklingError('GLOBAL builtins.bytes with arguments is not on the allow-list')
    return b''


empty_bytes.__module__, empty_bytes.__qualname__, empty_bytes.__name__ = 'builtins', 'bytes', 'bytes'


def latin1(text: str, encoding: str) -> bytes:
    """Stand-in for ``_codecs.encode``, by which pickle's protocol 2 writes bytes, such as those of a numpy scalar."""
    if encoding != 'latin1':
        raise pickle.UnpicklingError(f'GLOBAL _codecs.encode with {encoding!r} is not on the allow-list')
    return text.encode('latin1')


def restricted_pickle() -> SimpleNamespace:
    """Replacement for the :mod:`pickle` module whose unpickler finds only weights and :func:`runner_classes`."""
    # The list of torch 2.1 lacks these two, of which every Runner checkpoint has the first, and schedules by steps
    # the second.
    allowed = {**torch._weights_only_unpickler._get_allowed_globals(), **runner_classes(), '_codecs.encode': latin1,
               'collections.Counter': Counter}

    class Unpickler(pickle.Unpickler):

        def find_class(self, module: str, name: str) -> Any:
            if f'{module}.{name}' not in allowed:
                raise pickle.UnpicklingError(f'GLOBAL {module}.{name} is not on the allow-list')
            return allowed[f'{module}.{name}']

    return SimpleNamespace(
        Unpickler=Unpickler, UnpicklingError=pickle.UnpicklingError, __name__='restricted_pickle',
        load=lambda file, **arguments: Unpickler(file, **arguments).load())
