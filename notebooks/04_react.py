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
# # 04 ReAct
#
# **Does acting on the database help?**
#
# Reads the same questions as 03_baseline → writes `predictions.jsonl`, `traces.jsonl` and `trace.html`.
#
# Needs: as 03_baseline, with about four times its minutes.

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
max_steps: int = 6  # @param {type:"integer"}
max_observation_chars: int = 600  # @param {type:"integer"}
max_trace_tokens: int = 0  # @param {type:"integer"}
max_seconds: float = 0.0  # @param {type:"number"}

# %%
from helpers import database, dataset, fit, models, params, prompts, react, runs, tables, trace_page

p = params.read("04_react", globals())
run = runs.start(p)
tables.run(run)

# %% [markdown]
# ## Will it fit?
# An estimate from the model's configuration, before a weight is downloaded. If it says no, change the parameters now.

# %%
tables.fit(fit.answering(p))

# %% [markdown]
# ## Load the questions
# The same questions, the same exemplars and the same schema as in 03_baseline: what differs is that the model may act.

# %%
curated = runs.upstream(p.out, p.curated)
examples = dataset.load(curated / f"{p.split}.jsonl")[: p.limit or None]
db = database.connect(p.source, timeout_s=p.timeout_s, max_rows=p.max_rows)
run.depends(questions=curated / f"{p.split}.jsonl", train=curated / "train.jsonl", schema=db.schema.hash)
tables.examples(examples[:5])

# %% [markdown]
# ## Build the prompt
# An exemplar is shown as a trace: its gold is tried on the database and then given as the answer. The rule for what an answer may hold is word for word that of 03_baseline.

# %%
pool = dataset.load(curated / "train.jsonl")
exemplars = prompts.fixed(pool, k=p.k, seed=p.seed, answered=examples)
schema = prompts.describe(db.with_samples(p.sample_values), prompts.blurbs(dataset.FOLDER), schema_format=p.schema_format)
context = prompts.Context(schema, exemplars, react.RULES)
shown = react.demonstrations(context, db, react.budget(p))
run.depends(prompts=prompts.fingerprint(context))
tables.conversation(prompts.conversation(context, examples[0].nlq, shown))

# %% [markdown]
# ## Think, act, observe
# All questions of a group take a step together, and a statement that was asked before is not executed again. A step that makes no sense is answered by a short correction. When a budget (steps, tokens of a trace, seconds) ends, the last query that ran is the answer.

# %%
model = models.load(
    p.model_id,
    adapter=runs.adapter_folder(p.out, p.adapter),
    **params.quantisation(p),
)
predictions = react.answer(run, examples, context, db, model)
tables.predictions(predictions[:10])

# %% [markdown]
# ## Read one trace
# The first question, step by step: what the model thought, what it did, what it was shown, and how it ended. The same page stands in the run folder as `trace.html`.

# %%
trace_page.write(run, examples[0].id)
tables.trace(run, examples[0])

# %%
run.finish({"answered": len(predictions)}, order=[example.id for example in examples])

# %% [markdown]
# Next: 05_qlora, or 06_evaluate.
