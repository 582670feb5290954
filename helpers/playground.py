"""Ask a question, see the SQL, change it, run it: a view of core ipywidgets over predictors.

>>> playground.view({"few-shot": ask, "ReAct": act}, database.execute, questions=["How many orders?"])

A predictor is called as `ask(question, report)` in a thread of its own and returns a Prediction. On its way it calls
`report(text)` with what has been written so far, as often as it likes; once Stop was pressed, `report` raises Stopped,
which a predictor lets pass. The view knows nothing of how predictors work. Every answer is given to `log` as a row.

Only VBox, HBox, Text, Textarea, Dropdown, Button and HTML are used, since Colab has no others without a widget
manager. One question is asked at a time; with a second predictor both answer it, one after the other. Stop does not
end a statement that the database is running: its own time limit does.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from helpers.database import Result
from helpers.playground_panel import Answer, Judge, Panel, is_trace
from helpers.playground_style import SHEET
from helpers.runs import Prediction

__all__ = ["Playground", "Stopped", "in_background", "view"]

Report = Callable[[str], None]
Predict = Callable[[str, Report], Prediction]

KEPT_TURNS = 30
NOBODY = "nobody"
TICK_S = 0.25
GRACE_S = 0.15  # Enter reaches the kernel just before the text that was typed

logger = logging.getLogger(__name__)


class Stopped(Exception):
    """Stop was pressed; raised by `report` inside a predictor."""


@dataclass(frozen=True)
class Turn:
    """One question of the session and its answers, as the history brings them back."""

    question: str
    answers: tuple[Answer, ...]


def view(
    predictors: Mapping[str, Predict],
    execute: Callable[[str], Result],
    *,
    questions: Sequence[str] = (),
    judge: Judge = lambda question, result: None,
    log: Callable[[dict], None] = lambda row: None,
):
    """Build the playground and return its widget.

    `questions` fill the list of examples; `judge(question, result)` says whether an answer equals the question's gold.
    """
    return Playground(predictors, execute, questions, judge, log).widget


def in_background(work: Callable[[], None], tick: Callable[[], None]) -> None:
    """Do `work` in a thread, so that the kernel stays free for Stop, and call `tick` from another until it is done."""
    worker = threading.Thread(target=work, name="playground", daemon=True)

    def ticking() -> None:
        while worker.is_alive():
            tick()
            worker.join(TICK_S)

    worker.start()
    threading.Thread(target=ticking, name="playground-clock", daemon=True).start()


class Playground:
    """The widgets and what a session has asked; made by `view`."""

    def __init__(self, predictors, execute, questions=(), judge=lambda question, result: None,
                 log=lambda row: None, start=in_background):  # fmt: skip
        self.predictors, self.log, self.start = dict(predictors), log, start
        self.panels = [Panel(execute, judge), Panel(execute, judge, label=", second")]
        self.stopping, self.paint = threading.Event(), threading.Lock()
        self.working, self.written, self.begun = None, "", 0.0
        self._make(questions)
        self.question.on_msg(self._on_message)
        self.ask.on_click(lambda _button: self._begin(self._ask))
        self.stop.on_click(lambda _button: self._on_stop())
        self.examples.observe(self._on_example, names="value")
        self.second.observe(lambda _change: self._lay_out(), names="value")
        for panel in self.panels:
            panel.run.on_click(lambda _button, p=panel: self._begin(lambda: self._guarded(p, p.execute_shown)))

    def _make(self, questions: Sequence[str]) -> None:
        import ipywidgets as w

        names = list(self.predictors)
        self.question = w.Text(
            description="Question", placeholder="How many customers are in France?", continuous_update=False
        )
        self.ask = w.Button(description="Ask", button_style="primary", tooltip="Let the predictor write SQL and run it")
        self.stop = w.Button(description="Stop", disabled=True, tooltip="Stop writing")
        self.progress = w.HTML()
        examples = [("Choose one …", ""), *((question, question) for question in questions)]
        self.examples = w.Dropdown(description="Example questions", options=examples)
        self.first = w.Dropdown(description="Predictor", options=names)
        self.second = w.Dropdown(description="Compare with", options=[NOBODY, *names])
        self.side_by_side, self.history, self.turns = w.HBox([self.panels[0].widget]), w.VBox(), []
        asking = w.HBox([self.question, self.ask, self.stop])
        choosing = w.HBox([self.examples, self.first, self.second])
        for widget, kind in (
            (self.question, "wide"), (self.examples, "wide"), (self.first, "part"), (self.second, "part"),
            (self.progress, "progress"), (self.side_by_side, "panels"), (self.history, "history"),
        ):  # fmt: skip
            widget.add_class(kind)
        self.widget = w.VBox([w.HTML(SHEET), asking, choosing, self.progress, self.side_by_side, self.history])
        self.widget.add_class("nlq")

    def _on_message(self, _widget, content: dict, _buffers) -> None:
        """Ask on Enter. `Text.on_submit` would do, but is deprecated for what also fires when the focus leaves."""
        if content.get("event") == "submit":
            self._begin(lambda: (time.sleep(GRACE_S), self._ask()))

    def _on_example(self, change: dict) -> None:
        if change["new"]:
            self.question.value = change["new"]
            self.examples.value = ""  # so that the same one can be chosen again

    def _on_stop(self) -> None:
        self.stopping.set()
        self.progress.value = '<p role="status">Stopping …</p>'

    def _lay_out(self) -> None:
        shown = self.panels if self.second.value != NOBODY else self.panels[:1]
        self.side_by_side.children = [panel.widget for panel in shown]

    def _begin(self, work: Callable[[], None]) -> None:
        """Start some work, unless some is under way."""
        if self.ask.disabled:
            return
        self._busy(True)
        self.stopping.clear()
        self.begun = time.monotonic()

        def working() -> None:
            try:
                work()
            finally:
                with self.paint:
                    self.working = None
                    self._busy(False)

        self.start(working, self._tick)

    def _busy(self, busy: bool) -> None:
        self.ask.disabled = busy
        for panel in self.panels:
            panel.run.disabled = busy
        self.stop.disabled = not busy

    def _ask(self) -> None:
        """Let each chosen predictor answer the question; keep the turn when all have."""
        question = self.question.value.strip()
        if not question:
            self.progress.value = '<p role="alert">Write a question first.</p>'
            return
        names = [self.first.value] + ([self.second.value] if self.second.value != NOBODY else [])
        for panel, name in zip(self.panels, names, strict=False):
            panel.begin(name, question)
        at = datetime.now(UTC).isoformat(timespec="seconds")
        answers = [self._guarded(panel, lambda p=panel, n=name: self._answer(p, n, question, at))
                   for panel, name in zip(self.panels, names, strict=False)]  # fmt: skip
        if done := tuple(answer for answer in answers if answer):
            self._remember(Turn(question, done))

    def _guarded(self, panel: Panel, work: Callable):
        """Do a panel's work; what goes wrong is shown in it, with its trace in the kernel's log."""
        try:
            return work()
        except Stopped:
            self.progress.value = '<p role="status">Stopped.</p>'
        except Exception as error:  # any library's: a person is waiting to read it
            logger.exception("the playground could not answer")
            panel.fail(error)
        return None

    def _answer(self, panel: Panel, name: str, question: str, at: str) -> Answer:
        """Ask one predictor, show its answer, and log it."""
        self.written, self.working = "", panel
        self._report("")
        begun = time.monotonic()
        prediction = self.predictors[name](question, self._report)
        with self.paint:
            self.working, self.progress.value = None, ""
        trace = self.written if is_trace(self.written) else ""
        answer = Answer(name, question, prediction.sql, prediction.error, trace)
        result, judged = panel.show(answer)
        self.log({"at": at, **asdict(answer), "error": result.error, "rows": len(result.rows),
                  "equals_gold": judged.equal if judged else None,
                  "seconds": round(time.monotonic() - begun, 2)})  # fmt: skip
        return answer

    def _report(self, text: str) -> None:
        if self.stopping.is_set():
            raise Stopped
        self.written = text

    def _tick(self) -> None:
        """Show how far the predictor is: its words so far, and the seconds."""
        with self.paint:
            if self.working is None or self.stopping.is_set():
                return
            self.working.write(self.written)
            seconds = time.monotonic() - self.begun
            self.progress.value = f"<p>Working … {seconds:.0f} s, {len(self.written.split())} words</p>"

    def _remember(self, turn: Turn) -> None:
        """Put a turn on top of the history, as a button that brings it back."""
        import ipywidgets as w

        names = " and ".join(answer.predictor for answer in turn.answers)
        button = w.Button(description=turn.question, tooltip=f"Bring back: {turn.question} ({names})")
        button.on_click(lambda _button: self._begin(lambda: self._bring_back(turn)))
        earlier = [(kept, made) for kept, made in self.turns if kept != turn]
        self.turns = [(turn, button), *earlier][:KEPT_TURNS]
        heading = w.HTML("<h3>Asked in this session</h3>")
        self.history.children = [heading, *(made for _, made in self.turns)]

    def _bring_back(self, turn: Turn) -> None:
        """Show a turn's question and answers again; its statements are run anew."""
        self.question.value = turn.question
        self.first.value = turn.answers[0].predictor
        self.second.value = turn.answers[1].predictor if len(turn.answers) > 1 else NOBODY
        for panel, answer in zip(self.panels, turn.answers, strict=False):
            self._guarded(panel, lambda p=panel, a=answer: p.show(a))
