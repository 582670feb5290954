"""Test suites: neighbours, variants that keep every key, proofs of sameness, planted mistakes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from helpers import dataset, evaluate, mutations, mysqlite, neighbours, sample, testsuite
from helpers.canonical import same
from helpers.clues import clues
from helpers.database import DatabaseError, connect
from helpers.integrity import fitted
from helpers.journal import Prediction
from helpers.schema import from_ddl

FIXTURES = Path("tests/fixtures/evaluate")
PLANTED = [json.loads(line) for line in (FIXTURES / "planted.jsonl").read_text().splitlines()]
PROOFS = [json.loads(line) for line in (FIXTURES / "canonical.jsonl").read_text().splitlines()]
CIRCLE = """
CREATE TABLE teams (id int NOT NULL, name varchar(20), chief int,
  PRIMARY KEY (id), FOREIGN KEY (chief) REFERENCES people (id));
CREATE TABLE people (id int NOT NULL, team int NOT NULL, boss int, code varchar(4) NOT NULL, wage decimal(6,2),
  born date,
  PRIMARY KEY (id), UNIQUE (code), FOREIGN KEY (team) REFERENCES teams (id),
  FOREIGN KEY (boss) REFERENCES people (id));
"""
CIRCLE_ROWS = {
    "teams": [(n, f"team {n}", n) for n in range(1, 6)],
    "people": [(n, (n - 1) % 5 + 1, n // 2 or None, f"c{n}", 100 + n, f"2000-01-{n:02}") for n in range(1, 21)],
}


@pytest.fixture(scope="module")
def planted():
    return dataset.load(FIXTURES / "planted.jsonl")


@pytest.fixture(scope="module")
def suite(planted, tmp_path_factory):
    folder = tmp_path_factory.mktemp("suite")
    with connect("sample") as database:
        testsuite.distil(planted, database, folder, seed=7, max_variants=14)
    return folder


@pytest.fixture(scope="module")
def verdicts(planted, suite):
    guesses = [Prediction(row["id"], sql=row["predicted"]) for row in PLANTED]
    with connect("sample") as database:
        return evaluate.score(planted, guesses, database, suite=testsuite.load(suite))


def test_a_mistake_of_every_kind_is_planted():
    assert [row["id"] for row in PLANTED] == list(neighbours.KINDS)


def test_planted_mistakes_pass_ex_and_fail_ts(verdicts):
    assert [verdict.example_id for verdict in verdicts if not verdict.ex] == []
    assert [verdict.example_id for verdict in verdicts if verdict.ts] == []


def test_ts_never_exceeds_ex(planted, suite):
    near = [(e, n.sql) for e in planted for n in neighbours.neighbours(e.sql, sample.schema())[::5]]
    asked = [replace(example, id=str(number)) for number, (example, _) in enumerate(near)]
    guesses = [Prediction(example.id, sql=sql) for example, (_, sql) in zip(asked, near, strict=True)]
    with connect("sample") as database:
        scored = evaluate.score(asked, guesses, database, suite=testsuite.load(suite)[:4])
    assert any(v.ex and not v.ts for v in scored) and not any(v.ts and not v.ex for v in scored)


def test_golds_pass_everything_on_every_variant(planted, suite):
    golds = [Prediction(example.id, sql=example.sql) for example in planted]
    with connect("sample") as database:
        scored = evaluate.score(planted, golds, database, suite=testsuite.load(suite))
    assert all(getattr(v, name) for v in scored for name in ("va", *evaluate.CONVENTIONS, "ts"))


def test_manifest_adds_up_and_readme_shows_it(suite):
    manifest = json.loads((suite / "manifest.json").read_text())
    assert manifest["killed"] == manifest["killed_by_original"] + sum(v["kills"] for v in manifest["variants"])
    alive = sum(len(gold["survivors"]) for gold in manifest["golds"].values())
    assert manifest["neighbours"] == manifest["killed"] + manifest["equivalent"] + alive
    assert manifest["kill_rate"] >= 0.9
    readme = (suite / "README.md").read_text()
    assert all(v["file"] in readme and v["sha256"][:16] in readme for v in manifest["variants"])
    for variant in manifest["variants"]:
        path = suite / variant["file"]
        assert (
            testsuite.content_hash(mysqlite.reflect(path), testsuite.base_rows(connect(f"sqlite:///{path}")))
            == variant["sha256"]
        )


def test_the_same_seed_gives_the_same_variants(planted, tmp_path):
    with connect("sample") as database:
        first, again, other = (
            testsuite.distil(planted[1:3], database, tmp_path / str(run), seed=seed, max_variants=1)
            for run, seed in enumerate((5, 5, 6))
        )
    hashes = [[variant["sha256"] for variant in manifest["variants"]] for manifest in (first, again, other)]
    assert hashes[0] == hashes[1] != hashes[2]
    assert first["golds"] == again["golds"]


def test_no_time_is_no_variant_and_says_why(planted, tmp_path):
    with connect("sample") as database:
        manifest = testsuite.distil(planted[:2], database, tmp_path, seed=1, seconds=0)
    assert manifest["stopped"] == "seconds" and manifest["variants"] == [] == testsuite.load(tmp_path)


def test_a_folder_without_a_suite_is_named(tmp_path):
    with pytest.raises(DatabaseError, match="holds no test suite.*helpers.testsuite"):
        testsuite.load(tmp_path)


def test_command_line_names_a_gold_that_fails(tmp_path, capsys):
    examples = tmp_path / "examples.jsonl"
    examples.write_text('{"id": "q1", "nlq": "?", "sql": "SELECT nme FROM products"}\n')
    status = testsuite.main(
        ["--examples", str(examples), "--database", "sample", "--out", str(tmp_path / "s"), "--seed", "1"]
    )
    assert status == 2 and "q1" in capsys.readouterr().err


def keys_hold(schema, rows):
    for table in schema.tables:
        at = {column.name: index for index, column in enumerate(table.columns)}
        for key in (table.primary_key, *table.unique):
            values = [tuple(row[at[name]] for name in key) for row in rows[table.name]]
            assert len(set(values)) == len(values), f"{table.name} {key}"
        for row in rows[table.name]:
            assert all(value is not None or column.nullable for value, column in zip(row, table.columns, strict=True))
        for key in table.foreign_keys:
            parent = schema.table(key.table)
            there = [next(i for i, c in enumerate(parent.columns) if c.name == name) for name in key.references]
            present = {tuple(row[index] for index in there) for row in rows[parent.name]}
            for row in rows[table.name]:
                value = tuple(row[at[name]] for name in key.columns)
                assert None in value or value in present, f"{table.name} {key.columns}"


@pytest.mark.parametrize("seed", range(40))
def test_variants_keep_keys_and_types(seed, planted):
    schema, rows = sample.schema(), sample.rows()
    variant = mutations.mutate(schema, rows, clues([example.sql for example in planted], schema), seed=seed)
    keys_hold(schema, variant)
    for table in schema.tables:
        for row in variant[table.name]:
            assert all(value is None or fitted(value, c) == value for value, c in zip(row, table.columns, strict=True))


@pytest.mark.parametrize("seed", range(30))
def test_any_schema_serves_also_one_that_refers_to_itself_and_in_a_circle(seed):
    schema = from_ddl(CIRCLE)
    golds = [
        "SELECT name FROM teams t JOIN people p ON p.team = t.id GROUP BY t.id, name HAVING COUNT(*) > 3",
        "SELECT code FROM people WHERE wage > 110 AND born >= '2000-01-05' AND id > 4",
    ]
    keys_hold(schema, mutations.mutate(schema, CIRCLE_ROWS, clues(golds, schema), seed=seed))


def test_a_suite_for_another_schema(tmp_path):
    mysqlite.create(tmp_path / "people.sqlite", from_ddl(CIRCLE), CIRCLE_ROWS)
    golds = [
        dataset.Example("p1", "", "SELECT name FROM teams WHERE chief > 2"),
        dataset.Example("p2", "", "SELECT p.code, b.code AS boss FROM people p LEFT JOIN people b ON p.boss = b.id"),
    ]
    with connect(f"sqlite:///{tmp_path}/people.sqlite") as database:
        manifest = testsuite.distil(golds, database, tmp_path / "suite", seed=3, max_variants=4)
    assert manifest["kill_rate"] > 0.8 and manifest["variants"]


@pytest.mark.parametrize("row", PROOFS, ids=range(len(PROOFS)))
def test_proofs_of_sameness(row):
    assert same(row["one"], row["other"], sample.schema()) == row["same"]


def test_what_is_proved_the_same_no_variant_tells_apart(tmp_path):
    schema, rows = sample.schema(), sample.rows()
    proved = [(row["one"], row["other"]) for row in PROOFS if row["same"]]
    examples = [dataset.Example(str(n), "", one) for n, (one, _) in enumerate(proved)]
    guesses = [Prediction(str(n), sql=other) for n, (_, other) in enumerate(proved)]
    for seed in range(6):
        path = tmp_path / f"{seed}.sqlite"
        mysqlite.create(
            path, schema, mutations.mutate(schema, rows, clues([one for one, _ in proved], schema), seed=seed)
        )
        with connect(f"sqlite:///{path}") as variant:
            assert [v.sql for v in evaluate.score(examples, guesses, variant) if not v.ex] == []


NEIGHBOURS = [
    ("SELECT COUNT(*) FROM orders WHERE status = 'Shipped'", "clause", "SELECT COUNT(*) FROM orders"),
    (
        "SELECT COUNT(*) FROM orders WHERE status = 'Shipped'",
        "count",
        "SELECT COUNT(orders.shippedDate) FROM orders WHERE status = 'Shipped'",
    ),
    ("SELECT MSRP FROM products WHERE MSRP > 5", "comparator", "SELECT MSRP FROM products WHERE MSRP >= 5"),
    ("SELECT MSRP FROM products WHERE MSRP > 5", "number", "SELECT MSRP FROM products WHERE MSRP > 6"),
    ("SELECT MSRP FROM products ORDER BY MSRP", "direction", "SELECT MSRP FROM products ORDER BY MSRP DESC"),
    (
        "SELECT a.city FROM offices a JOIN employees b ON a.officeCode = b.officeCode",
        "join",
        "SELECT a.city FROM offices AS a LEFT JOIN employees AS b ON a.officeCode = b.officeCode",
    ),
    (
        "SELECT city FROM offices UNION SELECT city FROM customers",
        "set operation",
        "SELECT city FROM offices UNION ALL SELECT city FROM customers",
    ),
    ("SELECT SUM(amount) FROM payments", "aggregate", "SELECT AVG(amount) FROM payments"),
    (
        "SELECT city FROM offices WHERE state = 'CA' AND country = 'USA'",
        "condition",
        "SELECT city FROM offices WHERE country = 'USA'",
    ),
]


@pytest.mark.parametrize("gold, kind, expected", NEIGHBOURS)
def test_neighbours_hold_the_near_miss(gold, kind, expected):
    assert neighbours.Neighbour(kind, expected) in neighbours.neighbours(gold, sample.schema())


def test_embedded_and_server_variants_give_the_same_verdicts(planted, suite, mysql_server, tmp_path):
    manifest = json.loads((suite / "manifest.json").read_text())
    two = manifest | {"variants": manifest["variants"][:2]}
    for variant in two["variants"]:
        (tmp_path / variant["file"]).write_bytes((suite / variant["file"]).read_bytes())
    (tmp_path / "manifest.json").write_text(json.dumps(two))
    guesses = [Prediction(row["id"], sql=row["predicted"]) for row in PLANTED]
    golds = [Prediction(example.id, sql=example.sql) for example in planted]
    with connect("sample") as original:
        here, there = (
            [
                [replace(v, seconds=0.0) for v in evaluate.score(planted, p, original, suite=databases)]
                for p in (guesses, golds)
            ]
            for databases in (testsuite.load(tmp_path), testsuite.load_on(mysql_server, tmp_path))
        )
    assert here == there
