# Works on a machine that has only Python >= 3.11 with venv, make and the package registries.

export UV_PYTHON_DOWNLOADS := never
PYTHON ?= python3
VENV := .venv
UV := $(VENV)/bin/uv
RUN := $(VENV)/bin/
ARGS ?=

NODE_NEEDED := make test-backstage needs Node.js 20 or newer with npm, which are not on this machine: install them

.PHONY: demo test test-backstage backstage-packages node check mutants bench faults generated sync

demo: sync
	$(RUN)mainstem demo $(ARGS)

test: sync
	$(RUN)python -m pytest $(ARGS)

# The module for Backstage, then a real Backstage with it.
test-backstage: backstage-packages
	cd deploy/backstage-module && npm run check && npm test
	$(RUN)python -m pytest -n0 $(ARGS) tests/backstage

# Half a gigabyte, kept in the cache directory.
backstage-packages: node sync
	$(RUN)python -m tests.backstage.npm

node:
	@node --eval 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null && npm --version >/dev/null 2>&1 || { echo '$(NODE_NEEDED)' >&2; exit 1; }

check: sync
	$(RUN)ruff check .
	$(RUN)ruff format --check .
	$(RUN)mypy
	$(RUN)lint-imports
	$(UV) lock --check

mutants: sync
	$(RUN)python -m tests.mutants $(ARGS)

bench: sync
	$(RUN)python -m tests.benchmarks $(ARGS)

# Files that are made from others; a test fails when one is stale.
generated: sync
	$(RUN)python -m deploy.grafana.overview
	$(RUN)python -m docs.metrics
	$(RUN)python -m docs.api

faults: sync
	$(RUN)python -m tests.faults $(ARGS)

# The environment is as the lock says before anything runs; when it is, this takes a fraction of a second.
sync: $(UV)
	@$(UV) sync --quiet --locked --inexact

$(UV):
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv $(VENV)
	$(RUN)pip install --quiet --disable-pip-version-check 'uv>=0.9'
