"""Key maps between the official code's, mmpose's and our checkpoints: dict in, dict out."""
from .convert import LAYOUTS, convert, recognise, unpack

__all__ = ['LAYOUTS', 'convert', 'recognise', 'unpack']
