"""The bounds of the versions of the packages below this one, and what an unfit torchvision needs."""
import importlib.util
import sys
import warnings
from importlib import metadata

import torch
from mmengine.utils import digit_version

# distribution: (lowest version, first version refused or None)
BOUNDS = {
    'torch': ('2.1', None),
    'mmengine': ('0.10.4', '1.0'),
    'mmcv': ('2.1.0', '2.2'),  # 2.0 compiles as C++14, and torch 2.1 refuses less than C++17
    'mmpose': ('1.3.2', '1.4'),
}


def check_versions() -> None:
    """Compare the installed packages with :data:`BOUNDS`.

    Raises:
        ImportError: A package is missing or outside its bounds. The message names the version that was found, the
            versions that are needed and the command that installs one of them.
    """
    for name, (low, high) in BOUNDS.items():
        wanted = f'{name}>={low}' + (f',<{high}' if high else '')
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            lite = name == 'mmcv' and importlib.util.find_spec('mmcv')
            what = 'mmcv-lite was found, which lacks the ops that mmpose needs' if lite else f'{name} is not installed'
            raise ImportError(f'mmpose_mspn needs {wanted}, but {what}: pip install "{wanted}"') from None
        version = digit_version(installed)
        if version < digit_version(low) or (high and version >= digit_version(high)):
            raise ImportError(f'mmpose_mspn needs {wanted}, but {name} {installed} was found: pip install "{wanted}"')


def warn_of_other_crops() -> None:
    """Say that an OpenCV outside of the requirements cuts other crops: ``warpAffine`` of OpenCV 5 rounds otherwise."""
    import cv2
    if digit_version(cv2.__version__) >= digit_version('5.0'):
        warnings.warn(
            f'OpenCV {cv2.__version__} cuts other crops than OpenCV 4, with which models are trained and compared, so '
            'keypoints move (docs/compatibility.md): pip install "opencv-python<4.12"', stacklevel=2)


def mend_torchvision() -> None:
    """Define the schemas of two operators where torchvision cannot be imported beside the installed torch without them.

    mmpose imports torchvision. The import of a CUDA build of it beside a CPU build of torch fails, because it describes
    two operators that its library would have defined. Their schemas are enough: nothing in mmpose's 2D code calls them.
    Builds of one kind, which have the same local version (``+cpu``, or none), fit and are not imported here.
    """
    try:
        kinds = {metadata.version(name).partition('+')[2] for name in ('torch', 'torchvision')}
    except metadata.PackageNotFoundError:
        return
    if len(kinds) == 1 or 'torchvision' in sys.modules:
        return
    try:
        import torchvision  # noqa: F401
    except RuntimeError as error:
        if 'torchvision::nms' not in str(error):
            raise
        for name in [name for name in sys.modules if name.startswith('torchvision.')]:
            del sys.modules[name]
        for name in ('nms', 'qnms'):
            torch.library.define(f'torchvision::{name}', '(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')
