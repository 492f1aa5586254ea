# brain-triage: every task of the project is a target here. `make` alone lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

DICOM ?=
OUT ?= out
TO ?= new-bundle
LABEL_MAPS ?=
LESION_SHAPES ?=
TRAINING ?= training
DATA ?= ../shared/data
BENCH ?=
SAMPLE := sample-inbox

# The CPU build of torch is a tenth of the CUDA build's download. `make setup TORCH_BUILD=` takes the platform's default.
TORCH_VERSION := 2.13.0
TORCH_BUILD ?= cpu

.DEFAULT_GOAL := help
.PHONY: help setup run review train retrain test check bench clean system-packages torch

help: ## list these targets
	@echo "brain-triage: research use only, not a medical device."
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  make run DICOM=/some/folder OUT=/some/place   reads your own DICOM or NIfTI"

setup: $(READY) ## make .venv and install the project in it (implied by the others)
	@echo "Ready: $(VENV)"

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || { \
	  echo "brain-triage needs Python 3.11, 3.12 or 3.13; $(PYTHON) is $$($(PYTHON) -V 2>&1)." >&2; \
	  echo "Name another one: make setup PYTHON=python3.12" >&2; exit 1; }
	@echo "Installing into $(VENV); the first time takes a few minutes."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "  torch"
	@$(MAKE) --no-print-directory torch
	@echo "  everything else"
	@$(BIN)/python -m pip install -qq --editable '.[dev]'
	@touch $@

# Where pip's own configuration knows a CPU build it is taken; then PyTorch's CPU index; then what the platform has.
torch:
ifeq ($(TORCH_BUILD),)
	@$(BIN)/python -m pip install -qq 'torch==$(TORCH_VERSION)'
else
	@$(BIN)/python -m pip install -qq --no-deps 'torch==$(TORCH_VERSION)+$(TORCH_BUILD)' 2>/dev/null \
	|| $(BIN)/python -m pip install -qq --no-deps --retries 1 --timeout 30 'torch==$(TORCH_VERSION)' \
	     --index-url https://download.pytorch.org/whl/$(TORCH_BUILD) 2>/dev/null \
	|| $(BIN)/python -m pip install -qq 'torch==$(TORCH_VERSION)'
endif

# Status 2 says that some inputs were refused. They are in the report and in the queue, so this target has done its work;
# a script calls `brain-triage run` itself and gets the status.
run: $(READY) ## triage DICOM=/folder into OUT=/place; without DICOM, a sample inbox made on the spot
ifeq ($(strip $(DICOM)),)
	@test -d $(SAMPLE) || echo "No DICOM= given: making a sample inbox of made-up patients, about 190 MB."
	@$(BIN)/brain-triage sample $(SAMPLE)
endif
	@$(BIN)/brain-triage run "$(or $(strip $(DICOM)),$(SAMPLE))" --out "$(OUT)" || test $$? -eq 2
	@$(BIN)/python -c 'import pathlib, sys; print("Open it:", (pathlib.Path(sys.argv[1]).resolve() / "index.html").as_uri())' "$(OUT)"

review: $(READY) ## open the review pages of OUT=/place in a browser; `brain-triage queue` lists what waits
	@$(BIN)/brain-triage review --out "$(OUT)"

train: $(READY) ## train from LABEL_MAPS= and LESION_SHAPES= into TRAINING=; without, a reduced one here in minutes
ifeq ($(strip $(LABEL_MAPS)),)
	@$(BIN)/brain-triage train --smoke --out "$(TRAINING)"
else
	@$(BIN)/brain-triage train --label-maps "$(LABEL_MAPS)" \
	  $(if $(strip $(LESION_SHAPES)),--lesion-shapes "$(LESION_SHAPES)") --out "$(TRAINING)"
endif

retrain: $(READY) ## make the bundle TO=/place from the corrections of OUT= that the model has not learnt
	@$(BIN)/brain-triage retrain --out "$(OUT)" --to "$(TO)" \
	  $(if $(strip $(LABEL_MAPS)),--label-maps "$(LABEL_MAPS)")

test: $(READY) ## run the tests, a file of them on every core
	@$(PYTEST)

check: $(READY) ## everything that CI checks: style, types, architecture, tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST)

bench: $(READY) ## measure everything in docs/benchmarks again (DATA=/folder with cases.csv, BENCH=--rewrite: tables only)
	@$(BIN)/python -m pipelines.bench --data "$(DATA)" $(BENCH)

clean: ## remove what the targets made; keeps .venv, your results in OUT and the review queue
	rm -rf $(SAMPLE) .$(SAMPLE).unfinished dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

system-packages: ## install the Debian packages that some tests need (needs root)
	apt-get update -qq
	apt-get install -y -qq --no-install-recommends $$(cat .ci/debian-packages)
