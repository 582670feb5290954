"""The house style: every rule catches its fault, sound golds pass, and the shipped questions keep it."""

import json
from pathlib import Path

import pytest

from helpers import dataset, house_style, sample, wording
from helpers.dataset import Example
from helpers.schema import from_ddl
from helpers.sql import parse
from helpers.total_order import is_total

FIXTURES = Path(__file__).parent / "fixtures" / "audit"


def read(name):
    return [json.loads(line) for line in (FIXTURES / name).read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def schema():
    return sample.schema()


def named(case):
    return f"{'+'.join(case['rules']) or 'sound'}: {case['nlq'][:40]}"


@pytest.mark.parametrize("case", read("house_style.jsonl"), ids=named)
def test_a_gold_breaks_exactly_these_rules(case, schema):
    found = house_style.lint([Example("x1", case["nlq"], case["sql"])], schema)
    assert {violation.rule for violation in found} == set(case["rules"]), found
    assert all(violation.item == "x1" and violation.sentence for violation in found)


def test_every_rule_has_a_fault_in_the_table():
    rules = {rule.__name__ for rule in (*house_style.ERRORS, *house_style.WARNINGS)}
    assert rules == {rule for case in read("house_style.jsonl") for rule in case["rules"]}


@pytest.mark.parametrize("case", read("total_order.jsonl"), ids=lambda case: case["sql"])
def test_total_order(case, schema):
    assert is_total(parse(case["sql"]), schema) == case["total"]


@pytest.mark.parametrize("split", ["test", "dev"])
def test_the_shipped_questions_keep_the_style(split, schema):
    found = house_style.lint(dataset.load(dataset.FOLDER / f"{split}.jsonl"), schema)
    assert [f"{v.item} {v.sentence}" for v in found if v.level == "error"] == []


def test_the_rules_go_by_the_schema_they_are_given():
    pets = from_ddl("CREATE TABLE pets (petId int NOT NULL, tag varchar(9), PRIMARY KEY (petId), UNIQUE (tag));")
    golds = [Example("q1", "All pets?", "SELECT petId, tag FROM pets"),
             Example("q2", "The first pet by tag?", "SELECT tag FROM pets ORDER BY tag LIMIT 1")]
    assert [(v.item, v.rule) for v in house_style.lint(golds, pets) if v.level == "error"] == []
    named = from_ddl("CREATE TABLE pets (petId int NOT NULL, name varchar(9), tag varchar(9), PRIMARY KEY (petId));")
    assert [(v.item, v.rule) for v in house_style.lint(golds, named) if v.level == "error"] == [
        ("q1", "key_not_asked_for")
    ]


ORDERED = [
    ("Names, oldest first?", True),
    ("Sort the offices by city.", True),
    ("From the cheapest up.", True),
    ("Products in alphabetical order.", True),
    ("runner-up by price", True),
    ("in the sequence of their lines", True),
    ("First and last names of the reps?", False),
    ("What is in order 10100?", False),
    ("At least three orders?", False),
    ("Interest of the rest of the guests?", False),
]


@pytest.mark.parametrize("question, asked", ORDERED, ids=[question for question, _ in ORDERED])
def test_words_of_order(question, asked):
    assert wording.asks_for_order(question) == asked


@pytest.mark.parametrize("statement, found", [
    ("SELECT NOW(), RAND()", ("NOW", "RAND")), ("SELECT current_date", ("CURRENT_DATE",)),
    ("SELECT now FROM t", ()), ("SELECT 'NOW()' AS said", ()), ("SELECT 'unclosed", ()),
])  # fmt: skip
def test_functions_of_clock_and_chance(statement, found):
    assert house_style.volatile(statement) == found
