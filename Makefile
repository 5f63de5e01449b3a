# `make train`: environment, install, the main job on the bundled census data.
# `make test`: environment, install, lint, types, tests.
# `make test-long`: the long tests that `make test` leaves out.
# `make test-lowest`: the export tests with the lowest versions that setup.py allows.
# `make docs`: the documentation site, in site/.

PYTHON ?= python3
VENV ?= .venv
LOWEST ?= .venv-lowest
BIN := $(VENV)/bin
RUN ?= $(shell n=1; while [ -e runs/census-$$n ]; do n=$$((n + 1)); done; echo runs/census-$$n)
# TensorFlow's start-up notes hide what a command says.
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: train test test-long test-lowest lint types docs bench bench-peers bench-servers clean

train: $(VENV)/installed
	$(BIN)/python -m tfwd.train --config census --output $(RUN)
	@echo "Here python is $(BIN)/python: run . $(BIN)/activate first."

test: $(VENV)/installed-test lint types
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-long: $(VENV)/installed-test
	$(BIN)/python -m pytest -m long

# The export tests with the lowest version of everything that setup.py allows, in an environment of its own.
test-lowest: $(LOWEST)/installed
	$(LOWEST)/bin/python -m pytest tests/export tests/inference/test_scorer.py tests/cli/test_exporting.py

lint: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed-test
	$(BIN)/mypy

# The theme notes at every build that its maintenance ends, which setup.py says once.
docs: $(VENV)/installed-docs
	$(BIN)/python docs/site/pages.py build/pages
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "The site is in site/. To read and search it: $(BIN)/python -m http.server --directory site"

bench: $(VENV)/installed-bench
	$(BIN)/python -m benchmarks.table_size --picture docs/images/table_size.png
	$(BIN)/python -m benchmarks.batch_size --picture docs/images/batch_size.png
	$(BIN)/python -m benchmarks.stages
	$(BIN)/python -m benchmarks.throughput
	$(BIN)/python -m benchmarks.metric_cost
	$(BIN)/python -m benchmarks.equivalence
	$(BIN)/python -m benchmarks.start_up
	$(BIN)/python -m benchmarks.analysis
	$(BIN)/python -m benchmarks.memory
	$(BIN)/python -m benchmarks.prediction
	$(BIN)/python -m benchmarks.latency
	$(BIN)/python -m benchmarks.onnx_size
	$(BIN)/python -m benchmarks.census

# Makes an environment for every peer (about 9 GB) and needs a Python 3.11; half an hour on 2 cores.
bench-peers: $(VENV)/installed-bench
	$(BIN)/python -m benchmarks.peers.setup
	$(BIN)/python -m benchmarks.peers --picture docs/images/peers.png --document docs/benchmarks.md

# Makes an environment for every server (about 5 GB) and needs a Python 3.11 and wrk; an hour on 2 cores.
bench-servers: $(VENV)/installed-bench
	$(BIN)/python -m benchmarks.servers.setup
	$(BIN)/python -m benchmarks.servers --document docs/benchmarks.md

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("tfwd needs Python 3.11 or newer, this is " + sys.version) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: setup.py pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/installed-test: setup.py pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@ $(VENV)/installed

$(LOWEST)/installed: setup.py tests/lowest.py
	$(PYTHON) -m venv $(LOWEST)
	$(PYTHON) tests/lowest.py > $(LOWEST)/lowest.txt
	$(LOWEST)/bin/python -m pip install --quiet --editable '.[test]' --constraint $(LOWEST)/lowest.txt
	touch $@

$(VENV)/installed-bench: setup.py pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	touch $@

$(VENV)/installed-docs: setup.py pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	touch $@ $(VENV)/installed

clean:
	rm -rf $(VENV) $(LOWEST) build dist site *.egg-info .mypy_cache .ruff_cache .hypothesis
