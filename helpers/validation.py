"""A checkpoint's score on the dev questions: they are answered, executed and compared, as 06_evaluate does it.

>>> choose = validation.scorer(run, dev, context, database)
>>> choose(model, 20)                                   # what `finetune.train(…, choose=choose)` calls
{'ex': 0.31, 'ex_superset': 0.35, 'ex_strict': 0.3, 'va': 0.82}

Every checkpoint leaves its answers in the run folder, `dev/step-20/predictions.jsonl`, and their full metrics, with
intervals, in `dev/step-20/metrics.json`. Answers that a kill cut short are given anew: a half is not gone on from, so
that what is scored does not depend on where it stopped. It knows no training.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from helpers import checkpoints, evaluate, fewshot
from helpers.database import Database
from helpers.dataset import Example
from helpers.models import Model
from helpers.prompts import Context
from helpers.runs import Run

DECIDING = ("ex", "ex_superset", "ex_strict", "va")  # the first decides, the next one breaks a tie


def scorer(run: Run, examples: Sequence[Example], context: Context, database: Database) -> Callable:
    """Return `score` with all but the model and its step, as `finetune.train` takes it."""
    return partial(score, run, examples, context, database)


def score(run: Run, examples: Sequence[Example], context: Context, database: Database, model: Model,
          step: int) -> dict[str, float]:
    """Let the model answer the examples and return its rates, the deciding one first."""
    folder = run.folder / "dev" / f"step-{step}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    answering = replace(run, folder=folder, journals={})
    predictions = fewshot.answer(answering, examples, context, model, method=f"checkpoint {step}")
    verdicts = evaluate.score(examples, predictions, database)
    for journal in answering.journals.values():
        journal.close()
    metrics = evaluate.summarise(verdicts, examples, predictions)
    answering.write("metrics.json", metrics)
    return {name: metrics[name] for name in DECIDING}


def of_best(folder: str | Path) -> dict[str, Any]:
    """Return the full metrics of a run's best checkpoint, and its step; nothing if none was scored."""
    row = checkpoints.best(checkpoints.read(folder))
    if not row:
        return {}
    metrics = Path(folder) / "dev" / f"step-{row['step']}" / "metrics.json"
    return {"step": row["step"], **json.loads(metrics.read_text(encoding="utf-8"))}
