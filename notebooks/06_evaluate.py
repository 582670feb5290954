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
# Reads the `predictions.jsonl` of any number of runs → writes `verdicts.jsonl`, `metrics.json`, `comparison.csv`, `testsuite/`, figures and `report.html`.
#
# Needs: a CPU; a few minutes.

# %% cellView="form"
# @title Setup: find the suite and install what is missing
import os
import subprocess
import sys
from pathlib import Path

REPO_URL = os.environ.get("REPO_URL", "")  # @param {type:"string"}
_roots = [folder for folder in (Path.cwd(), *Path.cwd().parents) if (folder / "helpers" / "suite.py").is_file()]
if not _roots:
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", REPO_URL, "nl2sql-suite"], check=True)
_root = _roots[0] if _roots else Path("nl2sql-suite").resolve()
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
from helpers import database, dataset, params, report, runs, tables, testsuite

p = params.read("06_evaluate", globals())
run = runs.start(p)
tables.run(run)

# %% [markdown]
# ## Load gold and predictions
# Every method is scored on the same questions. A question without a prediction counts as wrong.

# %%
curated = runs.upstream(p.out, p.curated)
db = database.connect(p.source, timeout_s=p.timeout_s, max_rows=p.max_rows)
compared = report.collect(run)
examples = report.answered(compared, dataset.load(curated / f"{p.split}.jsonl"))
run.depends(questions=curated / f"{p.split}.jsonl", content=db.content_hash)
tables.compared(compared)

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
# VA: the statement runs. EX: its result equals the gold's. TS: also on every variant. The interval takes questions of one template as one.

# %%
scored = report.score(run, compared, examples, db, suite or None)
tables.scores(report.comparison(scored))

# %% [markdown]
# ## Compare
# If an interval of a difference spans zero, this test set cannot tell the two methods apart.

# %%
report.differences(scored)

# %%
report.figure_scores(scored)

# %% [markdown]
# ## Write the report
# One self-contained page, the table as CSV, the figure as PNG and SVG.

# %%
report.write(run, scored)
run.finish(report.metrics(scored))

# %% [markdown]
# Next: open `report.html` in the run folder, or ask questions yourself in 07_playground.
