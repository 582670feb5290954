"""The playground's logic, in process: core widgets are set and clicked, no browser.

Work that a browser's session does in a thread is done at once here, so a click returns when its answer stands.
"""

import base64
import json
import re

import pytest

from helpers import database, dataset, playground, playground_gold, runs
from helpers.params import Playground
from helpers.runs import Prediction


@pytest.fixture(scope="module")
def sample():
    with database.connect("sample") as opened:
        yield opened


def answering(sql, said=()):
    """Make a predictor that writes `said` on its way to `sql`."""

    def predict(question, report):
        for text in said:
            report(text)
        return Prediction("asked", nlq=question, sql=sql)

    return predict


def at_once(work, tick):
    work()


def opened(sample, predictors, **options):
    """Return the view and its widgets by label, or by their own class where they have none."""
    if not isinstance(predictors, dict):
        predictors = {"fixed": predictors}
    view = playground.Playground(predictors, sample.execute, start=at_once, **options)
    return view, parts(view.widget)


def parts(widget):
    found = {getattr(widget, "description", "") or "".join(widget._dom_classes): widget}
    for child in getattr(widget, "children", ()):
        found = parts(child) | found
    return found


def press_enter(view):
    view.question._handle_custom_msg({"event": "submit"}, [])


def test_a_question_becomes_sql_rows_and_a_line_in_the_query_log(sample, tmp_path):
    run = runs.start(Playground(out=str(tmp_path)))
    view, found = opened(
        sample, answering("SELECT COUNT(*) AS n FROM orders"), log=lambda row: run.append("queries.jsonl", row)
    )
    run.finish()
    found["Question"].value = "How many orders?"
    press_enter(view)
    assert found["SQL"].value == "SELECT COUNT(*) AS n FROM orders" and "326" in found["answer"].value
    assert "1 row in" in found["status"].value and not found["Ask"].disabled and found["Stop"].disabled
    [row] = [json.loads(line) for line in (run.folder / "queries.jsonl").read_text().splitlines()]
    assert row["question"] == "How many orders?" and row["sql"] == "SELECT COUNT(*) AS n FROM orders"
    assert (row["predictor"], row["error"], row["rows"], row["equals_gold"]) == ("fixed", "", 1, None)


def test_edited_sql_is_run_as_it_stands(sample):
    _, found = opened(sample, answering("SELECT 1"))
    found["SQL"].value = "SELECT city FROM offices WHERE officeCode = '4'"
    found["Run SQL"].click()
    assert "Paris" in found["answer"].value


def test_nothing_is_asked_without_a_question_and_examples_fill_it_in(sample):
    view, found = opened(sample, answering("SELECT 1"), questions=["How many orders?"])
    found["Ask"].click()
    assert "Write a question first." in found["progress"].value and not view.turns
    found["Example questions"].value = "How many orders?"
    assert found["Question"].value == "How many orders?"


@pytest.mark.parametrize(
    "sql, said, marked",
    [
        ("DROP TABLE orders", "The guard refused this before it reached the database: Only SELECT", "DROP"),
        ("SELECT SLEEP(9) FROM orders", "The function SLEEP is not allowed.", "SLEEP"),
        ("SELECT 1; DELETE FROM orders", "Only one statement", "DELETE FROM orders"),
        ("SELECT 'nme', p.nme FROM products p", "Error 1054: Unknown column", "p.nme"),
        ("SELECT * FROM `prodcts`", "Error 1146: Table", "`prodcts`"),
        ("SELECT status, orderDate FROM orders GROUP BY status", "Error 1055: Expression #2", "orderDate"),
        ("SELECT COUNT(*\nFROM orders", "Error 1064: The statement cannot be read", "FROM"),
        ("SELECT * FROM orders WHERE", "something is missing in Where", "WHERE"),
        ("SELECT orderNumber FROM orders, orderdetails", "Error 1052", "orderNumber"),
        ("SELECT 'a", "not closed", None),
    ],
)
def test_an_error_is_one_sentence_with_the_place_marked(sample, sql, said, marked):
    _, found = opened(sample, answering(sql))
    found["Question"].value = "?"
    found["Ask"].click()
    text = found["status"].value
    assert said in re.sub("&#x27;", "'", text) and "Token" not in text and not found["answer"].value
    assert re.findall("<mark>(.*)</mark>", text) == ([marked] if marked else [])


def test_a_failing_predictor_is_shown_and_not_swallowed(sample):
    def predict(question, report):
        raise RuntimeError("the model <died>")

    view, found = opened(sample, predict)
    found["Question"].value = "?"
    found["Ask"].click()
    assert "RuntimeError: the model &lt;died&gt;" in found["status"].value
    assert not found["Ask"].disabled and not view.turns


def test_an_answer_without_sql_says_why(sample):
    _, found = opened(sample, lambda question, report: Prediction("asked", error="the budget ended"))
    found["Question"].value = "?"
    found["Ask"].click()
    assert "the budget ended" in found["status"].value


def test_stop_ends_the_writing_and_the_next_question_is_answered(sample):
    written = []

    def endless(question, report):
        for n in range(10):
            report(f"SELECT {n}")
            written.append(n)
            if n == 2:
                found["Stop"].click()

    view, found = opened(sample, {"endless": endless, "fixed": answering("SELECT 1")})
    found["Question"].value = "?"
    found["Compare with"].value = "fixed"
    found["Ask"].click()
    assert written == [0, 1, 2] and "Stopped." in found["progress"].value and not view.turns
    found["Predictor"].value = "fixed"
    found["Ask"].click()
    assert "1 row in" in found["status"].value


