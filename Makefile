SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
OUT ?= load/$(shell basename "$(INPUT)" | sed 's/\.[^.]*$$//')
PIP := $(BIN)/python -m pip install -q --disable-pip-version-check
# what is compiled is kept: several processes import it
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help install test soak nightly scenes test-wheels test-browser browser lint demo capture clean

help:  ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

install: .venv/installed  ## create .venv and install requirements-dev.txt into it

.venv/installed: requirements.txt requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "error: Python 3.11 or newer is needed, $(PYTHON) is not; try: make install PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "error: $(PYTHON) cannot make virtual environments; on Debian or Ubuntu: sudo apt install python3-venv" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) -r requirements-dev.txt
	@touch $@

test: install lint  ## lint, then run the tests in several processes
	$(PYTEST) -n auto --maxprocesses 4 --dist worksteal

soak: install  ## run the long tests, for hours: runs that are killed, resumed 300 times, thousands of damaged files
	$(PYTEST) -m soak -n auto --maxprocesses 4 --dist loadfile

nightly: install  ## compile all Triton kernels for all cards, for an hour on two cores: do they fit, what do they spill?
	$(PYTEST) -m nightly

scenes: install  ## write COUNT random scenes in every format and read them back; FIRST is the first seed
	$(BIN)/python tests/support/written/many_scenes.py --first $(or $(FIRST),0) --count $(or $(COUNT),2000)

test-wheels: install  ## ask the package index whether requirements.txt is wheels alone on each system and Python
	$(BIN)/python -m pytest -m network

test-browser: browser  ## run the tests that need a browser; make test skips them if there is none
	$(BIN)/python -m pytest -m browser

browser: install  ## install Playwright into .venv, and Chromium if the system has none
	$(PIP) -r requirements-browser.txt
	@command -v chromium google-chrome >/dev/null || test -n "$$CHROMIUM" \
		|| $(BIN)/python -m playwright install --with-deps chromium \
		|| { echo "error: no Chromium; on Debian or Ubuntu: sudo apt install chromium" >&2; exit 1; }

lint: install  ## check style and format with ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

demo: install  ## train on the bundled scene and export its mesh
	$(BIN)/python launch.py --config configs/neus-demo.yaml --train

capture:  ## turn INPUT (a video or photographs) into a dataset in OUT, then train on it
	@test -n "$(INPUT)" || { echo "error: INPUT is missing, for example: make capture INPUT=cup.mp4" >&2; exit 2; }
	@test -e "$(INPUT)" || { echo "error: $(INPUT): no such video or folder; INPUT is relative to $(CURDIR)" >&2; exit 2; }
	@$(MAKE) --no-print-directory install
	$(BIN)/python scripts/prepare.py "$(INPUT)" "$(OUT)"
	cpu=$$($(BIN)/python -c 'import torch; print("" if torch.cuda.is_available() else "-cpu")'); \
	$(BIN)/python launch.py --config configs/neus-capture$$cpu.yaml --train dataset.root_dir="$(OUT)"

clean:  ## remove .venv and caches, but no data and no results
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
