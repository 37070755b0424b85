"""Metrics, and the files that the COCO and MPII evaluations take."""
from .mpii_submission import MpiiSubmission

__all__ = ['MpiiSubmission']
