"""What training needs beyond mmengine."""
from .amp import CPUAmpOptimWrapper
from .distributed import CPUDistributedDataParallel, prepare_launch

__all__ = ['CPUAmpOptimWrapper', 'CPUDistributedDataParallel', 'prepare_launch']
