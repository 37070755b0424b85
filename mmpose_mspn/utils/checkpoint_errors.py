"""The errors of checkpoints that cannot be used."""
import pickle


class CheckpointError(ValueError):
    """A file is not a checkpoint, is not safe to load, or does not fit its model."""


class UnsafeCheckpointError(CheckpointError, pickle.UnpicklingError):
    """A checkpoint holds objects other than weights and plain values, and loading them could run code."""
