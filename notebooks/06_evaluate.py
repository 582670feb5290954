# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: tags,cellView,-all
#     formats: ipynb,py:percent
#     notebook_metadata_filter: kernelspec,-jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 06 Evaluate
#
# **Which method is better, by how much, how sure is that, and why do they fail?**
#
# Reads the `predictions.jsonl` of any number of runs → writes `verdicts.jsonl`, `metrics.json`, `comparison.csv`, `testsuite/`, `figures/`, `tables/` and `report.html`.
#
# Needs: a CPU; a few minutes.

# %% cellView="form"
# @title Setup: find the suite and install what is missing
import os
import subprocess
import sys
from pathlib import Path

REPO_URL = os.environ.get("REPO_URL", "")  # @param {type:"string"}
REPO_REF = os.environ.get("REPO_REF", "main")  # @param {type:"string"}
_found = [folder for folder in (Path.cwd(), *Path.cwd().parents) if (folder / "helpers" / "suite.py").is_file()]
_root = (_found or [Path("nl2sql-suite").resolve()])[0]
_clone = ["git", "clone", "--quiet", "--depth", "1", "--branch", REPO_REF, REPO_URL, str(_root)]
if not _root.exists() and subprocess.run(_clone).returncode:
    raise FileNotFoundError("No suite here, and none fetched: set REPO_URL to its address, REPO_REF to a branch or tag.")
os.chdir(_root)
sys.path.insert(0, str(_root))
from helpers import colab

colab.install_missing()

# %% cellView="form" tags=["parameters"]
# @title Parameters
out: str = "outputs/demo"  # @param {type:"string"}
variant: str = ""  # @param {type:"string"}
seed: int = 7  # @param {type:"integer"}
copy_to: str = ""  # @param {type:"string"}
source: str = "sample"  # @param {type:"string"}
timeout_s: float = 10.0  # @param {type:"number"}
max_rows: int = 10000  # @param {type:"integer"}
curated: str = "02_curate"  # @param {type:"string"}
compare: list[str] = ["03_baseline", "04_react", "05_qlora"]  # @param {type:"raw"}
split: str = "test"  # @param ["train", "dev", "test"]
max_variants: int = 24  # @param {type:"integer"}
testsuite_seconds: float = 300.0  # @param {type:"number"}
jobs: int = 1  # @param {type:"integer"}

# %%
from helpers import (
    compared,
    contrasts,
    database,
    dataset,
    failures,
    figures,
    methods,
    params,
    report,
    runs,
    tables,
    testsuite,
)

p = params.read("06_evaluate", globals())
run = runs.start(p)
tables.run(run)

# %% [markdown]
# ## Load gold and predictions
# Every method is scored on the same questions. A question without a prediction counts as wrong.

# %%
curated = runs.upstream(p.out, p.curated)
db = database.connect(p.source, timeout_s=p.timeout_s, max_rows=p.max_rows)
found = compared.collect(run)
examples = compared.answered(found, dataset.load(curated / f"{p.split}.jsonl"))
run.depends(questions=curated / f"{p.split}.jsonl", content=db.content_hash)
tables.compared(found)

# %% [markdown]
# ## Distil a test suite
# A wrong statement can return the right rows by luck. Variants of the database are kept that tell golds from their near misses; TS asks for the right rows on all of them.

# %%
folder = run.folder / "testsuite"
manifest = testsuite.distil(
    examples, db, folder, seed=p.seed, seconds=p.testsuite_seconds, max_variants=p.max_variants
)
suite = testsuite.load(folder)
tables.suite(manifest)

# %% [markdown]
# ## Score
# VA: the statement runs. EX: its result equals the gold's. TS: also on every variant. The interval takes questions of one template as one. Runs that differ in their seed alone are one method.

# %%
scored = methods.score(run, found, examples, db, suite or None)
tables.scores(report.comparison(scored))

# %%
figures.scores(scored)

# %% [markdown]
# ## Compare
# Every pair, question by question. If an interval spans zero, these questions cannot tell the two apart. The same answers get other rates elsewhere: a swap of ranks between conventions is named.

# %%
pairs = contrasts.pairs(scored)
tables.differences(contrasts.differences(pairs))

# %%
tables.swaps(contrasts.swaps(scored))

# %% [markdown]
# ## Where and why
# EX by difficulty, and the classes of error of the first method. The report has those of all, and EX by SQL feature.

# %%
figures.parts(scored, "difficulty")

# %%
figures.error_classes(scored, at=0)

# %%
failures.frame(failures.pick(scored, scored[0], n=10))

# %% [markdown]
# ## What accuracy costs

# %%
figures.costs(scored)

# %% [markdown]
# ## Write the report
# One self-contained page, the figures as PNG and SVG, the tables as LaTeX, the rates as CSV.

# %%
report.write(run, scored, pairs, manifest)
run.finish(report.metrics(scored, pairs))

# %% [markdown]
# Next: open `report.html` in the run folder, or ask questions yourself in 07_playground.
