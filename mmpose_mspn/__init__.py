"""MSPN, the multi-stage pose network (Li et al., 2019, arXiv:1901.00148), for mmpose.

Importing this package registers its scope ``mmpose_mspn`` with mmengine, which imports the classes when a config names
one of them, lets torch load checkpoints of mmengine's Runner, and lets mmengine load published weights by their names,
``mmpose_mspn://…``. It changes nothing else in the program. The public names below are imported when they are used.

Shape letters in all docstrings: B samples, K keypoints, H and W rows and columns of a heatmap, h and w rows and columns
of the input crop, L kernel levels, S stages, U units of a stage. "px" means pixels of the input crop, "image px" those
of the image.
"""
import sys
from importlib import import_module

from . import compat

compat.check_versions()
compat.warn_of_other_crops()
compat.mend_torchvision()

from . import registry  # noqa: E402, F401
from .checkpoints.reader import allow_runner_classes, register_scheme  # noqa: E402
from .version import __version__  # noqa: E402

allow_runner_classes()
if 'mmengine.runner.checkpoint' in sys.modules:
    register_scheme()

_HOMES = {
    'MSPN': 'models', 'MSPNHead': 'models', 'MultiStageHeatmapLoss': 'models', 'CoarseToFineHeatmap': 'codecs',
    'accelerate': 'deploy', 'export': 'deploy', 'load': 'apis.load', 'list_models': 'checkpoints.published'
}
"""Modules of the names that are exported from here."""
_PACKAGES = ('checkpoints', 'codecs', 'datasets', 'deploy', 'engine', 'evaluation', 'models')

__all__ = [
    'MSPN', 'MSPNHead', 'MultiStageHeatmapLoss', 'CoarseToFineHeatmap', 'accelerate', 'checkpoints', 'codecs',
    'datasets', 'deploy', 'engine', 'evaluation', 'export', 'list_models', 'load', 'models', '__version__'
]


def __getattr__(name: str) -> object:
    """Import a public name at its first use (PEP 562)."""
    if name in _PACKAGES:
        return import_module(f'{__name__}.{name}')
    if name not in _HOMES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    value = globals()[name] = getattr(import_module(f'{__name__}.{_HOMES[name]}'), name)
    return value


def __dir__() -> list:
    return sorted({*globals(), *__all__})
