# The commands a reader needs; `make help` lists them. Portable to make 3.81, which macOS ships.
#
# make leaves with its own exit code 2 when a command fails and prints that command's code ("Error 3"); run
# the command itself, which `make -n <target>` shows, where the exact code matters.

VENV := .venv
PYTHON := $(VENV)/bin/python
# Installed: touched only when pip was through, so that an interrupted install is done again.
RUN_READY := $(VENV)/requirements.stamp
TEST_READY := $(VENV)/requirements-dev.stamp
# Each has a PostgreSQL and a NATS of its own. Two kept two processors half busy: most tests wait for much of their time.
# Files go out in their own order: the browser's, the longest, come first, to one process and so to one running system;
# three browsers at once would crowd each other out (tests/scheduling.py).
TEST_PROCESSES ?= 3
PIP_INSTALL := $(PYTHON) -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help run test lint bench screenshots clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

# `exec` makes the launcher the process that make waits for: a signal to make reaches it at once.
run: $(RUN_READY) ## Start everything on this machine (PORT, CHRONICLE_DATA, DEMO); Ctrl-C stops it
	@exec $(PYTHON) -m chronicle.stack

test: lint ## Check and test everything, against a PostgreSQL and a NATS of its own
	@$(PYTHON) -m pytest --numprocesses $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

lint: $(TEST_READY) ## Check style, types, import contracts and missing migrations
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy
	@$(VENV)/bin/lint-imports --no-logo
	@CHRONICLE_DATA=.cache/no-stack $(PYTHON) -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run

bench: $(TEST_READY) ## Measure commands per second, the way of an event to the reader, the portal
	@exec $(PYTHON) manage.py bench_ledger

screenshots: $(TEST_READY) ## Take the pictures in docs/ again
	@exec $(PYTHON) -m pytest tests/browser -m screenshots

clean: ## Remove what was built; .chronicle, which holds the data, stays
	rm -rf $(VENV) .cache .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUN_READY): requirements.txt | $(PYTHON)
	@echo "installing requirements.txt into $(VENV) (once)"
	@$(PIP_INSTALL) -r requirements.txt
	@touch $@

$(TEST_READY): requirements-dev.txt requirements.txt | $(PYTHON)
	@echo "installing requirements-dev.txt into $(VENV) (once)"
	@$(PIP_INSTALL) -r requirements-dev.txt
	@touch $@ $(RUN_READY)

# The first Python that is new enough. Debian keeps venv in a package of its own.
$(PYTHON):
	@base=; for name in python3 python3.13 python3.12 python3.11; do \
	  if $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then base=$$name; break; fi; \
	done; \
	if [ -z "$$base" ]; then echo "Python 3.11 or newer is needed, and none is on PATH." >&2; exit 3; fi; \
	if ! $$base -c 'import ensurepip, venv' 2>/dev/null; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null; \
	  fi; \
	  if ! $$base -c 'import ensurepip, venv' 2>/dev/null; then \
	    echo "$$base has no venv: apt-get install python3-venv" >&2; exit 3; \
	  fi; \
	fi; \
	$$base -m venv --clear $(VENV)
