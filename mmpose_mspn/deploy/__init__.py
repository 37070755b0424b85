"""Trained models made ready for inference."""
from .accelerate import accelerate

__all__ = ['accelerate']
