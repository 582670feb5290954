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
# # 01 Connect
#
# **Can I reach the database, read-only, and what is in it?**
#
# Reads a source (`sample`, `dump:PATH`, `local-mysql`, `mysql+pymysql://USER@HOST/DB`, `cloudsql`) → writes `schema.json` and `rows.json`.
#
# Needs: a CPU; seconds. For `cloudsql`, the secrets `INSTANCE_CONNECTION_NAME`, `DB_USER` and `DB_PASS`.

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
sample_rows: int = 5  # @param {type:"integer"}

# %%
from helpers import database, params, runs, tables

p = params.read("01_connect", globals())
run = runs.start(p)
tables.run(run)

# %% [markdown]
# ## Connect
# The connection can only read: the guard lets nothing but queries through, the session is read-only, and every statement has a time limit.

# %%
db = database.connect(p.source, timeout_s=p.timeout_s, max_rows=p.max_rows)
run.depends(schema=db.schema.hash)
tables.counts(db.schema)

# %% [markdown]
# ## Columns and keys
# This is all a model will be told of the database: names, types, and which columns refer to which.

# %%
run.write("schema.json", db.schema.to_dict())
tables.schema(db.schema)

# %% [markdown]
# ## A few rows
# Values matter as much as names: how a status is spelt, whether a date is missing.

# %%
tables.samples(db, p.sample_rows)

# %% [markdown]
# ## What a statement gives
# A query answers; anything else is refused with one sentence, and the database is never asked.

# %%
tables.result(db.execute("SELECT status, COUNT(*) AS orders FROM orders GROUP BY status ORDER BY orders DESC"))

# %%
tables.result(db.execute("DELETE FROM orders"))

# %%
run.finish({"tables": len(db.schema.tables), "rows": sum(table.rows for table in db.schema.tables)})

# %% [markdown]
# Next: 02_curate.
