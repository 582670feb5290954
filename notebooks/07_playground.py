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
# # 07 Playground
#
# **Let me ask.**
#
# Reads a model or adapter and a database → writes `queries.jsonl`, one line a question.
#
# Needs: what the model needs; with the bundled one, two CPU cores.

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
model_id: str = "bundled"  # @param {type:"string"}
adapter: str = ""  # @param {type:"string"}
load_in_4bit: bool = False  # @param {type:"boolean"}
bnb_4bit_quant_type: str = "nf4"  # @param ["nf4", "fp4"]
bnb_4bit_use_double_quant: bool = True  # @param {type:"boolean"}
bnb_4bit_compute_dtype: str = "auto"  # @param ["auto", "float32", "bfloat16", "float16"]
curated: str = "02_curate"  # @param {type:"string"}
split: str = "test"  # @param ["train", "dev", "test"]
limit: int = 0  # @param {type:"integer"}
k: int = 3  # @param {type:"integer"}
schema_format: str = "ddl"  # @param ["ddl", "compact"]
sample_values: int = 0  # @param {type:"integer"}
prefill: str = ""  # @param {type:"string"}
max_new_tokens: int = 160  # @param {type:"integer"}
batch_size: int = 32  # @param {type:"integer"}
linking: bool = False  # @param {type:"boolean"}
endpoint: str = ""  # @param {type:"string"}

# %%
from helpers import database, dataset, fit, params, playground, playground_gold, predictors, prompts, runs, tables

p = params.read("07_playground", globals())
run = runs.start(p)
tables.run(run)

# %% [markdown]
# ## Will it fit?
# An estimate from the model's configuration, before a weight is downloaded. If it says no, change the parameters now.

# %%
tables.fit(fit.answering(p))

# %% [markdown]
# ## Open the database
# Questions of the test split have a gold: an answer to one of them is compared with it. A database with other tables has none, and no exemplars either.

# %%
db = database.connect(p.source, timeout_s=p.timeout_s, max_rows=p.max_rows)
pool, examples = predictors.questions(p, db)

# %% [markdown]
# ## Build the prompt
# The same as in 03_baseline, with exemplars from the training split.

# %%
context = prompts.Context(
    prompts.describe(db.with_samples(p.sample_values), prompts.blurbs(dataset.FOLDER), schema_format=p.schema_format),
    prompts.fixed(pool, k=min(p.k, len(pool)), seed=p.seed, answered=examples),
    linking=p.linking,
)
answering = predictors.offered(p, context, db)
list(answering)

# %% [markdown]
# ## Ask
# Write a question and press Enter. Read the SQL, change it, run it: what the guard refuses never reaches the database. A model is loaded when it is first asked, which takes a while; after that it only reads your question. *Compare with* lets a second one answer beside the first.

# %%
playground.view(
    answering,
    db.execute,
    questions=[example.nlq for example in examples],
    judge=playground_gold.judge(examples, db),
    log=lambda row: run.append("queries.jsonl", row),
)

# %% [markdown]
# Every question you ask is appended to `queries.jsonl` with what was answered, also after the run is closed below.

# %%
run.finish()
