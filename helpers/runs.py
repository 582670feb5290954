"""A run folder: what was asked for, on which machine, what came out, and how to go on after a kill.

>>> run = start(params.load("params/demo/03_baseline.yaml"))      # outputs/demo/03_baseline/
>>> run.depends(schema=database.schema.hash)                      # refused if the folder was begun with another
>>> for example in run.unanswered(examples):
...     run.record(Prediction(example.id, sql="SELECT 1"))
>>> run.finish({"answered": len(examples)})

The folder holds config.yaml, env.json, status, metrics.json, predictions.jsonl and timings.jsonl. Seconds are kept
apart from the rows, so that two runs of one configuration leave the same predictions.jsonl to the byte. Knows neither
SQL nor models. Two processes may not write to one folder at the same time: the second is refused.
"""

import atexit
import fcntl
import json
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from helpers import drive, mirror, runtime, snapshot
from helpers.journal import (
    Prediction,
    RunError,
    append,
    open_journal,
    predictions,
    read_rows,
    replace_file,
    sha256,
    to_line,
)
from helpers.params import Common, notebook_of

__all__ = [
    "Prediction",
    "Run",
    "RunError",
    "adapter_folder",
    "copy",
    "environment",
    "folder_of",
    "is_finished",
    "note",
    "predictions",
    "read_rows",
    "sha256",
    "start",
    "status",
    "to_line",
    "upstream",
]

environment = snapshot.environment

FINISHED, FAILED, RUNNING = "finished", "failed", "running"
COPY_EVERY_S = 300.0
LOCK_PATIENCE_S = 5.0


@dataclass
class Run:
    """An open run folder; made by `start`."""

    folder: Path
    params: Common
    started: float = field(default_factory=time.monotonic)
    inputs: dict[str, dict[str, str]] = field(default_factory=dict)
    journals: dict[str, TextIO] = field(default_factory=dict)
    copied: float = field(default_factory=time.monotonic)

    def depends(self, **inputs: str | Path) -> None:
        """Add what the run depends on to config.yaml: a fact as text, or a file by its sha256.

        Raises RunError if the folder was begun with another value, or if a file cannot be read.
        """
        for name, value in inputs.items():
            now = {"path": str(value), "sha256": sha256(value)} if isinstance(value, Path) else {"value": value}
            before = self.inputs.get(name, now)
            if (before.get("sha256"), before.get("value")) != (now.get("sha256"), now.get("value")):
                raise RunError(f"{self.folder} was begun with another {name}: {_ELSEWHERE}.")
            self.inputs[name] = now
        self.write("config.yaml", snapshot.take(self.params, self.inputs))

    def unanswered(self, examples: Iterable) -> list:
        """Return the examples that have no row in predictions.jsonl yet, in their order."""
        journal = self._journal("predictions.jsonl")
        done = {row["example_id"] for row in read_rows(Path(journal.name))}
        return [example for example in examples if example.id not in done]

    def predictions(self, examples: Iterable) -> list[Prediction]:
        """Return the predictions so far for these examples, in the examples' order."""
        by_id = {prediction.example_id: prediction for prediction in predictions(self.folder)}
        return [by_id[example.id] for example in examples if example.id in by_id]

    def record(self, prediction: Prediction) -> None:
        """Append one prediction, flushed before this returns; raises RunError when the disk is full."""
        row = asdict(prediction)
        self.append("timings.jsonl", {"example_id": prediction.example_id, "seconds": round(row.pop("seconds"), 4)})
        self.append("predictions.jsonl", row)
        if time.monotonic() - self.copied >= COPY_EVERY_S:
            self.copy()

    def append(self, name: str, row: Mapping[str, Any]) -> None:
        """Append a row to a journal of the folder, flushed before this returns; raises RunError on a full disk."""
        append(self._journal(name), row)

    def write(self, name: str, value: Any) -> Path:
        """Replace a file of the folder in one move: text as it is, anything else as JSON."""
        text = value if isinstance(value, str) else json.dumps(value, indent=1, ensure_ascii=False) + "\n"
        return replace_file(self.folder / name, text)

    def copy(self) -> None:
        """Copy the folder to the parameter `copy_to`, if there is one; a copy that fails is a warning."""
        copy(self.params)
        self.copied = time.monotonic()

    def finish(self, metrics: Mapping[str, Any] | None = None, *, order: Iterable[str] = ()) -> Path:
        """Close the run as finished: metrics.json, LOGBOOK line, status; returns the folder.

        Journals are put into the `order` of the example ids, since rows arrive in the order in which they are
        ready, and that differs between a run that was killed and one that was not.
        """
        for journal in self.journals.values():
            journal.close()
        self.journals.clear()  # a row that comes later opens its journal anew
        position = {example_id: n for n, example_id in enumerate(order)}
        for path in self.folder.glob("*.jsonl") if position else ():
            rows = {row["example_id"]: row for row in read_rows(path)}
            replace_file(path, "".join(to_line(rows[i]) for i in sorted(rows, key=position.__getitem__)))
        _log(self, self._close(FINISHED, metrics or {}))
        _unlock(self.folder)
        return self.folder

    def fail(self, reason: str) -> None:
        """Close the run as failed, keeping what was written; metrics.json says why."""
        self._close(FAILED, {"error": reason})

    def rows(self, name: str) -> list[dict[str, Any]]:
        """Read a journal of this run, without the line that a kill left unfinished."""
        self._journal(name)
        return read_rows(self.folder / name)

    def _journal(self, name: str) -> TextIO:
        if name not in self.journals:
            self.journals[name] = open_journal(self.folder / name)
        return self.journals[name]

    def _close(self, status: str, metrics: Mapping[str, Any]) -> dict[str, Any]:
        runtime_s = round(time.monotonic() - self.started, 1)
        measured = {**metrics, **_notes, "runtime_s": runtime_s, **runtime.peak_memory()}
        self.write("metrics.json", measured)
        self.write("status", status)
        self.copy()
        return measured


