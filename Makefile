# `make help` lists the targets. Everything installs into .venv, pinned by constraints.txt.
PYTHON ?= python3
FRAMEWORK ?= pytorch
DATA ?=
SUBMISSIONS ?= 200
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt
EXTRA_pytorch := torch
EXTRA_tensorflow := tensorflow
# torch is installed by its exact version first: a range would pull the CUDA build of many gigabytes on some indexes.
TORCH := $(shell sed -n 's/^\(torch==[^ ]*\)$$/\1/p' constraints.txt)
TF_KERAS := $(shell sed -n 's/^\(tf_keras==.*\)$$/\1/p' constraints.txt)

.PHONY: help quickstart test soak mutants check format bench benchgpu docs screenshots clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

$(BIN)/python:
	$(PYTHON) -m venv .venv

.venv/.base: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) -e .
	@touch $@

.venv/.pytorch: .venv/.base
	$(PIP) $(TORCH)
	$(PIP) -e '.[torch]'
	@touch $@

.venv/.tensorflow: .venv/.base
	$(PIP) -e '.[tensorflow]'
	$(PIP) --no-deps $(TF_KERAS)
	@touch $@

.venv/.dev: .venv/.pytorch .venv/.tensorflow
	$(PIP) -e '.[dev,docs,tabular]'
	@touch $@

.venv/.docs: .venv/.base
	$(PIP) -e '.[docs]'
	@touch $@

# Submarine's published SDK has pins of its own (SQLAlchemy before 2), so it lives apart.
.venv-compat/.done: tests/compat/requirements.txt
	$(PYTHON) -m venv .venv-compat
	.venv-compat/bin/pip install --quiet --disable-pip-version-check -r tests/compat/requirements.txt
	@touch $@

quickstart: .venv/.$(FRAMEWORK) ## start the platform and run the main job (FRAMEWORK=pytorch|tensorflow, DATA=dir)
	$(BIN)/submarine quickstart --framework $(FRAMEWORK) $(if $(DATA),--data $(DATA))

# Where tests on real Ray and MariaDB may be (tests/conftest.py holds it): other test modules are not even imported for them.
HEAVY := $(addprefix tests/,browser compat db faults kuberay ray reconcile)

test: .venv/.dev .venv-compat/.done ## the test suite, with what it needs
	@sh tests/install-system-parts.sh
	$(BIN)/pytest -n 3 --dist loadfile -m "not (ray or faults or db or long)"
	$(BIN)/pytest -m "(ray or faults or db) and not long" $(HEAVY)

soak: SEED ?= 1
soak: SOAK ?= long
soak: .venv/.dev .venv-compat/.done ## the tests that take longest, which `make test` leaves out (SUBMISSIONS=n, SEED=n)
	@sh tests/install-system-parts.sh
	SUBMARINE_SUBMISSIONS=$(SUBMISSIONS) $(BIN)/pytest -m "$(SOAK)"
	nice $(BIN)/python -W ignore -m tests.mutants --seconds 240 --least 0.95 --seed $(SEED)

mutants: .venv/.dev ## put small faults into the mechanical parts: the fast tests must see 95 of 100 (SECONDS=n, SEED=n, MODULES=...)
	$(BIN)/python -W ignore -m tests.mutants $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED)) $(MODULES)

check: .venv/.dev ## formatting, lint, types, and the rules of who may import whom
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/.dev ## format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/.dev ## performance, as ratios measured side by side
	$(BIN)/python -m benchmarks

benchgpu: .venv/.pytorch ## what a GPU does on this machine, within five minutes and without a network
	$(BIN)/python -m benchmarks.gpu

docs: .venv/.docs ## build the documentation, which the service serves at /help
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

screenshots: .venv/.dev ## pictures of the running platform's pages, into docs/images
	$(BIN)/python -m tests.browser.screenshots

clean: ## remove what was built; data in SUBMARINE_HOME stays
	rm -rf .venv .venv-compat submarine_ray/help .pytest_cache .mypy_cache .ruff_cache
