# make demo   a fresh clone to a fitted model and its predictions
# make test   the tests, with coverage
# make lint   ruff and mypy
# make bench  the benchmark, side by side; writes bench/RESULTS.md

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint bench clean

# Marked by a file, so that a half-made environment is made again.
$(VENV)/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable ".[dev]"
	touch $@

demo: $(VENV)/ready
	$(BIN)/frostline demo

test: $(VENV)/ready
	$(BIN)/python -m pytest -n 2 --dist worksteal --cov --cov-report=term:skip-covered

lint: $(VENV)/ready
	$(BIN)/ruff check src tests bench docs
	$(BIN)/ruff format --check src tests bench docs
	$(BIN)/mypy

bench: $(VENV)/ready
	$(BIN)/python -m bench

clean:
	rm -rf $(VENV) runs
