"""Bad inputs, given to the tools in real processes: what is said, and the exit code.

    python -m tests.bad_inputs                            all cases; writes docs/bad-inputs.md, and what is said to
                                                          each of them to work_dirs/bad_inputs.json
    python -m tests.bad_inputs --only images              one class, or cases whose names contain the words
    python -m tests.bad_inputs --only "a NaN coordinate" --show

``table/`` holds one row for each case. A case is judged by ``judge.py``.
"""
