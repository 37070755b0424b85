"""Compatibility fixes for the packages below this one, and the bounds of their versions.

``mmpose_mspn/__init__.py`` calls :func:`apply_fixes` before anything of mmpose is imported. Each fix is applied only
where its problem exists.
"""
import functools
import importlib
import importlib.util
import sys
import warnings
from importlib import metadata
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, Optional

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
    from .checkpoint_loaders import register_loaders  # it imports mmengine, whose version has been checked now
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
