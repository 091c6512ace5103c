# Every command does its own set-up. Start with: make help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-all check bench coverage docs fix clean

WORKERS ?= 2
bin := .venv/bin
# A file stays with one worker, so that what its tests share is made once.
pytest := $(bin)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

# Nothing may depend on the order of a hash table: every run has another one.
export PYTHONHASHSEED := random
# The virtual environment holds all that is used; what another one exported stays out of it.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

demo: .venv/.ready-runtime ## the story on two hospitals' backups, from contribution to release
	@$(bin)/asepsis demo --replace $(ARGS)

test: check system-packages ## set-up, static gates, every test that is not long
	@$(pytest) -m "not long" $(ARGS)

test-all: check system-packages ## the same with more examples, and the long tests
	@HYPOTHESIS_PROFILE=thorough $(pytest) $(ARGS)

check: .venv/.ready-dev ## static gates: ruff, mypy --strict, layer contracts
	@$(bin)/ruff check --quiet
	@$(bin)/ruff format --check --quiet || { echo "not formatted (make fix):"; $(bin)/ruff format --check; }
	@$(bin)/mypy --no-error-summary
	@$(bin)/lint-imports --no-cache --no-logo > .venv/layers.log 2>&1 || { cat .venv/layers.log; exit 1; }
	@scripts/long_files.sh
	@echo "check: ruff, mypy and layer contracts passed"

bench: .venv/.ready-dev ## benchmarks/bench_*.py: each prints ratios to a baseline of the same run
	@ls benchmarks/bench_*.py >/dev/null 2>&1 || { echo "there is no benchmarks/bench_*.py here" >&2; exit 1; }
	@for bench in benchmarks/bench_*.py; do echo "== $$bench"; $(bin)/python "$$bench"; done

coverage: .venv/.ready-dev system-packages ## branch coverage of the tests that are not long
	@$(pytest) -m "not long" --cov --cov-branch --cov-report=term:skip-covered $(ARGS)

docs: .venv/.ready-dev ## write the generated reference pages again
	@$(bin)/python scripts/generate_reference.py

fix: .venv/.ready-dev ## let ruff repair and format what it can
	@$(bin)/ruff check --fix --quiet || true
	@$(bin)/ruff format --quiet

clean: ## remove the environment, caches and the demo's folder
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.* htmlcov dist demo
	@find src tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: system-packages
system-packages:
	@scripts/debian_packages.sh

.venv/.ready-runtime: requirements/runtime.txt pyproject.toml scripts/setup.sh
	@scripts/setup.sh runtime

.venv/.ready-dev: requirements/dev.txt pyproject.toml scripts/setup.sh
	@scripts/setup.sh dev
