"""SQL as text: extraction, templates, features, hardness; the guard has a file of its own."""

import json
from pathlib import Path

import pytest

from helpers import sql

FIXTURES = Path(__file__).parent / "fixtures" / "sql"


def cases(name):
    return [json.loads(line) for line in (FIXTURES / name).read_text().splitlines()]


@pytest.mark.parametrize("case", cases("extract.jsonl"), ids=lambda case: case["completion"][:30])
def test_the_statement_is_taken_out_of_a_completion(case):
    assert sql.extract(case["completion"]) == case["sql"]


@pytest.mark.parametrize("case", cases("templates.jsonl"), ids=lambda case: f"{case['a'][:40]} | {case['b'][:40]}")
def test_templates_fold_values_and_aliases_and_nothing_else(case):
    assert (sql.template(case["a"]) == sql.template(case["b"])) is case["same"]


@pytest.mark.parametrize("case", cases("hardness.jsonl"), ids=lambda case: case["sql"][:50])
def test_hardness_and_features(case):
    assert sql.hardness(case["sql"]) == case["hardness"]
    assert list(sql.features(case["sql"])) == case["features"]


def test_a_skeleton_forgets_names_and_keeps_shape():
    one = sql.skeleton("SELECT c.city FROM customers c JOIN orders o ON o.x = c.x WHERE o.status = 'Shipped'")
    other = sql.skeleton("SELECT p.name FROM products p JOIN lines l ON l.k = p.k WHERE l.v = 3")
    assert one == other == "SELECT _ FROM _ JOIN _ ON _ = _ WHERE _ = _"
    assert sql.skeleton("SELECT COUNT(*) FROM a") != sql.skeleton("SELECT x FROM a")


def test_tables_are_named_once_in_order_without_ctes():
    text = "WITH x AS (SELECT 1 FROM b) SELECT * FROM a JOIN x ON 1 = 1 JOIN b ON 1 = 1"
    assert set(sql.tables(text)) == {"a", "b"} and len(sql.tables(text)) == 2
    assert sql.tables("SELECT (SELECT MAX(c) FROM toys t), a FROM pets p, pets q") == ("toys", "pets")


@pytest.mark.parametrize(("text", "named"), [
    ("SELECT name FROM pets", ("pets",)),
    ("SELECT p.a FROM pets p JOIN owners AS o ON o.id = p.o JOIN pets q ON q.o = o.id",
     ("pets p", "owners o", "pets q")),
    ("SELECT a FROM pets WHERE b > (SELECT AVG(b) FROM pets)", ("pets",)),
    ("SELECT (SELECT MAX(c) FROM toys t), a FROM pets p WHERE EXISTS (SELECT 1 FROM owners)",
     ("toys t", "pets p", "owners")),
    ("WITH x AS (SELECT 1 FROM b) SELECT * FROM x y", ("b",)),
    ("SELECT 1", ()),
    ("SELEC", ()),
])
def test_sources_are_tables_with_their_aliases_in_order(text, named):
    assert sql.sources(text) == named


def test_a_completion_that_loops_keeps_its_first_statement():
    assert sql.extract("SELECT name FROM products; " + "SELECT " * 300) == "SELECT name FROM products"
