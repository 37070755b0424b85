"""Checks of the files of a dataset, which tools/check_data.py runs before a training does."""
