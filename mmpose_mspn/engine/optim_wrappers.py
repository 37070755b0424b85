"""Mixed precision on the CPU, for which mmengine's ``AmpOptimWrapper`` cannot be built."""
from contextlib import contextmanager
from pathlib import Path

import torch
from mmengine.optim import OptimWrapper
from torch import nn

from mmpose_mspn.registry import OPTIM_WRAPPERS

CPU_INFO = Path('/proc/cpuinfo')
BF16_FLAGS = {'avx512_bf16', 'amx_bf16'}
"""Instruction sets of x86 that multiply bf16."""


@OPTIM_WRAPPERS.register_module()
class CPUAmpOptimWrapper(OptimWrapper):
    """Runs the forward pass under bf16 autocast. bf16 has the range of float32, so the loss needs no scaling.

    Args:
        kwargs: The arguments of mmengine's ``OptimWrapper``.
    """

    @contextmanager
    def optim_context(self, model: nn.Module):
        with super().optim_context(model), torch.autocast('cpu', torch.bfloat16):
            yield


def computes_in_bf16(cpu_info: Path = CPU_INFO) -> bool:
    """Whether the CPU has instructions for bf16. Without them torch emulates bf16, which takes more time than float32.

    Args:
        cpu_info: Linux's description of the CPU; where there is none, the answer is no.
    """
    return cpu_info.exists() and not BF16_FLAGS.isdisjoint(cpu_info.read_text().split())
