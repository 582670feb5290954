"""What a run was made of: the config.yaml and env.json of its folder, and when two runs are the same run.

>>> read(Path("outputs/demo/03_baseline"))["params"]["k"]
3
>>> changes({"k": 3, "out": "a"}, {"k": 0, "out": "b"})
'k=3, not k=0'

Where a run is kept, and where it is copied to, are no part of what it is. Knows nothing of what is in a run besides
its configuration, and does not say whether a run came to its end: that is `runs.status`.
"""

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from helpers import runtime
from helpers.params import Common, notebook_of

PLACES = ("out", "copy_to")  # a run that was moved, renamed or copied is still the same run
LIMITS = ("max_minutes",)  # and so is one that is given more time


def read(folder: Path) -> dict[str, Any]:
    """Return what config.yaml of a run folder holds, or an empty dict for a folder without one."""
    path = folder / "config.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}


def take(params: Common, inputs: Mapping[str, Mapping[str, str]]) -> str:
    """Return the text of config.yaml: parameters, inputs, a hash over both, and the suite's own git commit."""
    values = params.model_dump()
    pins = {name: made.get("sha256") or made["value"] for name, made in inputs.items()}
    digest = hashlib.sha256(json.dumps([identity(values), pins], sort_keys=True).encode()).hexdigest()
    content = {"notebook": notebook_of(params), "params": values, "inputs": dict(inputs), "config_hash": digest}
    return yaml.safe_dump(content | _git(), sort_keys=False, allow_unicode=True)


def environment() -> dict[str, Any]:
    """Describe python, packages and machine, as env.json holds them."""
    return {"python": sys.version.split()[0], "packages": runtime.packages(), **runtime.hardware()}


def identity(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that make a run what it is: all but its places and its limits."""
    return {name: value for name, value in values.items() if name not in (*PLACES, *LIMITS)}


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Name the parameters of their identities that differ: `k=3, not k=0`."""
    before, now = identity(before), identity(now)
    names = [n for n in sorted({*before, *now}) if before.get(n) != now.get(n)]
    return " and ".join(f"{n}={before.get(n)}, not {n}={now.get(n)}" for n in names)


def _git() -> dict[str, Any]:
    def ask(*words: str) -> str:
        return subprocess.run(["git", *words], capture_output=True, text=True, cwd=here, check=False).stdout.strip()

    here = Path(__file__).parent
    try:
        return {"git_commit": ask("rev-parse", "HEAD"), "git_dirty": bool(ask("status", "--porcelain"))}
    except FileNotFoundError:  # a copy of the suite on a machine without git
        return {"git_commit": "", "git_dirty": False}
