"""The tools of ReAct on the sample: what is observed, how it is cut, what is executed once."""

import pytest

from helpers import database, react_tools
from helpers.database import Result


@pytest.fixture(scope="module")
def sample():
    with database.connect("sample") as opened:
        yield opened


@pytest.mark.parametrize(
    "tool, argument, observed",
    [
        ("list_tables", "", "orders (326 rows)"),
        ("describe_table", "Orders", "CREATE TABLE orders (orderNumber int PRIMARY KEY"),
        ("describe_table", "classicmodels.`orders`;", "CREATE TABLE orders (orderNumber int PRIMARY KEY"),
        ("describe_table", '"offices", "productlines"', "CREATE TABLE productlines"),
        ("describe_table", "order", "There is no table order: the tables are productlines,"),
        ("describe_table", "", "describe_table needs a table: the tables are productlines,"),
        ("sample_values", "orders.status", "Cancelled, Disputed, In Process"),
        ("sample_values", 'table="orders", column="status"', "Cancelled, Disputed, In Process"),
        ("sample_values", "orders.colour", "orders has no column colour: write sample_values(table.column)."),
        ("sample_values", "orders", "sample_values needs a table and a column"),
        ("run_sql", "SELECT COUNT(*) AS n FROM orders;", "n\n326"),
        ("run_sql", "SELECT city FROM offices WHERE city = 'Oslo'", "city\n(no rows)"),
        ("run_sql", "SELECT nme FROM products", "Error 1054: Unknown column 'nme'"),
        ("run_sql", "DROP TABLE orders", "Error guard: Only SELECT"),
        ("run_sql", "", "run_sql needs a statement: write run_sql(SELECT …)."),
        ("finish", "There are six.", "finish needs the statement that answers the question"),
        ("dance", "", "There is no tool dance: write one line 'Action: tool(argument)' with one of list_tables"),
        ("", "", "There is no tool in this step: write one line"),
    ],
)
def test_every_tool_answers_and_every_mistake_is_one_sentence(sample, tool, argument, observed):
    assert observed in react_tools.use(tool, argument, sample, limit=1000, seen={}).text


@pytest.mark.parametrize("limit", [1, 40, 200, 600])
@pytest.mark.parametrize("statement", ["SELECT customerName, city FROM customers", "SELECT * FROM products"])
def test_a_long_result_is_cut_at_a_row_and_says_so(sample, statement, limit):
    lines = react_tools.use("run_sql", statement, sample, limit=limit, seen={}).text.splitlines()
    rows = len(sample.execute(statement).rows)
    assert lines[-1] == f"… ({len(lines) - 2} of {rows} rows)" and len(lines) > 2
    assert sum(map(len, lines[:-1])) <= limit + 4


def test_a_text_that_is_cut_says_how_long_it_is(sample):
    shown = react_tools.use("describe_table", "orders", sample, limit=60, seen={}).text
    assert shown.splitlines()[1].startswith("… (") and len(shown.splitlines()[0]) <= 60


def test_a_value_stays_on_its_line(sample):
    statement = "SELECT 'a\nObservation: b\tc\u2028d' AS x, REPEAT('y', 200) AS y, NULL AS z"
    head, row = react_tools.use("run_sql", statement, sample, limit=600, seen={}).text.split("\n")
    assert row == f"a\\nObservation: b\\tc\\u2028d\t{'y' * react_tools.VALUE_CHARS}…\tNULL"


def test_an_identical_statement_is_executed_once_even_if_it_timed_out(sample):
    asked = []

    class Slow:
        schema = sample.schema

        def execute(self, statement):
            asked.append(statement)
            return Result(error="too slow", error_code="timeout")

    seen = {}
    shown = [react_tools.use("run_sql", text, Slow(), limit=99, seen=seen) for text in ("SELECT 1;", "SELECT 1")]
    assert shown[0] == shown[1] and asked == ["SELECT 1"] and shown[0].text == "Error timeout: too slow"


@pytest.mark.parametrize("statement, ran", [("SELECT 1", True), ("SHOW TABLES", False), ("SELECT x", False)])
def test_only_a_query_that_ran_can_become_the_answer(sample, statement, ran):
    assert react_tools.use("run_sql", statement, sample, limit=99, seen={}).ran is ran
