"""Checkpoints: key maps between the official code's, mmpose's and our layout (dict in, dict out), and their files."""
from .convert import LAYOUTS, convert, recognize, unpack
from .files import CheckpointError, convert_file, read_checkpoint, save_checkpoint

__all__ = [
    'CheckpointError', 'LAYOUTS', 'convert', 'convert_file', 'read_checkpoint', 'recognize', 'save_checkpoint', 'unpack'
]

recognise = recognize
"""The function's earlier name."""
