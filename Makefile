# Each target does all the set-up it needs; see README.md.
# Another set of versions, such as requirements/lowest.txt, gets an environment of its own: .venv-lowest.
PINS ?= requirements/pinned.txt
VENV ?= .venv$(patsubst %,-%,$(filter-out pinned,$(basename $(notdir $(PINS)))))
PYTHON_IN = $(VENV)/bin/python
# Processes among which the tests are divided, with one thread and up to 2 GB of memory each.
WORKERS ?= 2

.PHONY: demo test lint setup data clean

demo: setup  ## trains a small MSPN on synthetic people, measures it and draws its results: work_dirs/demo
	$(PYTHON_IN) tools/demo.py

test: setup lint  ## the test suite
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(PYTHON_IN) -m pytest -n $(WORKERS) --dist loadfile

lint: setup
	$(PYTHON_IN) -m ruff check .

setup:  ## virtual environment with every dependency, mmcv compiled once
	@PINS=$(PINS) tools/setup_env.sh $(VENV)

data: setup  ## synthetic people in data/synthetic, where the demo's configs look
	$(PYTHON_IN) tools/make_synthetic.py data/synthetic

clean:
	rm -rf $(VENV) work_dirs build *.egg-info
