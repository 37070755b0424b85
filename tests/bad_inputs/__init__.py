"""Bad inputs, given to the tools in real processes: what is said, and the exit code.

    python -m tests.bad_inputs                            all cases; writes docs/bad-inputs.md
    python -m tests.bad_inputs --only images              one class, or cases whose names contain the words
    python -m tests.bad_inputs --only "a NaN coordinate" --show

``table/`` holds one row for each case. A case is judged by ``judge.py``.
"""
