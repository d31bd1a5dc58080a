# Everything a newcomer needs: make demo, make test.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
BENCH := .venv-bench
INSTALLED := .venv/.installed
# BentoML needs these in versions of its own.
BENTO := certifi|opentelemetry-[a-z-]+|packaging

.PHONY: install demo test test-all lint format serve ui bench bench-data clean

install: $(INSTALLED)

# A virtual environment from the pinned versions, made anew only when they or the project change.
$(INSTALLED): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing into .venv (a few minutes the first time)"
	$(BIN)/python -m pip install --disable-pip-version-check --no-cache-dir --progress-bar off -c constraints.txt -e '.[dev]'
	@touch $(INSTALLED)

demo: install
	$(BIN)/forecast demo

# A file's tests share what they made, so they stay with one process.
test: install
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

test-all: install
	$(BIN)/python -m pytest -m 'slow or not slow'

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

serve: install
	$(BIN)/forecast serve --model pedestrian@champion

ui: install
	$(BIN)/forecast ui

# Leave the machine alone while it runs: it measures time.
bench: bench-data install $(BENCH)/.installed
	$(BIN)/python -m benchmarks.training --data '$(DATA)' --peer-python $(BENCH)/bin/python
	$(BIN)/python -m benchmarks.accuracy --data '$(DATA)'
	$(BIN)/python -m benchmarks.covariates --data '$(DATA)'
	$(BIN)/python -m benchmarks.bulk
	$(BIN)/python -m benchmarks.tracking
	$(BIN)/python -m benchmarks.inspection
	$(BIN)/python -m benchmarks.serving --peer-python $(BENCH)/bin/python
	$(BIN)/python -m benchmarks.report

bench-data:
	@test -n '$(DATA)' || { echo "say where the data are: make bench DATA=folder (see docs/benchmarks.md)"; exit 2; }

# The peers live in an environment of their own: what they need is no part of the project.
$(BENCH)/.installed: benchmarks/requirements.txt constraints.txt
	@test -x $(BENCH)/bin/python || $(PYTHON) -m venv $(BENCH)
	@echo "installing the peers into $(BENCH) (a few minutes the first time)"
	grep -vE '^($(BENTO))==' constraints.txt > $(BENCH)/constraints.txt
	$(BENCH)/bin/python -m pip install --disable-pip-version-check --no-cache-dir --progress-bar off -c $(BENCH)/constraints.txt -r benchmarks/requirements.txt
	@touch $(BENCH)/.installed

clean:
	rm -rf .venv .venv-bench .forecast
