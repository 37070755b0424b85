"""Faults in real training runs and checkpoint files, and what is lost.

    python -m tests.faults [--kills 100] [--seed 0] [--out docs/faults.md]

Without a GPU, about 40 minutes on two cores. ``lab.py`` starts the runs, ``rows.py`` injects the faults.
"""
