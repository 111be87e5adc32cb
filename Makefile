# Every target works from a bare clone: it needs Python 3.11 to 3.13, and what it installs goes
# into .venv at the versions of requirements.lock.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
UV_VERSION := 0.13.9
BIN := .venv/bin
DEMO := demo
WORKERS ?= 2

.PHONY: help install demo test test-slow lint bench bench-loader lock clean

help:  ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# The core: build and inspect shards.
.venv/core: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else "IDOL needs Python 3.11 to 3.13, not %d.%d: set PYTHON=..." % v)'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e .
	@touch $@

# Tools for tests, on top of the core.
.venv/dev: .venv/core requirements-dev.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements-dev.lock
	@touch $@

install: .venv/core  ## Install the project into .venv

demo: .venv/core  ## Fetch footage of people, build shards from it, show them
	@$(BIN)/idol-prep weights fetch lite footage
	@$(BIN)/idol-prep build --dataset videos --source "$$($(BIN)/idol-prep weights where footage)" \
		--out $(DEMO)/shards --pose-style dwpose --workers $(WORKERS)
	@$(BIN)/idol-shards stats $(DEMO)/shards
	@$(BIN)/idol-shards show $(DEMO)/shards --output $(DEMO)/clip.png
	@echo "the picture: $(DEMO)/clip.png"

lint: .venv/dev  ## Check style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

test: lint  ## Lint, types and the fast tests (under 15 minutes on two cores)
	@$(BIN)/idol-prep weights fetch lite footage
	@$(BIN)/pytest -m "not slow and not gpu"

test-slow: .venv/dev  ## The slow tests
	@$(BIN)/idol-prep weights fetch lite footage
	@$(BIN)/pytest -m "slow and not gpu"

bench: .venv/dev  ## Benchmarks: ratios, each measured in one run
	@$(BIN)/idol-prep weights fetch lite footage
	@$(BIN)/python bench/build.py

bench-loader: .venv/dev  ## Streaming against webdataset, litdata and mosaicml-streaming
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -e ".[bench]"
	@$(BIN)/python bench/loader.py

lock:  ## Resolve the versions of pyproject.toml anew into the lock files
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--custom-compile-command "make lock" pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --extra dev \
		-c requirements.lock --custom-compile-command "make lock" pyproject.toml -o requirements-dev.lock

clean:  ## Remove the demo's output and caches; .venv stays
	rm -rf $(DEMO) .pytest_cache .mypy_cache .ruff_cache build *.egg-info
