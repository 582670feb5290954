"""Run a finished run again from its snapshot, and say field by field what is the same and what drifted.

    python -m helpers.suite --reproduce outputs/demo/03_baseline
    # runs into outputs/demo-reproduced/03_baseline, prints the comparison, writes reproduction.json there

The parameters are the snapshot's, but for where the run is written; `copy_to` and `push_to_hub` are left out, since
to reproduce is not to publish. Runs it was built on (`curated`, `adapter`, `compare`) are read where the first run
found them, not reproduced too. Started again, a reproduction that was stopped goes on, and one that is finished is
only compared. Predictions are scored by VA and EX on the run's own database, if it can be reached; TS is 06_evaluate's.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import yaml

from helpers import dataset, drift, evaluate, kernels, runs, snapshot
from helpers.database import DatabaseError, connect
from helpers.dataset import DatasetError
from helpers.drift import Field
from helpers.journal import replace_file
from helpers.params import NOTEBOOKS, Common, ParameterError, check
from helpers.runs import RunError
from helpers.runtime import SecretMissing

SCORED = ("va", "ex")
UNPUBLISHED = {"copy_to": "", "push_to_hub": False}


def plan(folder: Path, *, out: str = "") -> tuple[Path, Common]:
    """Return a finished run's folder as the notebooks see it, and the parameters that run it again below `out`.

    Raises RunError for a folder that is no finished run, for one whose upstream runs are gone, and for an `out` that
    would overwrite it; ParameterError for parameters this version of the suite does not have.
    """
    folder = _as_notebooks_see_it(folder)
    config = _snapshot(folder)
    suite = _suite_of(folder, config["params"].get("variant", ""))
    out = out or f"{suite}-reproduced"
    fields = NOTEBOOKS[config["notebook"]].model_fields
    values = config["params"] | {name: value for name, value in UNPUBLISHED.items() if name in fields} | {"out": out}
    values |= _upstream(values, [suite, Path(config["params"]["out"])])
    parameters = check(config["notebook"], values, where=f"{folder}/config.yaml")
    if runs.folder_of(parameters).resolve() == folder.resolve():
        raise RunError(f"{folder} would be overwritten by its reproduction: give another --out.")
    return folder, parameters


def run(folder: Path, parameters: Common) -> list[Field]:
    """Run the reproduction unless it is finished, compare it with `folder`, and write reproduction.json.

    Raises NotebookFailed when the notebook fails.
    """
    again = runs.folder_of(parameters)
    if runs.is_finished(parameters):
        print(f"{again}: finished before; delete it to run it anew", flush=True)
    else:
        kernels.execute(parameters)
    home = str(_suite_of(folder, parameters.variant))
    fields = drift.compare(folder, again, home=home) + _scores(folder, again, parameters)
    odd = drift.drifted(fields)
    told = {"original": str(folder), "reproduction": str(again), "reproduced": not odd, "drifted": odd}
    text = json.dumps(told | {"fields": [asdict(field) for field in fields]}, indent=1, ensure_ascii=False)
    replace_file(again / "reproduction.json", text + "\n")
    runs.copy(parameters)
    return fields


def verdict(fields: Sequence[Field]) -> str:
    """Say in one sentence whether the run was reproduced."""
    odd = drift.drifted(fields)
    if not odd:
        return f"Reproduced: all {sum(field.kind == 'decides' for field in fields)} fields that decide are the same."
    causes = [field.name for field in fields if field.kind == "explains" and not field.same]
    return f"Drifted: {', '.join(odd)}." + (f" Also different: {', '.join(causes)}." if causes else "")


def _as_notebooks_see_it(folder: Path) -> Path:
    """Return the folder relative to the repository's root, where notebooks run, if it is below."""
    whole = folder.resolve()
    here = Path.cwd().resolve() == kernels.ROOT and whole.is_relative_to(kernels.ROOT)
    return whole.relative_to(kernels.ROOT) if here else whole


def _suite_of(folder: Path, variant: str) -> Path:
    return folder.parents[1] if variant else folder.parent


