"""Checkpoints: conversion between the layouts of the official code, of mmpose and of this package, and files."""
from mmpose_mspn.utils.errors import CheckpointError

from .convert import LAYOUTS, convert, recognize, unpack
from .reader import read_checkpoint, use_safe_loading

__all__ = [
    'CheckpointError', 'LAYOUTS', 'convert', 'convert_file', 'read_checkpoint', 'recognize', 'save_checkpoint',
    'unpack', 'use_safe_loading'
]

recognise = recognize
"""Earlier name of :func:`recognize`."""


def __getattr__(name: str) -> object:
    """Import what writes files at its first use, because it imports mmengine's Runner."""
    if name not in ('convert_file', 'save_checkpoint'):
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    from . import publish
    return getattr(publish, name)
