"""The version of mmpose_mspn, its only home."""
__version__ = '0.1.0'
