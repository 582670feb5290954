"""The guard lets queries of the own schema through as written and refuses the rest with one sentence."""

import pytest
import sqlglot

from helpers.guard import SqlRejected, guard
from helpers.guard_words import FUNCTIONS, KEYWORDS
from tests.hostile import CASES, cases, toy_schema

SHOP = toy_schema()

UNCHANGED = (
    "SELECT 1--1",
    "SELECT  name\n\tFROM products",
    "SELECT * FROM products WHERE name REGEXP '^[a-c]'",
    "SELECT 'a\\'b', 'it''s', \"/* x */\", `p`.`name` FROM products `p`",
    "select Count(*) from products",
)

CUT = (
    ("  SELECT 1 ;\n", "SELECT 1"),
    ("SELECT 1;; ;", "SELECT 1"),
    ("SELECT 1 -- x", "SELECT 1"),
    ("SELECT 1; # x", "SELECT 1"),
    ("/* x */ SELECT/**/1 /* y */ + 2", "SELECT 1 + 2"),
    ("SELECT name # c\nFROM products", "SELECT name FROM products"),
    ("SELECT '-- x' -- y\n, '/* z */'", "SELECT '-- x' , '/* z */'"),
    ("SELECT 5-- 1\n-2", "SELECT 5 -2"),
)

REASONS = cases("reasons.jsonl")
NOT_RESERVED = ("AGAINST", "ANY", "BIT", "COLUMNS", "DATETIME", "ESCAPE", "FIXED", "NCHAR", "SOME")


@pytest.mark.parametrize("case", CASES, ids=[case["sql"][:60] for case in CASES])
def test_every_case_of_the_corpora_comes_out_as_labelled(case):
    try:
        verdict, said = "accept", guard(case["sql"], SHOP)
    except SqlRejected as rejection:
        verdict, said = "reject", rejection.reason
    assert verdict == case["verdict"], f"{case['why']}: {said}"


@pytest.mark.parametrize("sql", UNCHANGED)
def test_what_holds_no_comment_runs_as_written(sql):
    assert guard(sql, SHOP) == sql


@pytest.mark.parametrize(("sql", "text"), CUT)
def test_comments_and_closing_semicolons_are_cut(sql, text):
    assert guard(sql, SHOP) == text


def test_what_the_guard_returns_means_the_same_and_passes_again():
    for case in CASES:
        if case["verdict"] == "accept":
            text = guard(case["sql"], SHOP)
            assert guard(text, SHOP) == text
            assert _plain(text) == _plain(case["sql"])


def _plain(sql: str) -> str:
    return sqlglot.parse_one(sql.rstrip("; \n"), dialect="mysql").sql(dialect="mysql", comments=False)


@pytest.mark.parametrize("case", REASONS, ids=[case["sql"][:40] for case in REASONS])
def test_a_rejection_names_its_cause_in_one_sentence(case):
    with pytest.raises(SqlRejected) as caught:
        guard(case["sql"], SHOP)
    assert caught.value.reason == str(caught.value)
    assert caught.value.reason.startswith(case["reason"])
    assert "\n" not in caught.value.reason


def test_deep_and_long_statements_are_rejected():
    with pytest.raises(SqlRejected, match="nested too deeply"):
        guard("SELECT " + "(" * 3000 + "1" + ")" * 3000)
    with pytest.raises(SqlRejected, match="longer than 20000 characters"):
        guard(f"SELECT '{'x' * 20_000}'")


@pytest.mark.parametrize("sql", ["SELECT * FROM shop.products", "SHOW TABLES FROM shop", "SELECT * FROM mysql.user"])
def test_without_a_schema_no_qualified_name_passes(sql):
    with pytest.raises(SqlRejected):
        guard(sql)


def test_without_a_schema_unqualified_names_pass():
    assert guard("SELECT p.name FROM products p") == "SELECT p.name FROM products p"


@pytest.mark.parametrize("word", NOT_RESERVED)
@pytest.mark.parametrize("arguments", ["()", "(1)", "(1, 2)", "('a')"])
def test_a_keyword_that_could_name_a_stored_function_cannot_be_called(word, arguments):
    assert word in KEYWORDS - FUNCTIONS
    with pytest.raises(SqlRejected):
        guard(f"SELECT {word}{arguments}", SHOP)
