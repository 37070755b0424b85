"""MSPN, the multi-stage pose network (Li et al., 2019, arXiv:1901.00148), for mmpose.

Importing this package applies compatibility fixes (see :mod:`mmpose_mspn.compat`), registers all its classes under the
scope ``mmpose_mspn`` and exports the public API.

Shape letters in all docstrings: B samples, K keypoints, H and W rows and columns of a heatmap, h and w rows and columns
of the input crop, L kernel levels, S stages, U units of a stage. "px" means pixels of the input crop, "image px" those
of the image.
"""
from . import compat

compat.apply_fixes()

from . import checkpoints, codecs, datasets, deploy, engine, evaluation, models  # noqa: E402
from .apis.load import load  # noqa: E402
from .codecs import CoarseToFineHeatmap  # noqa: E402
from .deploy import accelerate, export  # noqa: E402
from .models import MSPN, MSPNHead, MultiStageHeatmapLoss  # noqa: E402
from .version import __version__  # noqa: E402

__all__ = [
    'MSPN', 'MSPNHead', 'MultiStageHeatmapLoss', 'CoarseToFineHeatmap', 'accelerate', 'checkpoints', 'codecs',
    'datasets', 'deploy', 'engine', 'evaluation', 'export', 'load', 'models', '__version__'
]