def _snapshot(folder: Path) -> dict:
    try:
        config = snapshot.read(folder)
    except (OSError, yaml.YAMLError) as error:
        raise RunError(f"{folder}/config.yaml cannot be read ({' '.join(str(error).split())}).") from error
    if not config:
        inside = sorted(path.parent.name for path in folder.glob("*/config.yaml"))
        hint = f"one of those in it: {', '.join(inside)}" if inside else "outputs/SUITE/NOTEBOOK[/VARIANT]"
        raise RunError(f"{folder} is no run folder: give {hint}.")
    if config.get("notebook") not in NOTEBOOKS or not isinstance(config.get("params"), dict):
        raise RunError(f"{folder}/config.yaml names no notebook of this suite: there are {', '.join(NOTEBOOKS)}.")
    if runs.status(folder) != runs.FINISHED:
        raise RunError(f"{folder} is {runs.status(folder) or 'not begun'}, not finished: there is nothing to compare.")
    return config


def _upstream(values: dict, suites: Sequence[Path]) -> dict:
    """Return the parameters that name upstream runs, as paths to where the first run found these."""
    found = {}
    if values.get("curated"):
        found["curated"] = str(_find(values["curated"], suites))
    if values.get("adapter"):
        found["adapter"] = str(_find(values["adapter"], suites))
    if "compare" in values:
        found["compare"] = [str(path) for name in values["compare"] for path in _variants(_find(name, suites))]
    return found


def _find(name: str, suites: Sequence[Path]) -> Path:
    """Return the run of that name below one of the suite folders, or as a path of its own."""
    places = [*(suite / name for suite in suites), Path(name)]
    there = next((place for place in places if place.exists()), None)
    if there is None:
        raise RunError(f"{places[0]}, which the run was built on, is gone: put it back, or run it anew.")
    return there


def _variants(folder: Path) -> list[Path]:
    """Return a run folder itself, or its variants if it only holds those."""
    inside = sorted(path.parent for path in folder.glob("*/predictions.jsonl"))
    return inside if inside and not runs.status(folder) else [folder]


def _scores(before: Path, after: Path, parameters: Common) -> list[Field]:
    """Score both runs' predictions by VA and EX, where there are any; a database out of reach leaves a note."""
    asked = snapshot.read(after)["inputs"].get("questions", {}).get("path", "")
    if not (before / "predictions.jsonl").exists() or not asked:
        return []
    try:
        rates = [_rates(folder, Path(asked), parameters) for folder in (before, after)]
    except (DatabaseError, DatasetError, SecretMissing, evaluate.GoldFailed, evaluate.EvaluationError) as error:
        return [Field("scores", "explains", True, "", "", f"not scored: {error}")]
    return [Field(f"score: {name}", "decides", *_shown(*(rate[name] for rate in rates))) for name in SCORED]


def _rates(folder: Path, questions: Path, parameters: Common) -> dict[str, float]:
    """Return the rates of a run over the questions it was asked: the split's first `limit`, or all."""
    examples = dataset.load(questions)[: getattr(parameters, "limit", 0) or None]
    limits = {"timeout_s": parameters.timeout_s, "max_rows": parameters.max_rows}
    with connect(parameters.source, **limits) as database:
        verdicts = evaluate.score(examples, runs.predictions(folder), database)
    return {name: sum(getattr(v, name) for v in verdicts) / max(1, len(verdicts)) for name in SCORED}


def _shown(before: float, after: float) -> tuple[bool, str, str]:
    return before == after, f"{before:.3f}", f"{after:.3f}"


def main(folder: Path, *, out: str = "") -> int:
    """Reproduce a run on the command line: 0 the same, 1 drifted or failed, 2 and one sentence for a user's mistake."""
    try:
        folder, parameters = plan(folder, out=out)
    except (RunError, ParameterError) as error:
        print(error, file=sys.stderr)
        return 2
    try:
        fields = run(folder, parameters)
    except (kernels.NotebookFailed, RunError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"\n{drift.table(fields)}\n\n{verdict(fields)}\ncomparison: {runs.folder_of(parameters)}/reproduction.json")
    return 1 if drift.drifted(fields) else 0
