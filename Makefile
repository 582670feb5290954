# Two commands matter: `make demo` runs the suite, `make test` checks it. Each target makes the .venv it needs.
PYTHON ?= python3
BIN := .venv/bin
NOTEBOOKS := $(wildcard notebooks/*.py)
BENCHES := $(wildcard bench/*.py)

.PHONY: demo test lint notebooks bench

demo: .venv/installed
	$(BIN)/python -m helpers.bundled
	$(BIN)/python -m helpers.suite params/demo

test: .venv/installed-dev
	$(BIN)/python -m helpers.bundled
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/lint-imports

notebooks: .venv/installed-dev
	$(BIN)/jupytext --quiet --to ipynb --update $(NOTEBOOKS)
	$(BIN)/nbstripout --extra-keys "metadata.colab metadata.accelerator metadata.widgets cell.metadata.colab \
	  cell.metadata.executionInfo cell.metadata.outputId cell.metadata.id" $(NOTEBOOKS:.py=.ipynb)

bench: .venv/installed-dev
	for bench in $(BENCHES); do $(BIN)/python $$bench || exit 1; done

.venv/installed: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

.venv/installed-dev: .venv/installed requirements-dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@
