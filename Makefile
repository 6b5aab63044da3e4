# One virtual environment, made once and remade when the dependencies change.
PYTHON ?= python3
VENV ?= .venv
PIP_FLAGS ?=
BIN := $(VENV)/bin
DATASET := rlkit/hopper/medium-v0
DEMO := runs/demo
INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt $(PIP_FLAGS)

export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help install demo test slow fuzz lint evidence format clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/installed  ## Make .venv with rlkit in it

demo: $(VENV)/installed  ## Train IQL on a real MuJoCo dataset and show how well it did
	@$(BIN)/rlkit dataset build $(DATASET)
	@$(BIN)/rlkit train iql --dataset $(DATASET) --seeds 0:2 --steps 12000 --eval-every 3000 \
	    --normalise-obs --config.beta 0.3 --config.lr-decay-steps 12000 \
	    --out $(DEMO)
	@$(BIN)/rlkit export $(DEMO)

test: $(VENV)/installed-test  ## Run the test suite
	$(BIN)/python -m pytest -q -n auto

slow: $(VENV)/installed-test  ## Run the learning tests too long for every day
	$(BIN)/python -m pytest -q -m slow

fuzz: $(VENV)/installed-test  ## Damage files at length, every reader (minutes)
	$(BIN)/python -m pytest -q -n auto -m slow tests/fuzz

lint: $(VENV)/installed-test  ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

evidence: $(VENV)/installed  ## Say which claims are shown, running or missing
	@$(BIN)/python benchmarks/evidence/state.py

format: $(VENV)/installed-test  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## Remove .venv and caches; runs and datasets stay
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache build *.egg-info

$(BIN)/python:
	@echo "making $(VENV)"
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if v >= (3, 11) else \
	    "rlkit needs Python 3.11 or later, this is %d.%d: make PYTHON=python3.11" % v[:2])'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing rlkit and what it needs into $(VENV) (minutes, the first time)"
	@$(INSTALL) -e .
	@touch $@

$(VENV)/installed-test: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing rlkit and the test tools into $(VENV) (minutes, the first time)"
	@$(INSTALL) -e '.[test,onnx]'
	@touch $@ $(VENV)/installed
