"""What tools/check_data.py does: find what is wrong with the files of a dataset before a training does."""
