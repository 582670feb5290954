"""Files of a run: JSON lines that survive a kill, files replaced in one move, and the `Prediction` record.

>>> with open_journal(Path("predictions.jsonl")) as journal:
...     append(journal, {"example_id": "t001", "sql": "SELECT 1"})
>>> predictions(Path("predictions.jsonl"))[0].sql
'SELECT 1'

A row is on its way to the disk when `append` returns, so a killed process loses none; a power cut may lose the last.
Knows nothing of what is in a row besides a prediction's fields.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TextIO


class RunError(Exception):
    """Say what is wrong with a run folder and what to do about it."""


@dataclass(frozen=True)
class Prediction:
    """One answer; only `example_id` and `sql` are required of anyone's predictions.

    `seconds` is the question's share of the time its batch took. `error` is why there is no usable `sql`.
    """

    example_id: str
    nlq: str = ""
    sql: str = ""
    completion: str = ""
    error: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    steps: int = 1
    model: str = ""
    method: str = ""


def open_journal(path: Path) -> TextIO:
    """Open a journal for appending, first cutting off a last line that a kill left unfinished."""
    if path.exists():
        os.truncate(path, path.read_bytes().rfind(b"\n") + 1)
    return path.open("a", encoding="utf-8")


def append(journal: TextIO, row: Mapping[str, Any]) -> None:
    """Append a row, flushed before this returns; raises RunError when the disk is full."""
    try:
        journal.write(to_line(row))
        journal.flush()
    except OSError as error:
        raise RunError(
            f"{journal.name} cannot be written ({error.strerror}): free some space and start again, "
            "the rows before this one are kept."
        ) from error


def to_line(row: Mapping[str, Any]) -> str:
    """Write a row as its line of JSON."""
    return json.dumps(row, ensure_ascii=False) + "\n"


def read_rows(path: Path, *, required: bool = False) -> list[dict[str, Any]]:
    """Read a JSON-lines file; a missing one is empty unless `required`. Raises RunError naming the line at fault."""
    if not path.exists() and not required:
        return []
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path} cannot be read ({error}): check the path.") from error
    return [_row(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]


def _row(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        return json.loads(line)
    except ValueError as error:
        raise RunError(f"{path}, line {number}, is not JSON ({error}): mend or remove the line.") from error


def predictions(path: Path) -> list[Prediction]:
    """Read predictions.jsonl of a run folder, or any JSON-lines file of predictions, with seconds where known.

    Raises RunError naming the line of a row without `example_id` or `sql`, and whatever `read_rows` raises.
    """
    path = path / "predictions.jsonl" if path.is_dir() else path
    rows = [_prediction(path, number, row) for number, row in enumerate(read_rows(path, required=True), 1)]
    seconds = {row["example_id"]: row["seconds"] for row in read_rows(path.parent / "timings.jsonl")}
    return [replace(row, seconds=seconds.get(row.example_id, row.seconds)) for row in rows]


def _prediction(path: Path, number: int, row: Any) -> Prediction:
    if not isinstance(row, dict) or not {"example_id", "sql"} <= row.keys():
        raise RunError(f"{path}, row {number}: `example_id` and `sql` must be there.")
    known = {f.name for f in fields(Prediction)}
    return Prediction(**{name: value for name, value in row.items() if name in known})


def replace_file(path: Path, text: str) -> Path:
    """Replace a file in one move, so that a kill leaves the old one or the new one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RunError(f"{path} cannot be written ({error.strerror}): free some space and start again.") from error
    return draft.replace(path)


def sha256(path: Path) -> str:
    """Return the sha256 of a file, in hex; raises RunError if it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror}): check the path.") from error
