"""What a notebook shows: frames that hold a record's values, whatever pandas is installed."""

from decimal import Decimal
from pathlib import Path

import pytest

from helpers import database, dataset, tables
from helpers.database import Result
from helpers.runs import Prediction


@pytest.fixture(scope="module")
def sample():
    return database.connect("sample")


def test_a_result_shows_its_first_rows_as_they_are():
    rows = [(1, Decimal("2.50"), None, "2004-01-31", "ä")] * 3
    shown = tables.result(Result(("a", "b", "c", "d", "e"), rows), rows=2)
    assert list(shown.columns) == ["a", "b", "c", "d", "e"] and len(shown) == 2
    assert shown.iloc[0].tolist()[:2] == [1, Decimal("2.50")] and "2.50" in shown.to_html()


def test_names_may_occur_twice_and_an_error_is_shown_with_its_code():
    assert tables.result(Result(("n", "n"), [(1, 2)])).iloc[0].tolist() == [1, 2]
    shown = tables.result(Result(error="No such column.", error_code="1054"))
    assert shown.iloc[0, 0] == "1054: No such column."


def test_a_schema_shows_keys_and_references(sample):
    shown = tables.schema(sample.schema).set_index(["table", "column"])
    assert shown.loc[("payments", "checkNumber"), "key"] == "PK"
    assert shown.loc[("orders", "customerNumber"), "references"] == "→ customers.customerNumber"
    assert tables.counts(sample.schema)["rows"].min() > 0


def test_samples_are_shown_table_by_table(sample, monkeypatch):
    seen = []
    monkeypatch.setattr("IPython.display.display", seen.append)
    tables.samples(sample, 2)
    pages = [shown.to_html() for shown in seen]
    assert len(pages) == len(sample.schema.tables) and all("<caption>" in page for page in pages)


def test_splits_count_templates_and_grades():
    found = dataset.read("tests/fixtures/suite/questions.jsonl", test=0.4, dev=0.2, seed=7)
    shown = tables.splits(found).set_index("split")
    lines = Path("tests/fixtures/suite/questions.jsonl").read_text().splitlines()
    assert shown["questions"].sum() == len(lines)
    assert shown[["easy", "medium", "hard", "extra"]].sum().sum() == len(lines)
    assert (shown["templates"] <= shown["questions"]).all()


def test_a_prediction_without_sql_shows_its_error():
    shown = tables.predictions([Prediction("q1", sql="", nlq="How many?", error="no SQL", seconds=0.126)])
    assert shown.iloc[0].tolist() == ["q1", "How many?", "no SQL", *shown.iloc[0].tolist()[3:5], 0.13]