def start(params: Common) -> Run:
    """Make or reopen the run folder OUT/NOTEBOOK[/VARIANT] and write config.yaml and env.json.

    A reopened folder goes on where it stopped. Raises RunError if it was made with other parameters, or if
    another process is writing to it.
    """
    runtime.show_log()
    drive.mount_for(params.copy_to)
    folder = folder_of(params)
    folder.mkdir(parents=True, exist_ok=True)
    before, now = snapshot.read(folder), params.model_dump()
    if before and snapshot.identity(before["params"]) != snapshot.identity(now):
        raise RunError(f"{folder} was made with {snapshot.changes(before['params'], now)}: {_ELSEWHERE}.")
    _lock(folder)
    run = Run(folder, params, inputs=before.get("inputs", {}))
    run.write("config.yaml", snapshot.take(params, run.inputs))
    run.write("env.json", environment())
    run.write("status", RUNNING)
    _notes.clear()
    runtime.forget_peak_memory()
    runtime.seed_everything(params.seed)
    _watch(run)
    return run


def folder_of(params: Common) -> Path:
    """Return the run folder of these parameters."""
    return Path(params.out) / notebook_of(params) / params.variant


def copy(params: Common) -> None:
    """Copy a run's folder to COPY_TO/SUITE/NOTEBOOK[/VARIANT], if its parameter `copy_to` says where."""
    if params.copy_to:
        suite = Path(params.copy_to) / Path(params.out).resolve().name
        mirror.copy(folder_of(params), suite / notebook_of(params) / params.variant)


def note(**facts: Any) -> None:
    """Add facts to the metrics.json of the run that is open in this process, such as `model_reused`."""
    _notes.update(facts)


