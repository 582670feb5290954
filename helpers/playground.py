"""Ask a question, see the SQL, change it, run it: a view of core ipywidgets over a predictor.

>>> playground.view(predict=lambda question: fewshot.ask(question, context, model), execute=database.execute)

`predict(question)` returns a Prediction, `execute(sql)` a Result; the view knows nothing of how either works. Every
question is given to `log` with its SQL. Core widgets only, since Colab has no others without a widget manager.
"""

import html
import logging
from collections.abc import Callable, Sequence

from helpers import tables
from helpers.database import Result
from helpers.runs import Prediction

SHOWN_ROWS = 200

logger = logging.getLogger(__name__)


def view(
    predict: Callable[[str], Prediction],
    execute: Callable[[str], Result],
    *,
    questions: Sequence[str] = (),
    log: Callable[[dict], None] = lambda row: None,
):
    """Build the playground and return its widget; `questions` fill the list of examples."""
    import ipywidgets as w

    wide = w.Layout(width="98%")
    example = w.Dropdown(options=["", *questions], description="Examples", layout=wide)
    question = w.Text(placeholder="How many customers are in France?", description="Question", layout=wide)
    statement = w.Textarea(description="SQL", rows=4, layout=wide)
    ask = w.Button(description="Ask", button_style="primary", tooltip="Let the model write SQL and run it")
    run = w.Button(description="Run SQL", tooltip="Run the SQL as it stands in the box")
    status, answer = w.HTML(), w.HTML()
    status.add_class("status")
    answer.add_class("answer")

    def show(result: Result) -> None:
        status.value = _message(result)
        answer.value = "" if result.error else tables.result(result, rows=SHOWN_ROWS).to_html(index=False, border=0)

    def on_ask(_button) -> None:
        asked = question.value.strip()
        if not asked:
            status.value = "Write a question first."
            return
        ask.disabled, status.value = True, "Writing SQL …"
        try:
            prediction = predict(asked)
            statement.value = prediction.sql
            show(result := execute(prediction.sql))
            log({"question": asked, "sql": prediction.sql, "error": result.error})
        except Exception as error:  # a callback's exception would vanish: show it, and keep its trace
            logger.exception("the question %r failed", asked)
            status.value = f"<b>{type(error).__name__}</b>: {html.escape(str(error))}"
        finally:
            ask.disabled = False

    example.observe(lambda change: setattr(question, "value", change["new"]), names="value")
    ask.on_click(on_ask)
    run.on_click(lambda _button: show(execute(statement.value)))
    return w.VBox(
        [example, question, w.HBox([ask, run]), statement, status, answer], layout=w.Layout(max_width="960px")
    )


def _message(result: Result) -> str:
    if result.error:
        return f"<span style='color:#b00020'>Error {result.error_code}: {html.escape(result.error)}</span>"
    more = ", and there are more" if result.truncated or len(result.rows) > SHOWN_ROWS else ""
    return f"{min(len(result.rows), SHOWN_ROWS)} row(s) in {result.seconds:.2f} s{more}"
