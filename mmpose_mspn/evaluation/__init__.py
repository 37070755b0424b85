"""Metrics, and the files that evaluation servers take."""
from .mpii_submission import MpiiSubmission

__all__ = ['MpiiSubmission']