def is_finished(params: Common) -> bool:
    """Tell whether a finished run of these parameters stands, made from files that are still the same."""
    folder = folder_of(params)
    config = snapshot.read(folder)
    if status(folder) != FINISHED or snapshot.identity(config["params"]) != snapshot.identity(params.model_dump()):
        return False
    files = [made for made in config["inputs"].values() if "path" in made]
    return all(Path(f["path"]).is_file() and sha256(Path(f["path"])) == f["sha256"] for f in files)


def status(folder: Path) -> str:
    """Return `running`, `failed`, `finished`, or "" for a folder that is no run."""
    path = folder / "status"
    return path.read_text().strip() if path.exists() else ""


def upstream(out: str, name: str) -> Path:
    """Return the folder of a finished run this one builds on: `name` below `out`, or a path of its own.

    Raises RunError saying which notebook to run first.
    """
    folder = Path(out) / name
    if not folder.exists() and Path(name).exists():
        folder = Path(name)
    if status(folder) != FINISHED:
        raise RunError(f"{folder} is not a finished run: run {Path(name).name} first.")
    return folder


def adapter_folder(out: str, name: str) -> str:
    """Return the folder of the adapter of a run of 05_qlora, a folder that is one as it is, or "" for no name."""
    if not name or (Path(name) / "adapter_config.json").is_file():
        return name
    return str(upstream(out, name) / "adapter")


_ELSEWHERE = "choose another --out or variant, or delete the folder"
_locks: dict[Path, TextIO] = {}
_notes: dict[str, Any] = {}


def _lock(folder: Path) -> None:
    """Hold a lock on the folder until the run is finished or this process ends; the system frees it, also after a kill.

    A kernel outlives a killed suite by a moment, so a lock that is held is asked for again for some seconds.
    """
    if folder.resolve() in _locks:
        return  # a cell that was run again
    handle = (folder / ".lock").open("w")
    deadline = time.monotonic() + LOCK_PATIENCE_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise RunError(f"{folder} is being written by another process: wait for it or end it.") from error
            time.sleep(0.1)
    _locks[folder.resolve()] = handle


def _unlock(folder: Path) -> None:
    """Let others have a finished run's folder, while this process may live on: a second tab of the playground."""
    if handle := _locks.pop(folder.resolve(), None):
        handle.close()


def _watch(run: Run) -> None:
    """Mark the run as failed when a cell raises, or when the process ends before `finish`."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None

    def after_cell(result) -> None:
        error = result.error_before_exec or result.error_in_exec
        if error is not None and status(run.folder) == RUNNING:
            run.fail(f"{type(error).__name__}: {error}")

    if shell is not None:
        shell.events.register("post_run_cell", after_cell)
    atexit.register(lambda: status(run.folder) == RUNNING and run.fail("the process ended before the run did"))


def _log(run: Run, measured: Mapping[str, Any]) -> None:
    """Add the run's line to LOGBOOK.md beside the suite folder."""
    path = Path(run.params.out).parent / "LOGBOOK.md"
    machine = runtime.hardware()
    gpu = machine["gpu"] or {}
    scores = [f"{measured[name]:.3f}" if isinstance(measured.get(name), float) else "" for name in ("va", "ex", "ts")]
    cells = [
        datetime.now().strftime("%Y-%m-%d %H:%M"),
        run.folder,
        getattr(run.params, "model_id", ""),
        gpu.get("name", "none"),
        gpu.get("vram_gb", ""),
        machine["ram_gb"],
        measured["runtime_s"],
        measured["peak_vram_mb"],
        *scores,
    ]
    head = "| date | run | model | GPU | VRAM GB | RAM GB | runtime s | peak VRAM MB | VA | EX | TS |\n"
    with path.open("a", encoding="utf-8") as logbook:
        logbook.write("" if path.stat().st_size else head + "|---" * 11 + "|\n")
        logbook.write("| " + " | ".join(map(str, cells)) + " |\n")
