"""Copies of modules that share their weights."""
import copy

from torch import nn


def shallow_copy(module: nn.Module) -> nn.Module:
    """The same weights and submodules, which can be replaced without a change to the original."""
    copied = copy.copy(module)
    copied._modules = dict(module._modules)
    return copied
