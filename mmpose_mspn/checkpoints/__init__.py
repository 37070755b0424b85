"""Checkpoints: conversion between the layouts of the official code, of mmpose and of this package, and files."""
from .convert import LAYOUTS, convert, recognize, unpack
from .files import CheckpointError, convert_file, read_checkpoint, save_checkpoint

__all__ = [
    'CheckpointError', 'LAYOUTS', 'convert', 'convert_file', 'read_checkpoint', 'recognize', 'save_checkpoint', 'unpack'
]

recognise = recognize
"""Earlier name of :func:`recognize`."""
