"""Errors that users cause by what they give: tools answer them in one line, without a traceback.

All of them are ``ValueError``s, so code that catches those goes on working.
"""
import pickle


class UserError(ValueError):
    """Something that the user gave cannot be used. The message names it and the remedy."""


class ConfigError(UserError):
    """A setting of a config, or settings that do not fit together."""


class DataError(UserError):
    """An annotation file, a file of boxes or an image."""


class OutputError(UserError, OSError):
    """A file or a folder that results cannot be written to."""


class CheckpointError(UserError):
    """A file is not a checkpoint, is not safe to load, or does not fit its model."""


class DownloadError(CheckpointError):
    """A checkpoint cannot be downloaded."""


class UnsafeCheckpointError(CheckpointError, pickle.UnpicklingError):
    """A checkpoint holds objects other than weights and plain values, and loading them could run code."""


class MissingPackageError(UserError, ImportError):
    """A package that an option needs is not installed."""


class UnknownArgumentError(UserError, TypeError):
    """An argument that a class does not have."""
