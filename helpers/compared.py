"""The runs that are compared: found by name, read, and put on the same questions.

>>> found = collect(run)                        # the runs named in 06_evaluate's `compare`, each variant on its own
>>> found[0].name, found[0].params["k"], len(found[0].predictions)
('03_baseline', 3, 200)
>>> examples = answered(found, dataset.load("test.jsonl"))

A run asked the first `limit` questions, or all; where nothing says how many, those up to its last answer. Not known
here: what an answer is worth.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from helpers import runs
from helpers.dataset import Example
from helpers.runs import Prediction, Run, RunError


@dataclass(frozen=True)
class Compared:
    """A run whose predictions are scored; `params` as its config.yaml has them, none for a run of somebody else."""

    name: str
    folder: Path
    params: dict[str, Any]
    predictions: list[Prediction]


def collect(run: Run) -> list[Compared]:
    """Read the predictions of every run that was asked for, each variant on its own and each run once.

    Raises RunError for a run that is missing, unfinished or without predictions.
    """
    out = Path(run.params.out)
    found = dict.fromkeys(folder for name in run.params.compare for folder in _variants(out, name))
    names = _names(list(found), out)
    read = [Compared(name, f, _params(f), runs.predictions(f)) for name, f in zip(names, found, strict=True)]
    empty = [each.name for each in read if not each.predictions]
    if empty:
        raise RunError(f"{empty[0]} answered no question: run it again, or take it out of `compare`.")
    run.depends(**{each.name: each.folder / "predictions.jsonl" for each in read})
    return read


def _variants(out: Path, name: str) -> list[Path]:
    """Return the run folder of that name, or its variants if it only holds those."""
    folder = out / name
    inside = sorted(p.parent for p in folder.glob("*/predictions.jsonl")) if not (folder / "status").exists() else []
    return [runs.upstream(str(out), str(Path(name) / each.name)) for each in inside] or [runs.upstream(str(out), name)]


def _names(folders: Sequence[Path], out: Path) -> list[str]:
    """Name runs by their folders below the suite, and those elsewhere by the last two folders where these tell."""
    short = [f.relative_to(out) if f.is_relative_to(out) else Path(*f.parts[-2:]) for f in folders]
    return [str(name if short.count(name) == 1 else folder) for name, folder in zip(short, folders, strict=True)]


def _params(folder: Path) -> dict[str, Any]:
    path = folder / "config.yaml"
    config = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else None
    return {"notebook": config["notebook"], **config["params"]} if config else {}


def answered(found: Sequence[Compared], examples: Sequence[Example]) -> list[Example]:
    """Return the examples that the runs were asked, all of them the same ones; an answer may be missing.

    Raises RunError if two runs were asked different questions, as they could not be paired.
    """
    asked = [_asked(each, examples) for each in found]
    odd = [each.name for each, n in zip(found, asked, strict=True) if n != asked[0]]
    if odd:
        raise RunError(
            f"{odd[0]} and {found[0].name} answered different questions: give both the same limit, and a question "
            "that was left out a row with an empty sql."
        )
    return list(examples[: asked[0]])


def _asked(each: Compared, examples: Sequence[Example]) -> int:
    """Return how many of the first examples the run was asked."""
    if each.params.get("limit"):
        return min(each.params["limit"], len(examples))
    there = {prediction.example_id for prediction in each.predictions}
    return max((n for n, example in enumerate(examples, 1) if example.id in there), default=0)
