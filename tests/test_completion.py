"""Where a completion ends."""

import pytest

from helpers.completion import end_of, stops

STATEMENTS = [  # what has been written, and the part kept once the first statement has ended (None: it goes on)
    ("SELECT 1; SELECT 2", "SELECT 1;"),
    ("SELECT ';' FROM t;", "SELECT ';' FROM t;"),
    ("SELECT 'it''s; fine' FROM t; x", "SELECT 'it''s; fine' FROM t;"),
    (r"SELECT 'a\'; b' FROM t; x", r"SELECT 'a\'; b' FROM t;"),
    ('SELECT ";" FROM `a;b`;', 'SELECT ";" FROM `a;b`;'),
    ("SELECT 1 -- not yet;\nFROM t;", "SELECT 1 -- not yet;\nFROM t;"),
    ("SELECT 1 /* nor ; here */;", "SELECT 1 /* nor ; here */;"),
    ("SELECT 1 # nor ;\n;", "SELECT 1 # nor ;\n;"),
    ("SELECT 1--1;", "SELECT 1--1;"),  # two minus signs, for MySQL wants a blank after a comment's dashes
    ("WITH a AS (SELECT 1) SELECT * FROM a;\n```", "WITH a AS (SELECT 1) SELECT * FROM a;"),
    ("Here's what you asked for: select 1; bye", "Here's what you asked for: select 1;"),
    ("Well; let me think; ", None),
    ("SELECT 'open; ", None),
    ("SELECT 1", None),
]


@pytest.mark.parametrize("text, kept", STATEMENTS)
def test_a_statement_ends_at_its_semicolon(text, kept):
    end = end_of(text, ("statement",))
    assert (end and text[: end[0]]) == kept


@pytest.mark.parametrize("text, rules, kept, why", [
    ("Action: go\nObservation: made up", ("\nObservation:",), "Action: go", "stop"),
    ("SELECT 1; \nObservation:", ("\nObservation:", "statement"), "SELECT 1;", "statement"),
    ("a STOP b END", ("END", "STOP"), "a ", "stop"),
])
def test_the_earliest_rule_ends_it(text, rules, kept, why):
    end, reason = end_of(text, rules)
    assert (text[:end], reason) == (kept, why)


def test_no_rule_no_end():
    assert end_of("SELECT 1; more", stops("turn")) is None
    assert stops(["turn", "\nObservation:"]) == ("\nObservation:",)
