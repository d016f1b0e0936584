# Everything a newcomer needs, with nothing but python3 and make. `make` alone lists the words.

PYTHON ?= python3
UV     := .tools/bin/uv
BIN    := .venv/bin
# uv makes the environment with the same interpreter; it fetches none of its own.
export UV_PYTHON_DOWNLOADS := never
export UV_LINK_MODE ?= copy
# Compiled once here rather than at every start where PYTHONDONTWRITEBYTECODE is set, as it is in many containers.
export UV_COMPILE_BYTECODE := 1

.DEFAULT_GOAL := help
.PHONY: help install check test bench docs demo gurux

help:  ## list these words
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: .venv/installed  ## set up the environment for developing and testing

demo: .venv/runnable  ## start a simulated fleet, read it, and show it at http://127.0.0.1:8000
	@$(BIN)/meterops demo $(ARGS)

test: install gurux  ## run every test (browser and PostgreSQL tests say what they miss)
	$(BIN)/python -m pytest $(ARGS)

check: install  ## types, lint, format and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

bench: install gurux  ## run every benchmark at laptop size; results land in benchmarks/results
	$(BIN)/python -m benchmarks $(ARGS)

docs: install  ## build the documentation into site-docs/
	$(UV) run --locked --group docs mkdocs build --strict

$(UV): tools/get_uv.py
	@$(PYTHON) tools/get_uv.py

SOURCES := pyproject.toml uv.lock hatch_build.py $(wildcard frontend/package-lock.json frontend/build.mjs) $(shell find frontend/src -type f 2>/dev/null)

.venv/runnable: $(UV) $(SOURCES)
	$(UV) sync --locked --inexact --no-default-groups --python $(PYTHON)
	@$(BIN)/python -m compileall -q src
	@touch $@

.venv/installed: $(UV) $(SOURCES)
	$(UV) sync --locked --inexact --python $(PYTHON)
	@$(BIN)/python -m compileall -q src
	@touch $@ .venv/runnable

# The opponent of the interoperability tests: GPL-2, so in an environment of its own that nothing of ours imports.
gurux: .venv-gurux/installed

.venv-gurux/installed: $(UV) tests/interop/gurux-requirements.txt
	$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv-gurux
	$(UV) pip install --quiet --python .venv-gurux/bin/python -r tests/interop/gurux-requirements.txt
	@touch $@
