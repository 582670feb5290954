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
# # 05 QLoRA
#
# **Does fine-tuning help?**
#
# Reads the splits of 02_curate → writes `adapter/` with its card, `dev/` with what checkpoints answered, `log_history.json` and `predictions.jsonl`.
#
# Needs: a T4 and about an hour with an 8 B model in 4 bits; two CPU cores and a few minutes for the demo's few steps.

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
train_limit: int = 0  # @param {type:"integer"}
train_k: list[int] = [0, 3]  # @param {type:"raw"}
lora_r: int = 16  # @param {type:"integer"}
lora_alpha: int = 32  # @param {type:"integer"}
lora_dropout: float = 0.05  # @param {type:"number"}
target_modules: list[str] = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]  # @param {type:"raw"}
use_rslora: bool = False  # @param {type:"boolean"}
use_dora: bool = False  # @param {type:"boolean"}
loraplus_lr_ratio: float = 0.0  # @param {type:"number"}
neftune_noise_alpha: float = 0.0  # @param {type:"number"}
gradient_checkpointing: bool = False  # @param {type:"boolean"}
per_device_train_batch_size: int = 4  # @param {type:"integer"}
gradient_accumulation_steps: int = 4  # @param {type:"integer"}
learning_rate: float = 0.0002  # @param {type:"number"}
max_grad_norm: float = 1.0  # @param {type:"number"}
lr_scheduler_type: str = "cosine"  # @param {type:"string"}
warmup_steps: int = 10  # @param {type:"integer"}
max_length: int = 2048  # @param {type:"integer"}
num_train_epochs: float = 2.0  # @param {type:"number"}
max_steps: int = -1  # @param {type:"integer"}
max_minutes: float = 0.0  # @param {type:"number"}
save_steps: int = 50  # @param {type:"integer"}
eval_steps: int = 0  # @param {type:"integer"}
eval_limit: int = 0  # @param {type:"integer"}
early_stopping_patience: int = 0  # @param {type:"integer"}
merge: bool = False  # @param {type:"boolean"}
gguf: bool = False  # @param {type:"boolean"}
push_to_hub: bool = False  # @param {type:"boolean"}
hub_model_id: str = ""  # @param {type:"string"}

# %%
from helpers import (
    database,
    dataset,
    estimate,
    export,
    fewshot,
    finetune,
    models,
    params,
    prompts,
    report,
    runs,
    tables,
    validation,
)

p = params.read("05_qlora", globals())
export.refuse(p)
run = runs.start(p)
tables.run(run)

# %% [markdown]
# ## Load the questions
# Training sees the training split only; the test split is answered at the end.

# %%
curated = runs.upstream(p.out, p.curated)
examples = dataset.load(curated / f"{p.split}.jsonl")[: p.limit or None]
db = database.connect(p.source, timeout_s=p.timeout_s, max_rows=p.max_rows)
run.depends(questions=curated / f"{p.split}.jsonl", train=curated / "train.jsonl", schema=db.schema.hash)
tables.examples(examples[:5])

# %% [markdown]
# ## Build the prompts
# Training rows come from the renderer that 03_baseline and 04_react use, token for token; only the answer counts towards the loss.

# %%
pool = dataset.load(curated / "train.jsonl")
exemplars = prompts.fixed(pool, k=p.k, seed=p.seed, answered=examples)
shown = db.with_samples(p.sample_values)
description = prompts.describe(shown, prompts.blurbs(dataset.FOLDER), schema_format=p.schema_format)
context = prompts.Context(description, exemplars, linking=p.linking)
run.depends(prompts=prompts.fingerprint(context))
tables.conversation(prompts.conversation(context, examples[0].nlq))

# %% [markdown]
# ## Make the training rows
# Each example is shown with one of the numbers of exemplars in `train_k`, so that the adapter learns to answer with and without them.

# %%
dev = dataset.load(curated / "dev.jsonl")
unloaded = finetune.unloaded(p.model_id)
contexts = finetune.contexts(context, pool, p.train_k, seed=p.seed, answered=[*dev, *examples])
rows = finetune.rows(pool[: p.train_limit or None], contexts, unloaded, seed=p.seed)
tables.rows(rows[:5], unloaded)

# %% [markdown]
# ## Estimate what it will take
# No weight has been downloaded yet. `changes` are settings with which training fits this machine: `{}` if it does as it is, `None` if nothing helps.

# %%
expected = estimate.preflight(p, rows)
tables.metrics(vars(expected))

# %% [markdown]
# ## Train
# Loss should fall quickly and then flatten. It says that the answers are being learned, not that new questions will be answered: with `eval_steps`, checkpoints answer the dev questions, and the one with the best EX is kept.

# %%
model = models.load(p.model_id, **params.quantisation(p))
choose = validation.scorer(run, dev[: p.eval_limit or None], context, db)
history = finetune.train(model, rows, p, run.folder, held_out=[*dev, *examples], choose=choose)
measured = estimate.compare(expected, history)
run.write("log_history.json", history)
report.figure_loss(history)

# %% [markdown]
# ## Save the adapter
# With its card: base model, hashes of the data, recipe, and the dev scores of the checkpoint if it was chosen by them. Scores on test are added once 06_evaluate has run: `python -m helpers.adapter_card RUN --scores METRICS`.

# %%
data = {"train.jsonl": runs.sha256(curated / "train.jsonl")}
adapter = finetune.save(model, run.folder, p, data=data, dev=validation.of_best(run.folder))
tables.markdown((adapter / "README.md").read_text())

# %% [markdown]
# ## Load it afresh and answer
# The model that was trained is dropped: what is measured is what was saved.

# %%
del model
model = models.load(p.model_id, adapter=str(adapter), **params.quantisation(p))
predictions = fewshot.answer(run, examples, context, model, method=f"qlora k={p.k}")
tables.predictions(predictions[:10])

# %% [markdown]
# ## Export
# Nothing, unless `merge`, `gguf` or `push_to_hub` ask for it.

# %%
exported = export.write(p, run.folder)
metrics = {"answered": len(predictions), "estimate": measured, "exported": exported}
run.finish(metrics, order=[example.id for example in examples])

# %% [markdown]
# Next: 06_evaluate. With `adapter: 05_qlora`, 03, 04 and 07 use this adapter too.
