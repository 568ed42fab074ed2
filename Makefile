# make run    see the example strategies tested, then traded on paper (sets everything up first)
# make test   run the tests; SEED=n repeats a run
# The rest: setup check prove chaos bench wheel lock clean

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# A name on PATH may be a shim for a version that is not there, so each candidate is asked, not looked for.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-input
UV := build/uv/bin/uv

# Every run of the tests takes fresh seeds and prints them.
SEED := $(or $(SEED),$(shell date +%s))
PYTEST = TRADEBOT_SEED=$(SEED) $(BIN)/python -m pytest -n 2 --hypothesis-seed=$(SEED)

.PHONY: help setup run test check prove chaos bench wheel lock clean

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -n 3

setup: .venv/.ready

.venv/.locked: requirements-build.lock requirements-dev.lock requirements-specs.lock
	@if [ -z "$(PYTHON)" ]; then \
		echo "tradebot needs Python 3.11 or newer with its venv module; on PATH none of python3.13, python3.12," >&2; \
		echo "python3.11 and python3 is that. On Debian and Ubuntu: sudo apt install python3-venv" >&2; \
		echo "Elsewhere name one: make setup PYTHON=/path/to/python" >&2; \
		exit 1; fi
	@echo "Setting up .venv with $$($(PYTHON) --version) from the hash lock (once; a minute or two) ..."
	@$(PYTHON) -m venv --clear .venv
	@$(PIP) --require-hashes -r requirements-build.lock
	@# By now pip is the lock's, and without isolation so are the tools that build `ta` from its source.
	@$(PIP) --require-hashes --no-build-isolation -r requirements-dev.lock
	@$(PIP) --require-hashes --no-deps -r requirements-specs.lock
	@touch $@

# An editable install: the sources and examples of the checkout are the ones that run.
.venv/.ready: .venv/.locked pyproject.toml
	@$(PIP) --no-deps --no-index --no-build-isolation --editable .
	@echo "Compiling the fast speed of backtests for this machine (once; about 20 seconds) ..."
	@$(BIN)/python -c 'from tradebot.sim.kernel.run import replay; replay.make_ready()'
	@touch $@

run: setup
	@$(BIN)/tradebot backtest
	@echo
	@echo "Each report above is one HTML file. See the latest in a browser: $(BIN)/tradebot report --open"
	@echo
	@echo "Now the same strategies on paper: stored data played two weeks a second. Ctrl-C stops it in order."
	@rm -rf build/demo
	@TRADEBOT_STATE=build/demo $(BIN)/tradebot run --watch 10 --until-end --log-level warning

test: setup
	$(PYTEST)

# Hours, most of it the simulation: SEEDS=n takes n of its seeds and not 100,000.
prove: setup
	TRADEBOT_PROVE=1 TRADEBOT_CHAOS_SEEDS=$(SEEDS) $(PYTEST) -m "prove or not prove"

# The daemon at a faulty venue, killed again and again: SEEDS=n as many, ONE=n the one that failed.
chaos: setup
	TRADEBOT_CHAOS_SEEDS=$(SEEDS) $(if $(ONE),TRADEBOT_CHAOS_ONE=$(ONE)) $(PYTEST) tests/chaos/test_chaos.py

check: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench: setup
	$(BIN)/python benchmarks/run.py

wheel: setup
	$(BIN)/python -m build --no-isolation --wheel

# For maintainers: resolve again, with hashes and without any index address. Versions already locked stay;
# `make lock UPGRADE=--upgrade` or `UPGRADE="--upgrade-package ccxt"` moves them. docs/decisions/0001 says why so.
LOCK = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--only-binary :all: --no-binary ta
# In pip `--only-binary :all:` forgets any `--no-binary` before it, so their order matters.
LOCK_HEAD = 1i \# For Python 3.11 to 3.13. Written by make lock; not edited by hand.\n--only-binary :all:\n--no-binary ta

lock: $(UV)
	$(LOCK) $(UPGRADE) pyproject.toml --group dev -o requirements-dev.lock
	$(LOCK) pyproject.toml -c requirements-dev.lock -o requirements.lock
	$(LOCK) --group build -c requirements-dev.lock -o requirements-build.lock
	$(LOCK) --no-deps --group specs -o requirements-specs.lock
	sed -i '$(LOCK_HEAD)' requirements.lock requirements-dev.lock requirements-build.lock requirements-specs.lock

$(UV):
	$(PYTHON) -m venv build/uv
	build/uv/bin/pip install --quiet uv

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
