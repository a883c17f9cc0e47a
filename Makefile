# `make train` and `make test` set themselves up on a machine with Python 3.11 and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
# The versions that the tests passed with. For the newest releases: make PINS= TORCH=torch train
PINS   := -c constraints.txt
TORCH  := torch==2.13.0
# The interpreters that `make corners` resolves for.
PYTHONS ?= $(PYTHON)

.PHONY: train test lint bench corners clean

train: $(VENV)/.train
	$(BIN)/aent train

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist worksteal

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/speed/step.py

$(VENV)/.torch: constraints.txt
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("aent needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -q $(PINS) $(TORCH)
	touch $@

$(VENV)/.train: $(VENV)/.torch pyproject.toml
	$(PIP) install -q $(PINS) -e '.[all]'
	touch $@

$(VENV)/.dev: $(VENV)/.train
	$(PIP) install -q $(PINS) -e '.[dev]'
	touch $@

# Does pip find a set of packages with either build of torch, and with the newest releases?
corners:
	$(PYTHON) benchmarks/checks/install.py --python $(PYTHONS)

clean:
	rm -rf $(VENV)
