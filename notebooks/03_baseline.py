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
# # 03 Baseline prompting
#
# **How far does prompting get?**
#
# Reads the splits of 02_curate and a schema → writes `predictions.jsonl`, `exemplar_audit.jsonl`.
#
# Needs: a T4 and about 6 minutes for 200 questions with an 8 B model in 4 bits; two CPU cores and about 3 minutes with the bundled model.

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
exemplar_policy: str = "fixed"  # @param ["fixed", "random", "similar"]
same_template: bool = False  # @param {type:"boolean"}
n: int = 1  # @param {type:"integer"}
temperature: float = 0.0  # @param {type:"number"}
decoding: str = "free"  # @param ["free", "grammar"]
self_repair: bool = False  # @param {type:"boolean"}

# %%
from helpers import database, dataset, exemplars, fewshot, fit, models, params, prompt_tokens, prompts, runs, tables

p = params.read("03_baseline", globals())
run = runs.start(p)
tables.run(run)

# %% [markdown]
# ## Will it fit?
# An estimate from the model's configuration, before a weight is downloaded. If it says no, change the parameters now.

# %%
tables.fit(fit.answering(p))

# %% [markdown]
# ## Load the questions
# The test split is only ever answered; exemplars come from the training split.

# %%
curated = runs.upstream(p.out, p.curated)
examples = dataset.load(curated / f"{p.split}.jsonl")[: p.limit or None]
db = database.connect(p.source, timeout_s=p.timeout_s, max_rows=p.max_rows)
run.depends(questions=curated / f"{p.split}.jsonl", train=curated / "train.jsonl", schema=db.schema.hash)
tables.examples(examples[:5])

# %% [markdown]
# ## Choose the exemplars
# `fixed`: the same for all questions. `random`: other ones for each. `similar`: those whose masked question and SQL skeleton are most like the question's. None shares its question's SQL template, unless `same_template` allows it, and no near-copy of a question is ever shown. `exemplar_audit.jsonl` says what was shown to whom, how similar it is, and how many training examples were refused.

# %%
pool = dataset.load(curated / "train.jsonl")
choices = exemplars.choose(
    pool, examples, db, policy=p.exemplar_policy, k=p.k, seed=p.seed, same_template=p.same_template
)
tables.records(exemplars.audit(run, choices)[:5])

# %% [markdown]
# ## Build the prompts
# Rule and schema come first and are the same for every question, so the model reads them once, and fixed exemplars with them. Below: the whole prompt of the first question.

# %%
schema = prompts.describe(
    db.with_samples(p.sample_values), prompts.blurbs(dataset.FOLDER), schema_format=p.schema_format
)
contexts = exemplars.contexts(prompts.Context(schema, linking=p.linking), choices)
run.depends(prompts=prompts.fingerprint(*contexts))
tables.conversation(prompts.conversation(contexts[0], examples[0].nlq))

# %% [markdown]
# Tokens of the prompts by their parts, in the model's own counting; the parts add up to the prompt.

# %%
model = models.load(
    p.model_id,
    adapter=runs.adapter_folder(p.out, p.adapter),
    **params.quantisation(p),
)
tables.records(prompt_tokens.table(model, contexts, examples))

# %% [markdown]
# ## Answer
# All questions in batches, greedily unless `temperature` says otherwise. Each answer is on disk as soon as it is there: a run that is killed goes on where it stopped. With `n` > 1 the samples vote by their results (`votes.jsonl`); `self_repair` shows a statement that failed its error, once (`repairs.jsonl`); `decoding: grammar` leaves the model no names but the schema's.

# %%
predictions = fewshot.answer(run, examples, contexts, model, method=f"few-shot k={p.k}", database=db)
tables.predictions(predictions[:10])

# %% [markdown]
# ## Finish
# Nothing is scored here: 06_evaluate does that for all methods in the same way.

# %%
run.finish({"answered": len(predictions)}, order=[example.id for example in examples])

# %% [markdown]
# Next: 04_react, or 06_evaluate.
