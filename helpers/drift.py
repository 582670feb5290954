"""Compare two run folders field by field: what is the same, what drifted, and whether that matters.

>>> fields = compare(Path("outputs/demo/03_baseline"), Path("outputs/demo-reproduced/03_baseline"), home="outputs/demo")
>>> print(table(fields))
= git commit                8aebcf0
≠ packages: torch           2.13.0 → 2.14.0
≠ predictions               18 of 20 equal; differing: t003, t009
>>> drifted(fields)
['predictions']

Three kinds of field: one that `decides` (data, schema, prompts, predictions, scores), one that `explains` why another
may have drifted (commit, packages, machine, parameters, other files and metrics), and one that is `measured` anew each
time (seconds, memory). Only the first kind makes a run not reproduced. `home` is the suite folder of the first run;
names of runs are compared as they are below it. Reads files alone: scoring is in `reproduce`.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from helpers import snapshot
from helpers.comparison import CONVENTIONS
from helpers.runs import read_rows, sha256

Kind = Literal["decides", "explains", "measured"]

SCORES = ("va", *CONVENTIONS, "ts", "ex_informative")
SHOWN_IDS = 5
# What a notebook leaves besides predictions: questions and schema decide, the rest explains.
DATA_FILES = ("schema.json", "train.jsonl", "dev.jsonl", "test.jsonl")
OTHER_FILES = ("traces.jsonl", "adapter/adapter_model.safetensors", "comparison.csv")
MEASURES = ("runtime_s", "peak_rss_mb", "peak_vram_mb", "model_reused")
ABSENT = "–"


@dataclass(frozen=True)
class Field:
    """One thing compared, as text on both sides; `note` says what the two texts do not."""

    name: str
    kind: Kind
    same: bool
    before: str
    after: str
    note: str = ""


def compare(before: Path, after: Path, *, home: str) -> list[Field]:
    """Return the fields of two run folders of one notebook; raises RunError for a journal that cannot be read."""
    old, new = snapshot.read(before), snapshot.read(after)
    return [
        *_origin(before, after, old, new),
        *_parameters(old["params"], new["params"], home),
        *_inputs(_at_home(old["inputs"], home), _at_home(new["inputs"], home)),
        *_files(before, after),
        *predictions(before, after),
        *_metrics(_at_home(_metrics_of(before), home), _at_home(_metrics_of(after), home)),
    ]


def drifted(fields: Sequence[Field]) -> list[str]:
    """Name the fields that decide and differ."""
    return [field.name for field in fields if field.kind == "decides" and not field.same]


def table(fields: Sequence[Field]) -> str:
    """Return one line a field: = for the same, ≠ for what drifted, · for what is measured anew."""
    return "\n".join(_line(field) for field in fields)


def _line(field: Field) -> str:
    mark = "·" if field.kind == "measured" else "=" if field.same else "≠"
    values = field.before if field.same and field.before == field.after else f"{field.before} → {field.after}"
    return f"{mark} {field.name:26} {field.note or values}"


def predictions(before: Path, after: Path) -> list[Field]:
    """Compare predictions.jsonl row by row, by what both sides hold of a row; nothing if neither has the file."""
    old, new = ({row["example_id"]: row for row in read_rows(f / "predictions.jsonl")} for f in (before, after))
    if not old and not new:
        return []
    odd = [i for i in [*old, *(i for i in new if i not in old)] if not _equal(old.get(i), new.get(i))]
    ids = len(old | new)
    more = f" and {len(odd) - SHOWN_IDS} more" if len(odd) > SHOWN_IDS else ""
    note = f"{ids - len(odd)} of {ids} equal" + (f"; differing: {', '.join(odd[:SHOWN_IDS])}{more}" if odd else "")
    return [Field("predictions", "decides", not odd, f"{len(old)} rows", f"{len(new)} rows", note)]


def _equal(old: Mapping | None, new: Mapping | None) -> bool:
    """Compare two rows by the fields both have: a later version of the suite may add some. Time is not compared."""
    if old is None or new is None:
        return False
    return all(old[name] == new[name] for name in (old.keys() & new.keys()) - {"seconds"})


def _origin(before: Path, after: Path, old: Mapping, new: Mapping) -> Iterator[Field]:
    """Compare commit, python, packages and machine."""
    yield _field("git commit", "explains", _commit(old), _commit(new))
    was, now = (json.loads((folder / "env.json").read_text(encoding="utf-8")) for folder in (before, after))
    packages = [made.pop("packages", {}) for made in (was, now)]
    yield _field("python", "explains", was.pop("python", None), now.pop("python", None))
    yield from _pairs("packages", "explains", *packages)
    yield from _pairs("hardware", "explains", was, now)


def _commit(config: Mapping) -> str:
    return config.get("git_commit", "")[:12] + (" with changes" if config.get("git_dirty") else "")


def _parameters(old: Mapping, new: Mapping, home: str) -> Iterator[Field]:
    """Compare the parameters but for the places of the run; those that agree are one line."""
    was, now = snapshot.identity(old), _at_home(snapshot.identity(new), home)
    fields = list(_pairs("parameters", "explains", _at_home(was, home), now))
    equal = sum(field.same for field in fields)
    yield Field("parameters", "explains", True, str(equal), str(equal), f"{equal} of {len(fields)} equal")
    yield from (field for field in fields if not field.same)


def _inputs(old: Mapping, new: Mapping) -> Iterator[Field]:
    """Compare the hashes of data, schema, database and prompt template; one recorded on one side only explains."""
    titles = {"schema": "schema hash", "content": "database hash", "prompts": "prompt template hash"}
    for name in [*old, *(name for name in new if name not in old)]:
        hashes = [_hash(inputs.get(name)) for inputs in (old, new)]
        kind: Kind = "explains" if ABSENT in hashes else "decides"
        yield _field(titles.get(name, f"data: {name}"), kind, *hashes)


def _hash(made: Mapping | None) -> str:
    return (made.get("sha256") or made["value"]) if made else ABSENT


def _files(before: Path, after: Path) -> Iterator[Field]:
    for name in (*DATA_FILES, *OTHER_FILES):
        hashes = [sha256(folder / name) if (folder / name).exists() else ABSENT for folder in (before, after)]
        if hashes != [ABSENT, ABSENT]:
            yield _field(f"file: {name}", "decides" if name in DATA_FILES else "explains", *hashes)


def _metrics_of(folder: Path) -> dict:
    return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))


def _metrics(old: Mapping, new: Mapping) -> Iterator[Field]:
    """Compare what the notebook measured: scores decide, measures differ anyway, the rest that agrees is one line."""
    was, now = dict(_flat(old)), dict(_flat(new))
    fields = [
        _field(f"metrics: {'.'.join(path)}", _kind(path), was.get(path), now.get(path))
        for path in [*was, *(path for path in now if path not in was)]
    ]
    others = [field for field in fields if field.kind == "explains"]
    equal = sum(field.same for field in others)
    yield Field("metrics", "explains", True, str(equal), str(equal), f"{equal} of {len(others)} other values equal")
    yield from (field for field in fields if not field.same or field.kind == "decides")


def _kind(path: tuple[str, ...]) -> Kind:
    """Tell the scores of a run, a method or a compared run from what is part of them, and from what a run costs."""
    if path[0] in MEASURES:
        return "measured"
    whole = len(path) == 1 or (len(path) == 3 and path[0] in ("methods", "runs"))
    return "decides" if whole and path[-1] in SCORES else "explains"


def _flat(value: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the leaves of nested dicts with the keys that lead to them; a list is a leaf."""
    if not isinstance(value, Mapping):
        yield path, value
        return
    for key, inner in value.items():
        yield from _flat(inner, *path, str(key))


def _at_home(value: Any, home: str) -> Any:
    """Name runs as they are below the suite folder `home`, in keys and values; 06_evaluate may name its suite."""
    if isinstance(value, Mapping):
        return {_at_home(key, home): _at_home(inner, home) for key, inner in value.items()}
    if isinstance(value, list):
        return [_at_home(inner, home) for inner in value]
    prefix = rf"(?<![\w./-])(?:{re.escape(home)}|{re.escape(Path(home).name)})/"
    return re.sub(prefix, "", value) if isinstance(value, str) else value


def _pairs(group: str, kind: Kind, old: Mapping, new: Mapping) -> Iterator[Field]:
    for name in [*old, *(name for name in new if name not in old)]:
        yield _field(f"{group}: {name}", kind, old.get(name, ABSENT), new.get(name, ABSENT))


def _field(name: str, kind: Kind, before: Any, after: Any) -> Field:
    return Field(name, kind, before == after, _text(before), _text(after))


def _text(value: Any) -> str:
    text = ABSENT if value is None else str(value)
    return f"{text[:12]}…" if len(text) == 64 else text
