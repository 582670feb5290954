"""One answer in the playground: SQL that can be changed and run, what the guard and the database said, the rows.

>>> panel = Panel(execute=database.execute)
>>> panel.show(Answer("few-shot", "How many orders?", "SELECT COUNT(*) FROM orders"))
>>> panel.status.value
'<p role="status">1 row in 0.01 s …</p>'

Core widgets only. What a predictor has written so far is shown as it is; where it is a trace (lines that begin with
Thought, Action and Observation) it stays beside the answer. Knows nothing of who answers, and journals nothing.
"""

import html
import re
from collections.abc import Callable
from dataclasses import dataclass

from helpers import playground_chart, playground_fault, playground_table
from helpers.database import Result

_LABEL = re.compile(r"^(Thought|Action|Observation):", re.MULTILINE)


@dataclass(frozen=True)
class Judged:
    """A question's gold, and whether an answer equals it."""

    gold: str
    equal: bool


@dataclass(frozen=True)
class Answer:
    """What one predictor made of one question; `error` is why there is no SQL, `trace` how it got there."""

    predictor: str
    question: str
    sql: str
    error: str = ""
    trace: str = ""


Judge = Callable[[str, Result], Judged | None]


class Panel:
    """The widgets of one answer; `label` tells the second panel's from the first's."""

    def __init__(self, execute: Callable[[str], Result], judge: Judge = lambda question, result: None, label: str = ""):
        import ipywidgets as w

        self.execute, self.judge, self.question = execute, judge, ""
        self.name, self.status, self.draft, self.rows = w.HTML(), w.HTML(), w.HTML(), w.HTML()
        self.statement = w.Textarea(description=f"SQL{label}", rows=3, continuous_update=False)
        self.run = w.Button(description=f"Run SQL{label}", tooltip="Run the SQL as it stands in the box")
        for widget, kind in ((self.status, "status"), (self.draft, "draft"), (self.rows, "answer")):
            widget.add_class(kind)
        children = [self.name, self.statement, w.HBox([self.run, self.status]), self.draft, self.rows]
        self.widget = w.VBox(children)
        self.widget.add_class("panel")

    def begin(self, predictor: str, question: str) -> None:
        """Clear the panel for the answer that comes."""
        self.question = question
        self.name.value = f"<h3>{html.escape(predictor)}</h3>"
        self.statement.value = self.status.value = self.draft.value = self.rows.value = ""

    def write(self, text: str) -> None:
        """Show what has been written so far."""
        self.draft.value = draft(text) if text else ""

    def show(self, answer: Answer) -> tuple[Result, Judged | None]:
        """Show an answer, run its SQL and return what came back, judged if there is a gold."""
        self.begin(answer.predictor, answer.question)
        self.statement.value = answer.sql
        self.write(answer.trace)
        return self.execute_shown(answer.error)

    def execute_shown(self, error: str = "") -> tuple[Result, Judged | None]:
        """Run the SQL as it stands in the box, unless an `error` says why there is none, and show what came back."""
        sql = self.statement.value
        result = Result(error=error, error_code="answer") if error and not sql else self.execute(sql)
        judged = None if result.error else self.judge(self.question, result)
        self.rows.value = "" if result.error else page(result)
        self.status.value = said(sql, result, judged)
        return result, judged

    def fail(self, error: Exception) -> None:
        """Show an exception: a callback's would vanish."""
        text = f"{type(error).__name__}: {error}"
        self.status.value = f'<p role="alert" class="fault">{html.escape(text)}</p>'


def draft(text: str) -> str:
    """Return a trace with its labels set off, or any other text as it is."""
    shown = _LABEL.sub(r"<b>\1:</b>", html.escape(text))
    return f'<pre class="trace" tabindex="0" role="region" aria-label="What was written">{shown}</pre>'


def is_trace(text: str) -> bool:
    """Tell whether a text is steps on the way to an answer, not just the answer."""
    return _LABEL.search(text) is not None


def page(result: Result) -> str:
    """Return a result's chart, if one fits, beside its table."""
    chart = playground_chart.choose(result)
    image = f"<div>{playground_chart.image(chart)}</div>" if chart else ""
    return f'<div class="shown">{image}{playground_table.table(result)}</div>'


def said(sql: str, result: Result, judged: Judged | None) -> str:
    """Say in a line what came of a statement: rows and a link to them, or what was wrong and where."""
    if result.error:
        sentence = html.escape(playground_fault.sentence(result.error, result.error_code))
        return f'<div role="alert" class="fault">{sentence}{playground_fault.marked(sql, result.error)}</div>'
    count, link = playground_table.count(result), playground_table.csv_link(result)
    return f'<p role="status">{count} · {link}{_badge(judged)}</p>{_gold(judged)}'


def _badge(judged: Judged | None) -> str:
    if judged is None:
        return ""
    return ' <span class="badge yes">equals the gold</span>' if judged.equal else (
        ' <span class="badge no">differs from the gold</span>')  # fmt: skip


def _gold(judged: Judged | None) -> str:
    gold = html.escape(judged.gold) if judged else ""
    return f"<details><summary>Gold SQL</summary><pre>{gold}</pre></details>" if judged else ""
