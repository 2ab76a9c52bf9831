# The project's commands. `make help` lists them.

BIN := .venv/bin
INSTALLED := .venv/.installed
# The first Python that the project supports.
PYTHON ?= $(shell for name in python3.12 python3.13 python3.11 python3; do \
	$$name -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$name && break; done)

export DAGSTER_DISABLE_TELEMETRY := true
export MLFLOW_DISABLE_TELEMETRY := true

.DEFAULT_GOAL := help
.PHONY: help install quickstart ui studio test test-fast lint format docs clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED) ## Create .venv and install the tested set of packages

$(INSTALLED): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "no Python 3.11, 3.12 or 3.13 found; install one, or name it: make PYTHON=/path/to/python"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing into .venv; the first time this takes some minutes."
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[all,dev,docs]'
	@touch $@

quickstart: $(INSTALLED) ## From icons to a registered generator, in minutes
	@$(BIN)/python -m pipelines.run
	@$(BIN)/flowmodel summary

ui: $(INSTALLED) ## Dagster, MLflow and the studio on 127.0.0.1; Ctrl-C stops them
	@$(BIN)/python -m pipelines.ui

studio: $(INSTALLED) ## Sample in the browser, with any registered version
	@$(BIN)/flowmodel studio

# One process more than there are cores, because tests often wait for servers; four at most, for the memory.
PROCESSES := $(shell n=$$(getconf _NPROCESSORS_ONLN) && [ "$$n" -lt 3 ] && echo $$((n + 1)) || echo 4)
PYTEST := $(BIN)/python -m pytest --numprocesses $(PROCESSES) --dist loadfile --no-loadscope-reorder

test: lint ## Style, types and all tests, on one process more than there are cores
	@$(PYTEST)

test-fast: $(INSTALLED) ## Only the quick tests
	@$(PYTEST) --fast

lint: $(INSTALLED) ## Style and types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

format: $(INSTALLED) ## Format the code
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

docs: $(INSTALLED) ## The documentation as a site, in build/site
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean: ## Remove caches, but not .venv and data/store
	@rm -rf build .pytest_cache .ruff_cache .mypy_cache .hypothesis
	@find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
