"""Run a profile's notebooks in order through papermill, each into its run folder, and say what came out.

    python -m helpers.suite params/demo [--only 03_baseline] [--set k=0] [--sweep seed=7,17,27] [--out outputs/NAME]
    python -m helpers.suite --reproduce outputs/demo/03_baseline [--out outputs/NAME]

Every file of the profile is checked before the first notebook starts. A finished run is left as it is; one that was
killed goes on where it stopped. `--set` reaches every notebook that has the parameter, or one by `03_baseline.k=0`;
`--sweep` makes a variant of each combination; the variants of a notebook share a loaded model (see `kernels`), and
one that fails does not stop the others. Knows nothing of what a notebook does.
"""

import argparse
import contextlib
import itertools
import os
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import yaml

from helpers import kernels, reproduce, runs
from helpers.kernels import NotebookFailed
from helpers.params import NOTEBOOKS, Common, ParameterError, load, notebook_of
from helpers.runs import RunError

HEADLESS = ("01_connect", "02_curate", "03_baseline", "04_react", "05_qlora", "06_evaluate")


def plan(
    profile: Path, *, only: Sequence[str] = (), settings: Sequence[str] = (), sweep: Sequence[str] = (), out: str = ""
) -> list[Common]:
    """Check a profile and return the runs it asks for, in order; nothing is run.

    Raises ParameterError for a profile without files, an unknown notebook, and any parameter a model refuses or no
    notebook has.
    """
    wanted = list(only) or [name for name in HEADLESS if (profile / f"{name}.yaml").exists()]
    unknown = [name for name in wanted if name not in NOTEBOOKS]
    if unknown:
        raise ParameterError(f"No notebook is called {unknown[0]}; there are {', '.join(NOTEBOOKS)}.")
    if not profile.is_dir() or not wanted:
        raise ParameterError(f"{profile} is no profile: give a folder under params/ with a YAML file a notebook.")
    given = _pairs(settings) + ([("out", out)] if out else [])
    _refuse_unused([*given, *_pairs(sweep)], wanted)
    return [run for name in wanted for run in _variants(profile, name, given, _pairs(sweep))]


def run(planned: Iterable[Common]) -> list[Path]:
    """Execute the planned runs that are not finished yet; return all their folders.

    Runs of one notebook that follow one another are variants: they share a kernel where that spares loading the
    model, and the others go on when one fails. Raises NotebookFailed, after the last variant, for those that failed;
    their folders then have `status` failed.
    """
    folders = []
    for _, variants in itertools.groupby(planned, key=notebook_of):
        variants = list(variants)
        done = [runs.folder_of(parameters) for parameters in variants]
        finished = [runs.is_finished(parameters) for parameters in variants]
        for folder in itertools.compress(done, finished):
            print(f"{folder}: finished before", flush=True)
        _execute([parameters for parameters, over in zip(variants, finished, strict=True) if not over])
        folders += done
    return folders


def _execute(variants: Sequence[Common]) -> None:
    """Execute runs of one notebook, all of them even if one fails."""
    shared = len(variants) > 1 and kernels.may_share(variants[0])
    failures = []
    with kernels.one_kernel() if shared else contextlib.nullcontext(kernels.execute) as execute:
        for parameters in variants:
            try:
                execute(parameters)
            except NotebookFailed as failure:
                failures.append(str(failure))
    if failures:
        raise NotebookFailed("\n".join(failures))


def _variants(profile: Path, name: str, given: list, sweep: list) -> list[Common]:
    """Return one run, or one for each combination of the swept values that are parameters of this notebook."""
    own = {key.split(".")[-1]: _value(value) for key, value in given if _reaches(key, name)}
    axes = [(key.split(".")[-1], values.split(",")) for key, values in sweep if _reaches(key, name)]
    combinations = itertools.product(*(values for _, values in axes))
    made = []
    for values in combinations:
        chosen = dict(zip((key for key, _ in axes), map(_value, values), strict=True))
        label = ",".join(f"{k}={v}" for k, v in chosen.items())
        variant = {"variant": re.sub(r"[^\w.=,+-]", "_", label)} if chosen else {}
        made.append(load(profile / f"{name}.yaml", **own, **chosen, **variant))
    return made


def _reaches(key: str, notebook: str) -> bool:
    where, _, field = key.rpartition(".")
    return field in NOTEBOOKS[notebook].model_fields and where in ("", notebook)


def _pairs(words: Sequence[str]) -> list[tuple[str, str]]:
    for word in words:
        if "=" not in word:
            raise ParameterError(f"{word!r} is not of the form name=value.")
    return [tuple(word.split("=", 1)) for word in words]


def _value(text: str):
    """Read a value as YAML would, so that `train_k=[0,3]` is a list."""
    return yaml.safe_load(text) if text else ""


def _refuse_unused(given: list[tuple[str, str]], wanted: list[str]) -> None:
    for key, _ in given:
        if not any(_reaches(key, notebook) for notebook in wanted):
            raise ParameterError(f"None of {', '.join(wanted)} has a parameter {key}.")


def scores(folder: Path) -> str:
    """Return the table of a run of 06_evaluate as text, or what there is to say instead."""
    table = folder / "comparison.csv"
    if not table.exists():
        return ""
    import pandas

    shown = pandas.read_csv(table)[["method", "n", "va", "ex", "ts"]].to_string(index=False)
    return f"\n{shown}\n\nreport: {folder / 'report.html'}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m helpers.suite", description="Run a profile's notebooks in order.")
    parser.add_argument("profile", type=Path, nargs="?", help="folder with one YAML file a notebook: params/demo")
    parser.add_argument("--only", nargs="+", default=[], metavar="NOTEBOOK", help="run these notebooks alone")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", dest="settings", help="set a parameter")
    parser.add_argument("--sweep", nargs="+", default=[], metavar="NAME=V1,V2", help="run a variant for each value")
    parser.add_argument("--out", default="", help="suite folder, such as outputs/mine")
    parser.add_argument("--reproduce", type=Path, metavar="FOLDER", help="run a finished run again and compare")
    given = vars(parser.parse_args(arguments))
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    finished_run = given.pop("reproduce")
    if finished_run:
        if given["profile"] or given["only"] or given["settings"] or given["sweep"]:
            parser.error("--reproduce takes a run folder and --out, and all else from the run's snapshot")
        return reproduce.main(finished_run, out=given["out"])
    if not given["profile"]:
        parser.error("give a profile, such as params/demo")
    try:
        folders = run(plan(**given))
    except (ParameterError, RunError, NotebookFailed) as error:
        print(error, file=sys.stderr)
        return 1
    for folder in folders:
        print(scores(folder), end="")
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
