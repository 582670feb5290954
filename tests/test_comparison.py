"""Equality of results: a table of cases for each convention, properties, and brute force beside ours."""

import datetime
import itertools
import json
import random
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.comparison import CONVENTIONS, Expected, same_result
from helpers.database import Result, connect
from helpers.expected import GoldFailed, expect, without_distinct

CASES = [json.loads(line) for line in Path("tests/fixtures/evaluate/comparison.jsonl").read_text().splitlines()]
TAGS = {
    "decimal": Decimal,
    "bytes": str.encode,
    "date": datetime.date.fromisoformat,
}


def value(cell):
    tag, _, text = cell.partition(":") if isinstance(cell, str) else ("", "", "")
    return TAGS[tag](text) if tag in TAGS else cell


def result(table):
    rows = [tuple(map(value, row)) for row in table["rows"]]
    return Result(tuple(table["columns"]), rows, truncated=table.get("truncated", False))


def of(rows, width):
    return Result(tuple(f"c{at}" for at in range(width)), rows)


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_case(case, convention):
    options = {name: case[name] for name in ("ordered_by", "optional") if name in case}
    got = same_result(result(case["gold"]), result(case["predicted"]), convention, **options)
    assert got == case[convention]


def test_unknown_convention_is_named():
    with pytest.raises(ValueError, match="'exact'.*ex_spider"):
        same_result(of([], 1), of([], 1), "exact")


CELLS = st.one_of(
    st.none(),
    st.integers(-3, 3),
    st.sampled_from([0.5, 1.0, 2.5, Decimal("1.00"), Decimal("0.10"), "", "a", "A", "1", b"a"]),
)


@st.composite
def tables(draw, least=0):
    width = draw(st.integers(1, 4))
    return width, draw(st.lists(st.tuples(*[CELLS] * width), min_size=least, max_size=8))


@settings(deadline=None)
@given(tables(), st.sampled_from(CONVENTIONS), st.booleans())
def test_reflexive(table, convention, ordered):
    width, rows = table
    assert same_result(of(rows, width), of(list(rows), width), convention, ordered_by=[0] if ordered else None)


@settings(deadline=None)
@given(tables(), st.sampled_from(CONVENTIONS), st.randoms())
def test_row_order_is_free_without_order_by(table, convention, rng):
    width, rows = table
    shuffled = rng.sample(rows, len(rows))
    assert same_result(of(rows, width), of(shuffled, width), convention)


@settings(deadline=None)
@given(tables(), st.sampled_from(["ex", "ex_superset", "ex_spider"]), st.randoms())
def test_column_order_is_free_where_columns_are_matched(table, convention, rng):
    width, rows = table
    order = rng.sample(range(width), width)
    moved = [tuple(row[at] for at in order) for row in rng.sample(rows, len(rows))]
    assert same_result(of(rows, width), of(moved, width), convention)


@settings(deadline=None)
@given(tables(least=1), st.sampled_from(["ex", "ex_strict", "ex_superset", "ex_spider"]))
def test_multiplicity_matters_outside_ex_set(table, convention):
    width, rows = table
    assert not same_result(of(rows, width), of([*rows, rows[0]], width), convention)
    assert same_result(of(rows, width), of([*rows, rows[0]], width), "ex_set")


@settings(deadline=None)
@given(tables(least=1), st.randoms())
def test_what_ex_accepts_ex_superset_accepts_with_a_column_more(table, rng):
    width, rows = table
    wider = [(*row, number) for number, row in enumerate(rows, 100)]
    assert same_result(of(rows, width), of(wider, width + 1), "ex_superset")
    assert not same_result(of(rows, width), of(wider, width + 1), "ex")


def official(gold, predicted, ordered):
    """Decide as `result_eq` of the test-suite scripts does, by trying every permutation."""
    if not gold and not predicted:
        return True
    if len(gold) != len(predicted) or len(gold[0]) != len(predicted[0]):
        return False
    for order in itertools.permutations(range(len(gold[0]))):
        moved = [tuple(row[at] for at in order) for row in predicted]
        if gold == moved if ordered else Counter(gold) == Counter(moved):
            return True
    return False


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 3), st.data())
def test_ex_spider_decides_as_the_official_scripts_do(width, data):
    rows = st.lists(st.tuples(*[st.integers(0, 2)] * width), max_size=5)
    gold, predicted, ordered = data.draw(rows), data.draw(rows), data.draw(st.booleans())
    ours = same_result(Expected(("c",) * width, gold, ordered=ordered), of(predicted, width), "ex_spider")
    assert ours == official(gold, predicted, ordered)


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 3), st.data())
def test_ex_decides_as_trying_every_permutation_does(width, data):
    rows = st.lists(st.tuples(*[st.integers(0, 2)] * width), min_size=1, max_size=6)
    gold = data.draw(rows)
    predicted = data.draw(st.one_of(rows, st.permutations(gold)))
    assert same_result(of(gold, width), of(predicted, width), "ex") == official(gold, predicted, False)