def test_a_trace_stays_beside_its_answer_and_a_draft_does_not(sample):
    trace = "Thought: I count.\nAction: run_sql(SELECT 1)\nObservation: 1 <row>\n"
    _, found = opened(sample, {"draft": answering("SELECT 1", ["SELECT"]), "trace": answering("SELECT 1", [trace])})
    found["Question"].value = "?"
    found["Ask"].click()
    assert found["draft"].value == ""
    found["Predictor"].value = "trace"
    found["Ask"].click()
    assert "<b>Thought:</b> I count." in found["draft"].value and "1 &lt;row&gt;" in found["draft"].value


def test_what_is_being_written_is_shown_while_it_grows(sample):
    shown = []

    def predict(question, report):
        for text in ("SELECT", "SELECT 1"):
            report(text)
            tick()
            shown.append(found["draft"].value)
        return Prediction("asked", sql="SELECT 1")

    def start(work, ticking):
        nonlocal tick
        tick = ticking
        work()

    tick = None
    view = playground.Playground({"slow": predict}, sample.execute, start=start)
    found = parts(view.widget)
    found["Question"].value = "?"
    found["Ask"].click()
    assert [">SELECT<" in shown[0], ">SELECT 1<" in shown[1]] == [True, True]


def test_two_predictors_answer_side_by_side_and_the_history_brings_them_back(sample):
    log = []
    view, found = opened(
        sample,
        {"a": answering("SELECT 'left' AS side"), "b": answering("SELECT 'right' AS side")},
        log=log.append,
    )
    assert len(view.side_by_side.children) == 1
    found["Question"].value, found["Compare with"].value = "Which side?", "b"
    found["Ask"].click()
    left, right = (panel.rows.value for panel in view.panels)
    assert "left" in left and "right" in right and [row["predictor"] for row in log] == ["a", "b"]
    found["Question"].value, found["Compare with"].value, found["Predictor"].value = "And now?", "nobody", "b"
    found["Ask"].click()
    assert len(view.side_by_side.children) == 1 and "right" in view.panels[0].rows.value
    newest, oldest = view.history.children[1:]
    assert (newest.description, oldest.description) == ("And now?", "Which side?")
    oldest.click()
    assert (found["Question"].value, found["Predictor"].value, found["Compare with"].value) == ("Which side?", "a", "b")
    assert "left" in view.panels[0].rows.value and "right" in view.panels[1].rows.value and len(log) == 3


@pytest.mark.parametrize(
    "sql, verdict",
    [
        ("SELECT COUNT(*) FROM products WHERE productLine = 'Ships'", "equals the gold"),
        ("SELECT COUNT(*) FROM products", "differs from the gold"),
    ],
)
def test_a_question_with_a_gold_says_whether_the_answer_equals_it(sample, sql, verdict):
    examples = dataset.load(dataset.FOLDER / "test.jsonl")
    _, found = opened(sample, answering(sql), judge=playground_gold.judge(examples, sample))
    found["Question"].value = "how many models do we carry in the  Ships line?"
    found["Ask"].click()
    assert verdict in found["status"].value and "AS productCount" in found["status"].value
    found["Question"].value = "Something else?"
    found["Ask"].click()
    assert "the gold" not in found["status"].value


def test_a_long_result_is_cut_says_so_and_downloads_in_full(sample):
    _, found = opened(sample, answering("SELECT orderNumber, comments FROM orders ORDER BY orderNumber"))
    found["Question"].value = "?"
    found["Ask"].click()
    assert "326 rows in" in found["status"].value and "the first 200 are shown" in found["status"].value
    assert found["answer"].value.count("<tr>") == 201
    data = re.search('download="result.csv" href="data:text/csv;charset=utf-8;base64,([^"]+)"', found["status"].value)
    lines = base64.b64decode(data[1]).decode().splitlines()
    assert lines[0] == "orderNumber,comments" and len(lines) >= 327 and "NULL" in found["answer"].value


CHARTS = [
    ("SELECT status, COUNT(*) AS n FROM orders GROUP BY status", "Bars: n by status"),
    ("SELECT COUNT(*) AS n, country FROM offices GROUP BY country", "Bars: n by country"),
    ("SELECT YEAR(orderDate) AS year, COUNT(*) AS n FROM orders GROUP BY year", "Line: n by year"),
    ("SELECT DATE_FORMAT(paymentDate, '%Y-%m') AS m, SUM(amount) AS t FROM payments GROUP BY m", "Line: t by m"),
    ("SELECT orderDate, COUNT(*) AS n FROM orders GROUP BY orderDate", "Line: n by orderDate"),
    ("SELECT customerName, customerNumber FROM customers LIMIT 5", ""),  # the number only names
    ("SELECT customerName, creditLimit FROM customers", ""),  # too many bars
    ("SELECT city, country FROM offices", ""),
    ("SELECT status, COUNT(*), MAX(orderDate) FROM orders GROUP BY status", ""),
    ("SELECT COUNT(*) FROM orders", ""),
    ("SELECT 'one', 1", ""),
]


@pytest.mark.parametrize("sql, said", CHARTS)
def test_a_chart_is_drawn_where_the_result_asks_for_one(sample, sql, said):
    _, found = opened(sample, answering(sql))
    found["Question"].value = "?"
    found["Ask"].click()
    assert "Error" not in found["status"].value
    alternatives = re.findall('alt="([^"]*)"', found["answer"].value)
    assert [text[: len(said)] for text in alternatives] == ([said] if said else [])


def test_only_widgets_that_colab_has_are_used(sample):
    view, _ = opened(sample, answering("SELECT 1"))
    waiting, kinds = [view.widget], set()
    while waiting:
        widget = waiting.pop()
        kinds.add(type(widget).__name__)
        waiting += getattr(widget, "children", ())
    assert kinds <= {"VBox", "HBox", "Text", "Textarea", "Dropdown", "Button", "Output", "HTML"}
