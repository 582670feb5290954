"""The renamed twin: the same rows under other names, and golds that return the same values there."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from helpers import database, dataset, sample, twin
from helpers.dataset import Example

FIXTURES = Path(__file__).parent / "fixtures" / "audit"
REWRITTEN = [json.loads(line) for line in (FIXTURES / "twin.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def words():
    return twin.read_words()


@pytest.mark.parametrize("case", REWRITTEN, ids=lambda case: case["sql"])
def test_every_name_is_replaced_where_it_stands(case, words):
    assert twin.rewrite(case["sql"], words) == case["twin"]


def test_every_gold_gives_the_same_values_on_the_twin(tmp_path, capsys):
    questions = dataset.FOLDER / "test.jsonl"
    assert twin.main(["--examples", str(questions), "--database", "sample", "--out", str(tmp_path)]) == 0
    originals, renamed = dataset.load(questions), dataset.load(tmp_path / "test.jsonl")
    assert [(e.id, e.nlq, e.difficulty) for e in renamed] == [(e.id, e.nlq, e.difficulty) for e in originals]
    golds, copies = ([s for e in part for s in (e.sql, *e.alternatives)] for part in (originals, renamed))
    with database.connect("sample") as shop, database.connect(f"sqlite:///{tmp_path / 'twin.sqlite'}") as other:
        for gold, copy in zip(golds, copies, strict=True):
            result, answer = shop.execute(gold), other.execute(copy)
            assert answer.error == "" and Counter(answer.rows) == Counter(result.rows), copy
            assert answer.rows == result.rows or "ORDER BY" not in gold, copy


def test_no_old_name_is_left(words):
    schema = sample.schema()
    old = {name.lower() for t in schema.tables for name in (t.name, *(c.name for c in t.columns))}
    examples = dataset.load(dataset.FOLDER / "test.jsonl")
    renamed_schema, _, renamed = twin.make(schema, {}, examples, words)
    names = {name.lower() for t in renamed_schema.tables for name in (t.name, *(c.name for c in t.columns))}
    used = {word.lower() for e in renamed for word in re.findall(r"\w+", re.sub(r"'[^']*'", "''", e.sql))}
    assert (used | names) & old == set()


def test_the_twin_keeps_shape_and_rows():
    schema, rows = sample.schema(), sample.rows()
    renamed, content, _ = twin.make(schema, rows, [])
    assert list(content.values()) == list(rows.values())
    for table, other in zip(schema.tables, renamed.tables, strict=True):
        assert [(c.type, c.nullable) for c in other.columns] == [(c.type, c.nullable) for c in table.columns]
        assert len(other.primary_key) == len(table.primary_key)
        for key in other.foreign_keys:
            assert set(key.references) <= {column.name for column in renamed.table(key.table).columns}
            assert set(key.columns) <= {column.name for column in other.columns}


def test_what_goes_with_a_gold_is_renamed_too(words):
    example = Example("q", "?", "SELECT city FROM offices", alternatives=("SELECT o.city FROM offices o",),
                      optional_columns=("officeCode", "cityCount"))  # fmt: skip
    [renamed] = twin.make(sample.schema(), {}, [example], words)[2]
    assert renamed.alternatives == ("SELECT o.city_name FROM sales_offices o",)
    assert renamed.optional_columns == ("office_id", "city_count")


LISTS = [
    ("no list", "- a\n", "is no word list"),
    ("a key missing", "name: x\ntables: {a: b}\n", "is no word list"),
    ("an old name kept", "name: x\ntables: {orders: orders}\ncolumns: {}\n", "orders cannot become orders"),
    ("a reserved word", "name: x\ntables: {orders: rows}\ncolumns: {}\n", "orders cannot become rows"),
    ("no plain name", "name: x\ntables: {orders: my orders}\ncolumns: {}\n", "orders cannot become my orders"),
    ("given twice", "name: x\ntables: {a: c, b: c}\ncolumns: {}\n", "c is given to two names"),
]


@pytest.mark.parametrize("content, said", [case[1:] for case in LISTS], ids=[case[0] for case in LISTS])
def test_a_word_list_at_fault_is_named(tmp_path, content, said):
    path = tmp_path / "words.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(twin.TwinError, match=said):
        twin.read_words(path)


def test_a_missing_name_or_an_unreadable_gold_is_named(words):
    poor = twin.Words("x", dict(words.tables), {k: v for k, v in words.columns.items() if k != "phone"})
    with pytest.raises(twin.TwinError, match="no new name for phone: add it under `columns`"):
        twin.make(sample.schema(), {}, [], poor)
    with pytest.raises(twin.TwinError, match="no new name for suppliers"):
        twin.rewrite("SELECT city FROM suppliers", words)
    with pytest.raises(twin.TwinError, match="cannot be parsed"):
        twin.rewrite("SELECT (", words)


def test_the_command_line_says_what_is_wrong(tmp_path, capsys):
    assert twin.main(["--examples", "nowhere.jsonl", "--database", "sample", "--out", str(tmp_path)]) == 2
    assert "nowhere.jsonl" in capsys.readouterr().err
