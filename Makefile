# Each target works alone on a fresh clone: it makes .venv and installs what it needs.

PYTHON ?= python3
FLAGS ?=

.PHONY: demo test test-long lint docs

# One run with batch norm, from data to report. FLAGS adds flags, as in FLAGS="--norm=none".
demo: .venv/installed
	.venv/bin/python -m bnkit.main --norm=bn --lr=0.5 $(FLAGS)

test: .venv/installed
	.venv/bin/python -m pytest -n 2

# Runs that are killed again and again, and runs on three workers: half an hour and more.
test-long: .venv/installed
	.venv/bin/python -m pytest -m "long or not long" tests/kills tests/workers

lint: .venv/installed
	.venv/bin/ruff check
	.venv/bin/ruff format --check

# The documentation, to be opened at docs/_build/html/index.html.
docs: .venv/installed
	.venv/bin/python -m sphinx -W --keep-going -E -q -b html docs docs/_build/html

.venv/installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --upgrade pip
	.venv/bin/python -m pip install --quiet --editable ".[test]"
	touch $@
