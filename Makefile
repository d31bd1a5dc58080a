# Everything a newcomer needs: make demo, make test.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: install demo test test-all lint format serve ui clean

install: $(INSTALLED)

# A virtual environment from the pinned versions, made anew only when they or the project change.
$(INSTALLED): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing into .venv (a few minutes the first time)"
	$(BIN)/python -m pip install --disable-pip-version-check --no-cache-dir --progress-bar off -c constraints.txt -e '.[dev]'
	@touch $(INSTALLED)

demo: install
	$(BIN)/forecast demo

test: install
	$(BIN)/python -m pytest

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

clean:
	rm -rf .venv .forecast
