# Everything runs in .venv, which the first target that needs it makes with nothing but Python and pip.
# PYTHON=python3.13 picks the interpreter for a new .venv; ARGS="-k drain" is handed to what a target runs.

PYTHON ?= python3
ARGS ?=
PAGE ?=

BIN := .venv/bin
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check
# One stamp for each kind of install. A development install holds the other one too, so it touches both.
VENV := .venv/.made
RUN := .venv/.installed
DEV := .venv/.installed-dev
BENCH := .venv/.installed-bench

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test lint docs reference soak bench lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

demo: $(RUN) ## run the demo
	$(BIN)/python examples/demo.py $(ARGS)

test: $(DEV) ## run the tests, with sampled counts
	$(BIN)/python -m pytest -n 2 -q $(ARGS)

lint: $(DEV) ## ruff, mypy and the floors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

reference: $(DEV) ## write docs/reference anew from the code
	$(BIN)/python -m tools.reference

docs: $(DEV) ## build the site of the documentation into site/
	$(BIN)/python -m zensical build --strict --clean
	@echo "open site/index.html; its search needs a server: $(BIN)/python -m http.server -d site"

soak: $(DEV) ## run the tests with full counts
	EVOX_SOAK=1 $(BIN)/python -m pytest -n 2 -q -m "soak or not soak" --timeout 600 $(ARGS)

bench: $(BENCH) ## measure HTTP beside its peers (PAGE=docs/benchmarks.md writes that page)
	$(BIN)/python benchmarks/run.py $(if $(PAGE),--page $(PAGE)) $(ARGS)

lock: ## write both lock files anew (ARGS=--upgrade for newer versions)
	$(PYTHON) tools/lock.py $(ARGS)

clean: ## remove .venv, caches and builds
	rm -rf .venv .mypy_cache .ruff_cache .import_linter_cache .hypothesis .cache build dist site
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Evox needs Python 3.11 or newer: make PYTHON=...")'
	$(PYTHON) -m venv .venv
	@touch $@

$(RUN): requirements.lock pyproject.toml | $(VENV)
	$(PIP) install -r requirements.lock
	@touch $@

$(DEV): requirements.lock requirements-dev.lock pyproject.toml | $(VENV)
	$(PIP) install -r requirements-dev.lock
	@touch $(RUN) $@

# pip reads groups from 25.1 on, and a new .venv may have an older one.
$(BENCH): tools/group.py pyproject.toml $(DEV)
	$(BIN)/python tools/group.py bench > .venv/bench.txt
	$(PIP) install -r .venv/bench.txt
	@touch $@
