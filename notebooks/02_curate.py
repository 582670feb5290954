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
# # 02 Curate
#
# **Which questions are fit to train and test on?**
#
# Reads `train`, `dev` and `test.jsonl` of a folder, or one file of questions → writes the three splits, `README.md` (a card with hashes), `doctor.json` and `leakage.csv`.
#
# Needs: a CPU; under a minute.

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
questions: str = "data/classicmodels"  # @param {type:"string"}
test_size: float = 0.4  # @param {type:"number"}
dev_size: float = 0.2  # @param {type:"number"}

# %%
from helpers import audit, database, dataset, params, runs, tables

p = params.read("02_curate", globals())
run = runs.start(p)
tables.run(run)

# %% [markdown]
# ## Read the questions
# A question without a split is dealt by its SQL template, so that no template is in two splits.

# %%
db = database.connect(p.source, timeout_s=p.timeout_s, max_rows=p.max_rows)
splits = dataset.read(p.questions, test=p.test_size, dev=p.dev_size, seed=p.seed)
run.depends(schema=db.schema.hash, content=db.content_hash, **dataset.files(p.questions))
tables.splits(splits)

# %% [markdown]
# ## Execute every gold
# A gold that fails would count against every method alike, so it stops the run here rather than in the scores.

# %%
tables.golds(dataset.execute(splits, db))

# %% [markdown]
# ## Ask the doctor
# A leak, a tie under LIMIT or a gold that fails as its own prediction would make a score wrong, and stops the run. A warning makes it doubtful.

# %%
diagnosis = audit.examine(splits, db)
audit.write(diagnosis, run.folder)
audit.stop_on_errors(diagnosis)
tables.findings(diagnosis)

# %% [markdown]
# How many templates are there, how many independent questions is that worth, and what would one constant answer score?

# %%
tables.records(diagnosis.tables["splits"])

# %%
tables.records(diagnosis.tables["results"])

# %% [markdown]
# ## Compare the styles of the splits
# Training that returns keys nobody asked for, or sorts unasked, teaches a model to fail the test. Rows that differ by more than five points are found above.

# %%
tables.records(diagnosis.tables["style"])

# %% [markdown]
# ## Write the splits
# The hashes in the card identify the data; every later run records them.

# %%
card = dataset.publish(run, splits, db)
tables.markdown(card)

# %%
run.finish({name: len(examples) for name, examples in splits.items()})

# %% [markdown]
# Next: 03_baseline.
