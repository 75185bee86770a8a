# make demo: train on drawn scenes and caption pictures.   make test: the tests.
PYTHON ?= python3
BIN := .venv/bin

# The matrices here are small: one BLAS thread is about as fast as two, and does not stall where
# other programs use the processor too.
export OPENBLAS_NUM_THREADS ?= 1

.PHONY: demo test test-all check bench clean

.venv/installed: setup.cfg
	$(PYTHON) -c "import sys; sys.exit('Python 3.10 or newer is needed' if sys.version_info < (3, 10) else 0)"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet -e '.[fast]'
	touch $@

.venv/installed-test: .venv/installed
	$(BIN)/pip install --quiet -e '.[test]'
	touch $@

demo: .venv/installed
	$(BIN)/python train.py
	$(BIN)/python -m minichain.datasets.scenes result/scenes/pictures
	$(BIN)/python generate.py result/scenes/pictures --beam 5 --n-best 3 --out result/scenes/captions
	@echo 'look at result/scenes: loss.png, samples.html, test.png and captions/captions.html'

test: .venv/installed-test
	$(BIN)/python -m pytest -m 'not slow'

test-all: .venv/installed-test
	$(BIN)/python -m pytest

check: .venv/installed-test
	$(BIN)/ruff check

# A few minutes. All cases and what they need: .venv/bin/python -m benchmarks --help. Peers that are
# to be compared with: .venv/bin/pip install -e '.[peers]'
bench: .venv/installed
	$(BIN)/python -m benchmarks --threads 2

clean:
	rm -rf .venv build dist *.egg-info
