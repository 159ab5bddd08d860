# What a person or CI does with this repository. Bare `make` prints it.
.DEFAULT_GOAL := help
.PHONY: help install demo test reliability lint types bench lock clean
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
sum = $(shell $(1) | cksum | cut -d' ' -f1)
HERE := $(call sum,pwd)
# What is installed is told by the names of two stamps, so that a touched, moved or half-made .venv is seen.
LOCKED := .venv/.locked-$(HERE)-$(call sum,cat requirements/dev.txt)
EDITABLE := $(LOCKED)-$(call sum,cat pyproject.toml)
LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate $(UPGRADE)

help: ## Print the targets and what they do
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16

install: $(EDITABLE) ## Make .venv from the hash-locked requirements (once)

demo: install ## Simulate a shop, train, serve, show slates; up until Ctrl-C (ONCE=1: ends by itself)
	@$(BIN)/rihla demo $(if $(ONCE),--once)

test: install ## Run every test; real data with RIHLA_DATASETS=DIR
	@$(BIN)/python -m pytest --numprocesses 2 --no-loadscope-reorder $(ARGS)

reliability: install ## Inject every fault at full length; a table of targets and figures
	@RELIABILITY=full $(BIN)/python -m pytest tests/reliability $(ARGS)

lint: install ## Check style, formatting, the direction of imports and the Dockerfile
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/hadolint Dockerfile

types: install ## Check types (mypy, strict)
	@$(BIN)/mypy

bench: install ## Measure the budgets: a table, no pass or fail
	@$(BIN)/python -m benchmarks $(ARGS)

lock: install ## Renew requirements/*.txt from pyproject.toml (UPGRADE=--upgrade: to the newest)
	@$(LOCK) pyproject.toml --all-extras --output-file requirements/dev.txt
	@$(LOCK) pyproject.toml --extra service --constraints requirements/dev.txt --output-file requirements/service.txt
	@$(LOCK) pyproject.toml --extra training --constraints requirements/dev.txt --output-file requirements/training.txt
	@echo hatchling | $(LOCK) - --constraints requirements/dev.txt --output-file requirements/build.txt
	@for python in 3.11 3.12 3.13 3.14; do for platform in x86_64-manylinux_2_28 aarch64-manylinux_2_28 aarch64-apple-darwin; do \
	  $(BIN)/uv pip compile --quiet --only-binary :all: --no-binary pyspark requirements/dev.txt >/dev/null \
	    --python-version $$python --python-platform $$platform || exit 1; \
	  echo "ready wheels for Python $$python on $$platform"; done; done

clean: ## Remove .venv, var and every cache
	@rm -rf .venv var build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(LOCKED):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Rihla needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.13 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Installing into .venv, from requirements/dev.txt (a minute or two, once)"
	@if [ -L .venv ]; then rm .venv; fi # a link to another checkout's, which would be emptied
	@ls .venv/.locked-$(HERE)-* >/dev/null 2>&1 && $(BIN)/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear .venv
	@rm -f .venv/.locked-*
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@

$(EDITABLE): $(LOCKED)
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@rm -f $(LOCKED)-*
	@touch $@