@pytest.mark.parametrize("parity", [0, 1])
def test_columns_that_agree_in_every_smaller_set_do_not_blow_up(parity):
    every = list(itertools.product((0, 1), repeat=12))
    even, other = ([row for row in every if sum(row) % 2 == want] for want in (0, parity))
    assert same_result(of(even, 12), of(other, 12), "ex") == (parity == 0)


@pytest.mark.parametrize(
    "cell", [lambda rng: rng.random(), lambda rng: rng.randrange(2), lambda rng: rng.choice("abc")]
)
def test_twelve_columns_in_any_order(cell):
    rng = random.Random(5)
    rows = [tuple(cell(rng) for _ in range(12)) for _ in range(1_000)]
    order = rng.sample(range(12), 12)
    moved = [tuple(row[at] for at in order) for row in rng.sample(rows, len(rows))]
    assert same_result(of(rows, 12), of(moved, 12), "ex")
    spoilt = [*moved[:-1], tuple("?" for _ in range(12))]
    assert not same_result(of(rows, 12), of(spoilt, 12), "ex")


ORDERED = [
    # gold, prediction, right?
    (
        "SELECT customerName FROM customers ORDER BY country",
        "SELECT customerName FROM customers ORDER BY country, city",
        True,
    ),
    ("SELECT customerName FROM customers ORDER BY country", "SELECT customerName FROM customers", False),
    (
        "SELECT customerName FROM customers ORDER BY country, customerNumber",
        "SELECT customerName FROM customers ORDER BY country, customerName",
        False,
    ),
    ("SELECT customerName FROM customers", "SELECT customerName FROM customers ORDER BY city DESC", True),
    (
        "SELECT productName, MSRP AS m FROM products ORDER BY m",
        "SELECT productName, MSRP FROM products ORDER BY 2",
        True,
    ),
    (
        "SELECT status, COUNT(*) AS n FROM orders GROUP BY status ORDER BY n DESC",
        "SELECT status, COUNT(*) FROM orders GROUP BY status ORDER BY COUNT(*) DESC, status DESC",
        True,
    ),
    (
        "SELECT status, COUNT(*) AS n FROM orders GROUP BY status ORDER BY n DESC",
        "SELECT status, COUNT(*) FROM orders GROUP BY status ORDER BY COUNT(*)",
        False,
    ),
    (
        "SELECT country FROM customers UNION SELECT country FROM offices ORDER BY country",
        "SELECT country FROM offices UNION SELECT country FROM customers ORDER BY 1",
        True,
    ),
    (
        "SELECT country FROM customers UNION SELECT country FROM offices ORDER BY country",
        "SELECT country FROM offices UNION SELECT country FROM customers ORDER BY 1 DESC",
        False,
    ),
    (
        "SELECT DISTINCT country FROM customers ORDER BY country DESC",
        "SELECT country FROM customers GROUP BY country ORDER BY 1 DESC",
        True,
    ),
    (
        "SELECT orderNumber FROM orders WHERE status = 'Shipped' ORDER BY YEAR(orderDate) LIMIT 4",
        "SELECT orderNumber FROM orders WHERE status = 'Shipped' ORDER BY YEAR(orderDate), customerNumber LIMIT 4",
        True,
    ),
    (
        "SELECT orderNumber FROM orders WHERE status = 'Shipped' ORDER BY YEAR(orderDate) LIMIT 4",
        "SELECT orderNumber FROM orders WHERE YEAR(orderDate) > 2003 AND status = 'Shipped' LIMIT 4",
        False,
    ),
    (
        "SELECT customerName FROM customers LIMIT 3",
        "SELECT customerName FROM customers ORDER BY creditLimit DESC LIMIT 3",
        True,
    ),
    ("SELECT customerName FROM customers LIMIT 3", "SELECT contactLastName FROM customers LIMIT 3", False),
    ("SELECT customerName FROM customers LIMIT 3", "SELECT customerName FROM customers LIMIT 4", False),
]


@pytest.fixture(scope="module")
def sample():
    with connect("sample") as database:
        yield database


@pytest.mark.parametrize("gold, predicted, right", ORDERED)
def test_ties_and_limits_accept_what_the_gold_allows(sample, gold, predicted, right):
    assert same_result(expect(gold, sample), sample.execute(predicted), "ex") == right


def test_a_gold_that_fails_is_named(sample):
    with pytest.raises(GoldFailed, match="nme"):
        expect("SELECT nme FROM products", sample)


@pytest.mark.parametrize(
    "statement, bare",
    [
        ("SELECT DISTINCT a FROM t", "SELECT a FROM t"),
        ("SELECT COUNT( distinct a) FROM t", "SELECT COUNT( a) FROM t"),
        (
            "SELECT 'distinct x' FROM t WHERE `distinct` = \"a distinct\"",
            "SELECT 'distinct x' FROM t WHERE `distinct` = \"a distinct\"",
        ),
    ],
)
def test_distinct_is_stripped_outside_quotes(statement, bare):
    assert without_distinct(statement) == bare
