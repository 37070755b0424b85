"""What training needs beyond mmengine."""
from .amp import CPUAmpOptimWrapper
from .distributed import CPUDistributedDataParallel, prepare_launch
from .mpii_submission import MpiiSubmission

__all__ = ['CPUAmpOptimWrapper', 'CPUDistributedDataParallel', 'MpiiSubmission', 'prepare_launch']
