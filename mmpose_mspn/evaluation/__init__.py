"""Metrics, and the files that evaluation servers take."""
from .metrics import CocoMetric, CocoWholeBodyMetric, MpiiPCKAccuracy
from .mpii_submission import MpiiSubmission

__all__ = ['CocoMetric', 'CocoWholeBodyMetric', 'MpiiPCKAccuracy', 'MpiiSubmission']
