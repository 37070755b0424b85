"""What the machine's processor can do."""
from pathlib import Path

CPU_INFO = Path('/proc/cpuinfo')
BF16_FLAGS = {'avx512_bf16', 'amx_bf16'}
"""Instruction sets of x86 that multiply bf16."""


def computes_in_bf16(cpu_info: Path = CPU_INFO) -> bool:
    """Whether the CPU has instructions for bf16. Without them torch emulates bf16, which takes more time than float32.

    Args:
        cpu_info: Linux's description of the CPU; where there is none, the answer is no.
    """
    return cpu_info.exists() and not BF16_FLAGS.isdisjoint(cpu_info.read_text().split())
