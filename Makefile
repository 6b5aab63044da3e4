# One virtual environment, made once and remade when the dependencies change.
PYTHON ?= python3
VENV ?= .venv
PIP_FLAGS ?=
BIN := $(VENV)/bin
DOCS ?= .venv-docs
BENCH ?= .venv-bench
DATASET := rlkit/hopper/medium-replay-small-v1
DEMO := runs/demo
INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt $(PIP_FLAGS)

export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help install demo test slow fuzz lint docs docs-serve evidence bench gpu-bench format clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/installed  ## Make .venv with rlkit in it

demo: $(VENV)/installed  ## Train IQL on a real MuJoCo dataset and show how well it did
	@$(BIN)/rlkit dataset build $(DATASET)
	@$(BIN)/rlkit train iql --dataset $(DATASET) --seeds 0:2 --steps 12000 --eval-every 3000 \
	    --normalise-obs --config.beta 0.3 --config.lr-decay-steps 12000 \
	    --out $(DEMO)
	@$(BIN)/rlkit export $(DEMO)
	-@$(BIN)/rlkit video $(DEMO) --size 240
	@$(BIN)/rlkit report $(DEMO)

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

docs: $(DOCS)/installed  ## Build the documents into site/, every warning an error
	@# Quiet builds count no warnings: say all, and show it where something is wrong.
	@said=$$(NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --strict 2>&1) \
	    || { echo "$$said" | grep -v '^INFO' >&2; exit 1; }
	@echo "documents built: site/index.html"

docs-serve: $(DOCS)/installed  ## Show the documents at 127.0.0.1:8000
	@NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs serve --no-strict

evidence: $(VENV)/installed  ## Say which claims are shown, running or missing
	@$(BIN)/python benchmarks/evidence/state.py

bench: $(BENCH)/installed  ## Hold the speed against the recorded ratios to the peers (minutes)
	@$(BENCH)/bin/python benchmarks/bench.py

gpu-bench: $(VENV)/installed  ## Measure updates on a CUDA device, graphs checked against eager
	@$(BIN)/python benchmarks/speed/gpu.py --out benchmarks/results/gpu.json

format: $(VENV)/installed-test  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## Remove environments, the built site and caches; runs and datasets stay
	rm -rf $(VENV) $(DOCS) $(BENCH) site .pytest_cache .ruff_cache .mypy_cache build *.egg-info

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

# The documents read the sources without importing them: an environment without torch will do.
$(DOCS)/installed: pyproject.toml constraints.txt
	@echo "installing what builds the documents into $(DOCS)"
	@$(PYTHON) -m venv $(DOCS)
	@$(DOCS)/bin/python -m pip install -qq --disable-pip-version-check -c constraints.txt $(PIP_FLAGS) \
	    $$($(DOCS)/bin/python -c 'import tomllib; \
	    print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["docs"])')
	@touch $@

# The peers of the benchmarks: jax and others would weigh on everybody's environment.
$(BENCH)/installed: pyproject.toml constraints.txt benchmarks/requirements.txt
	@echo "making $(BENCH) with the peers (minutes, the first time)"
	@$(PYTHON) -m venv $(BENCH)
	@$(BENCH)/bin/python -m pip install -qq --disable-pip-version-check -c constraints.txt \
	    $(PIP_FLAGS) -e . -r benchmarks/requirements.txt
	@touch $@
