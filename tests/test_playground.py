"""The playground's logic, in process: core widgets are set and clicked, no browser."""

import pytest

from helpers import database, playground
from helpers.runs import Prediction


@pytest.fixture(scope="module")
def sample():
    with database.connect("sample") as opened:
        yield opened


def parts(view):
    """Return the widgets by their label, or by their class where they have none."""
    found, waiting = {}, [view]
    while waiting:
        widget = waiting.pop()
        waiting += getattr(widget, "children", ())
        found[getattr(widget, "description", "") or "".join(widget._dom_classes)] = widget
    return found


def answering(sql):
    return lambda question: Prediction("asked", nlq=question, sql=sql)


def test_a_question_becomes_sql_rows_and_a_line_in_the_log(sample):
    log = []
    view = parts(playground.view(answering("SELECT COUNT(*) AS n FROM orders"), sample.execute, log=log.append))
    view["Question"].value = "How many orders?"
    view["Ask"].click()
    assert view["SQL"].value == "SELECT COUNT(*) AS n FROM orders"
    assert view["status"].value.startswith("1 row(s)") and not view["Ask"].disabled
    assert "326" in view["answer"].value
    assert log == [{"question": "How many orders?", "sql": "SELECT COUNT(*) AS n FROM orders", "error": ""}]


def test_edited_sql_is_run_as_it_stands(sample):
    view = parts(playground.view(answering("SELECT 1"), sample.execute))
    view["SQL"].value = "SELECT city FROM offices WHERE officeCode = '4'"
    view["Run SQL"].click()
    assert "Paris" in view["answer"].value


@pytest.mark.parametrize(
    "sql, said", [("DROP TABLE orders", "Error guard: Only SELECT"), ("SELECT x FROM orders", "Error 1054")]
)
def test_an_error_is_one_readable_sentence(sample, sql, said):
    view = parts(playground.view(answering(sql), sample.execute))
    view["Question"].value = "?"
    view["Ask"].click()
    assert said in view["status"].value and not view["answer"].value


def test_a_failing_model_is_shown_and_not_swallowed(sample):
    def predict(question):
        raise RuntimeError("the model <died>")

    view = parts(playground.view(predict, sample.execute))
    view["Question"].value = "?"
    view["Ask"].click()
    assert (
        "RuntimeError" in view["status"].value and "&lt;died&gt;" in view["status"].value and not view["Ask"].disabled
    )


def test_nothing_is_asked_without_a_question_and_examples_fill_it_in(sample):
    view = parts(playground.view(answering("SELECT 1"), sample.execute, questions=["How many orders?"]))
    view["Ask"].click()
    assert view["status"].value == "Write a question first."
    view["Examples"].value = "How many orders?"
    assert view["Question"].value == "How many orders?"


def test_a_long_result_is_cut_and_says_so(sample):
    view = parts(playground.view(answering("SELECT * FROM orderdetails"), sample.execute))
    view["Question"].value = "?"
    view["Ask"].click()
    assert view["status"].value.startswith("200 row(s)") and "there are more" in view["status"].value
