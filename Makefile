# Each target makes its own .venv when there is none, or when what it was made from has changed.
PYTHON ?= python3
VENV ?= .venv
OUT ?= out
BUDGET ?= 5
BIN = $(VENV)/bin
SOURCES = pyproject.toml constraints.txt CMakeLists.txt $(wildcard native/*)

.PHONY: demo test package check docs bench

demo: $(VENV)/.ready
	$(BIN)/unsynth match examples --out $(OUT) --budget $(BUDGET)
	@echo && echo "Open these in a browser:" && ls $(abspath $(OUT))/*/report.html

test: $(VENV)/.ready
	$(BIN)/python -m pytest --numprocesses 2

# The wheel and the sdist, built, installed in a new environment and used there.
package: $(VENV)/.ready
	$(BIN)/python -m pytest -m package

check: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

docs: $(VENV)/.ready
	$(BIN)/sphinx-build --fresh-env --fail-on-warning --keep-going --quiet docs build/docs
	@echo "Open $(abspath build/docs/index.html) in a browser."

bench: $(VENV)/.ready
	$(BIN)/python -m bench

# Editable, so that changes in unsynth/ count at once; changes in native/ make this rule run again. (PIP_CONSTRAINT, unlike
# --constraint, holds for what the build needs too.)

$(VENV)/.ready: $(SOURCES)
	$(PYTHON) -m venv $(VENV)
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --editable ".[dev]"
	@touch $@
