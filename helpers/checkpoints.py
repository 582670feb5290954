"""Which checkpoint of a training is kept: each answers questions, and the one that answers best is the adapter.

    FOLDER/dev/checkpoints.jsonl    {"step": 20, "ex": 0.31, "ex_superset": 0.35, "va": 0.82, "seconds": 41.2}
    FOLDER/checkpoints/seconds      1260.4, what training has taken up to the last checkpoint, over all its starts

>>> best(read(folder))["step"]
40

A callable scores a checkpoint, `score(model, step) -> {"ex": 0.31, …}`: its first number decides, the next one breaks
a tie, and among equals the earlier checkpoint wins. The last step of a training is scored too. What the numbers mean
is the caller's affair.

A 4-bit model on a CPU must not generate between two steps, since its weights would be repacked and its gradients
wrong, and a module that is spread over processes cannot: there a second copy of the base is loaded, wears the
checkpoint's adapter, and is freed again. Anywhere else the module that is trained answers in eval mode. Neither
changes the random numbers that training goes on with. Answering on a GPU has not been tried.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from helpers import journal, models, params, runtime
from helpers.params import Qlora

log = logging.getLogger(__name__)

JOURNAL = Path("dev") / "checkpoints.jsonl"
Score = Callable[[models.Model, int], Mapping[str, float]]


def read(folder: str | Path) -> list[dict]:
    """Return the rows of a run's scored checkpoints, in the order of their steps; none if none was scored."""
    return journal.read_rows(Path(folder) / JOURNAL)


def best(rows: Sequence[Mapping]) -> Mapping | None:
    """Return the row of the best checkpoint, or None without rows."""
    return max(rows, key=_merit, default=None)  # the first of equals


def exhausted(rows: Sequence[Mapping], patience: int) -> bool:
    """Tell whether the last `patience` checkpoints were no better than one before them; never with a patience of 0."""
    return 0 < patience <= sum(row["step"] > best(rows)["step"] for row in rows) if rows else False


def chosen(folder: str | Path) -> Path:
    """Return the checkpoint whose adapter a finished training chose: the best scored one, or else the last."""
    checkpoints, row = Path(folder) / "checkpoints", best(read(folder))
    if row:
        return checkpoints / f"checkpoint-{row['step']}"
    return max(checkpoints.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))


@dataclass(eq=False)
class Exam:
    """The scoring of a training's checkpoints: by what, of which model, in which run folder.

    `plain()` gives the module its usual attention while it answers. `spread` says that the module's weights are dealt
    over processes.
    """

    score: Score
    model: models.Model
    params: Qlora
    folder: Path
    plain: Callable[[], contextlib.AbstractContextManager] = contextlib.nullcontext
    spread: bool = False

    @property
    def exhausted(self) -> bool:
        """Tell whether training should stop early."""
        return exhausted(read(self.folder), self.params.early_stopping_patience)

    def resume(self, step: int, last: int) -> None:
        """Drop rows beyond the step training goes on from, and score its checkpoint if a kill prevented that."""
        if _is_first_process():
            kept = [row for row in read(self.folder) if row["step"] <= step]
            path = self.folder / JOURNAL
            path.parent.mkdir(parents=True, exist_ok=True)
            journal.replace_file(path, "".join(map(journal.to_line, kept)))
        _wait()
        self.sit(step, last)

    def sit(self, step: int, last: int) -> None:
        """Score the checkpoint of a step, if it is one to score and has no score yet."""
        scored = any(row["step"] == step for row in read(self.folder))
        _wait()  # no process may write before all have looked
        if scored or not self.due(step, last):
            return
        if _is_first_process():
            self._append(step)
        _wait()

    def protect(self, state, output: str) -> None:
        """Tell the Trainer's state which checkpoint is the best so far, which keeps it from being deleted."""
        row = best(read(self.folder))
        if row:
            state.best_global_step = row["step"]
            state.best_model_checkpoint = str(Path(output) / f"checkpoint-{row['step']}")

    def on_step_end(self, args, state, control, **kwargs) -> None:
        """Let the Trainer save what is to be scored; an event of its callbacks."""
        control.should_save = control.should_save or self.due(state.global_step, state.max_steps)

    def on_save(self, args, state, control, **kwargs) -> None:
        """Score what was saved, if it is due, and end the training when patience is out; an event of the callbacks."""
        self.sit(state.global_step, state.max_steps)
        self.protect(state, args.output_dir)
        control.should_training_stop = control.should_training_stop or self.exhausted

    def due(self, step: int, last: int) -> bool:
        """Tell whether the checkpoint of a step is one to score."""
        return step > 0 and (step % self.params.eval_steps == 0 or step == last)

    def _append(self, step: int) -> None:
        started = time.monotonic()
        with self._answering(self.folder / "checkpoints" / f"checkpoint-{step}") as ready:
            scores = dict(self.score(ready, step))
        seconds = time.monotonic() - started
        with journal.open_journal(self.folder / JOURNAL) as rows:
            journal.append(rows, {"step": step, **scores, "seconds": round(seconds, 1)})
        log.info("Checkpoint %d: %s", step, ", ".join(f"{name} {value:.3f}" for name, value in scores.items()))

    @contextlib.contextmanager
    def _answering(self, checkpoint: Path):
        """Yield a model that answers as the checkpoint does; leave the module and the random numbers as they were."""
        import torch

        device = self.model.model.device
        runtime.give_back_memory()
        with torch.random.fork_rng(), self.plain():
            if self.spread or (self.params.load_in_4bit and device.type == "cpu"):
                yield models.load(self.model.id, adapter=checkpoint, device=str(device),
                                  **params.quantisation(self.params))
            else:
                yield replace(self.model, attention="", prefix=None)
        runtime.give_back_memory()


@dataclass(eq=False)
class Clock:
    """The time a training takes, over all its starts; with `minutes`, the first save after them is its last."""

    folder: Path
    minutes: float = 0.0
    started: float = 0.0
    before: float = 0.0

    @property
    def spent(self) -> float:
        """Return the seconds up to the last checkpoint."""
        path = self.folder / "checkpoints" / "seconds"
        return float(path.read_text()) if path.exists() else 0.0

    @property
    def is_up(self) -> bool:
        """Tell whether training has taken its minutes; never with none given."""
        return 0 < 60 * self.minutes <= self.spent

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        """Start; an event of the Trainer's callbacks."""
        self.started, self.before = time.monotonic(), self.spent

    def on_save(self, args, state, control, **kwargs) -> None:
        """Note the time, and end the training when it is up; an event of the callbacks."""
        _wait()
        if _is_first_process():  # every process goes by its clock
            seconds = self.before + time.monotonic() - self.started
            journal.replace_file(self.folder / "checkpoints" / "seconds", f"{seconds:.1f}")
        _wait()
        control.should_training_stop = control.should_training_stop or self.is_up


def _merit(row: Mapping) -> tuple:
    return tuple(value for name, value in row.items() if name not in ("step", "seconds"))


def _is_first_process() -> bool:
    from accelerate import PartialState

    return PartialState().is_main_process


def _wait() -> None:
    """Wait until all processes are here."""
    from accelerate import PartialState

    PartialState().wait_for_everyone()
