# Two commands matter: `make demo` runs the suite, `make test` checks it. Each target makes the .venv it needs.
# `make results` is the experiment of docs/results: an hour and a half on two cores; started again, it goes on.
PYTHON ?= python3
BIN := .venv/bin
NOTEBOOKS := $(wildcard notebooks/*.py)
BENCHES := $(wildcard bench/*.py)

CPU := $(BIN)/python -m helpers.suite params/cpu --out outputs/results
TWIN := $(BIN)/python -m helpers.suite params/cpu --out outputs/results-twin --set source=sqlite:///outputs/twin/twin.sqlite

.PHONY: demo test lint notebooks bench results

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

results: .venv/installed
	$(BIN)/python -m helpers.bundled
	$(CPU) --only 02_curate 05_qlora
	$(CPU) --only 03_baseline --sweep k=0,3
	$(CPU) --only 03_baseline --set variant=tuned,k=0 k=0 adapter=05_qlora
	$(CPU) --only 03_baseline --set variant=tuned,k=0,n=8 k=0 n=8 temperature=0.6 adapter=05_qlora
	$(CPU) --only 04_react 06_evaluate
	$(BIN)/python -m helpers.twin --examples data/classicmodels --database sample --out outputs/twin
	$(TWIN) questions=outputs/twin --only 02_curate
	$(TWIN) variant=base --only 03_baseline
	$(TWIN) variant=tuned adapter=outputs/results/05_qlora/adapter --only 03_baseline
	$(TWIN) compare=[03_baseline] --only 06_evaluate

.venv/installed: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

.venv/installed-dev: .venv/installed requirements-dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@
