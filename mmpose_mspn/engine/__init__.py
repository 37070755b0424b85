"""What training needs beyond mmengine."""
from .amp import CPUAmpOptimWrapper
from .channels_last import ChannelsLastHook
from .distributed import CPUDistributedDataParallel, prepare_launch
from .mpii_submission import MpiiSubmission

__all__ = ['CPUAmpOptimWrapper', 'CPUDistributedDataParallel', 'ChannelsLastHook', 'MpiiSubmission', 'prepare_launch']
