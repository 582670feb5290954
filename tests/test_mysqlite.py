"""The embedded engine by itself: what MySQL 8 would answer, files, limits, and what it may not do."""

import json
import sqlite3
from decimal import Decimal
from pathlib import Path

import pytest

from helpers import mysqlite
from helpers.database_error import DatabaseError
from helpers.schema import from_ddl

FIXTURES = Path(__file__).parent / "fixtures" / "mysqlite"
SCHEMA = from_ddl(
    """CREATE TABLE goods (id int NOT NULL, name varchar(40) NOT NULL, kind varchar(20),
    price decimal(10,2) NOT NULL, count int, baked date NOT NULL, PRIMARY KEY (id));
    CREATE TABLE tags (id int NOT NULL, tag varchar(20), PRIMARY KEY (id),
    FOREIGN KEY (id) REFERENCES goods (id));""",
    name="bakery",
)
ROWS = {
    "goods": [
        (1, "Éclair", "cake", Decimal("2.50"), 12, "2005-06-01"),
        (2, "Opéra", "Cake", Decimal("30.00"), 1, "2005-05-31"),
        (3, "brioche", "bread", Decimal("4.50"), None, "2005-06-01"),
        (4, "Tart ", "BREAD", Decimal("6.00"), 0, "2005-06-02"),
    ],
    "tags": [(1, "sweet"), (9, "lost")],
}


def _cases(name: str) -> list[dict]:
    return [json.loads(line) for line in (FIXTURES / name).read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    target = tmp_path_factory.mktemp("bakery") / "bakery.sqlite"
    mysqlite.create(target, SCHEMA, ROWS)
    return target


@pytest.fixture(scope="module")
def engine(path):
    opened = mysqlite.open(path, now="2005-06-02 08:30:00")
    yield opened
    opened.close()


def _shown(value: object) -> object:
    return str(value) if isinstance(value, Decimal) else value


@pytest.mark.parametrize("case", _cases("answers.jsonl"), ids=lambda case: case["about"])
def test_answers_as_mysql_8_does(engine, case):
    columns, rows, truncated = engine.run(case["sql"])
    assert [list(map(_shown, row)) for row in rows] == case["rows"]
    assert columns == case.get("columns", columns)
    assert not truncated


@pytest.mark.parametrize("case", _cases("errors.jsonl"), ids=lambda case: case["sql"][:50])
def test_refuses_as_mysql_8_does(engine, case):
    with pytest.raises(mysqlite.MySqlError) as caught:
        engine.run(case["sql"])
    assert caught.value.code == case["code"]
    assert caught.value.message == case.get("message", str(caught.value))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id, name, price FROM goods GROUP BY id",
        "SELECT g.name, COUNT(*) FROM goods g JOIN tags t ON t.id = g.id GROUP BY t.id",
        "SELECT name FROM goods WHERE id = 1 GROUP BY kind",
        "SELECT t.kind, t.n FROM (SELECT kind, COUNT(*) AS n FROM goods GROUP BY kind) t GROUP BY t.kind",
        "SELECT UPPER(kind), COUNT(*) FROM goods GROUP BY UPPER(kind) ORDER BY UPPER(kind)",
        "SELECT g.name, MAX(t.tag) FROM goods g LEFT JOIN tags t ON g.id = t.id GROUP BY g.id, t.id",
        "SELECT id, (SELECT MAX(t.tag) FROM tags t WHERE t.id = g.id) FROM goods g GROUP BY id",
    ],
)
def test_dependent_columns_need_not_be_grouped(engine, sql):
    engine.run(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT t.tag, COUNT(*) FROM goods g LEFT JOIN tags t ON t.id = g.id AND t.tag = 'x' GROUP BY g.kind",
        "SELECT name FROM goods WHERE id = 1 OR id = 2 GROUP BY kind",
        "SELECT t.n FROM (SELECT kind, name AS n FROM goods) t GROUP BY t.kind",
        "SELECT kind, (SELECT MAX(t.tag) FROM tags t WHERE t.id = g.id) FROM goods g GROUP BY kind",
    ],
)
def test_other_columns_must_be(engine, sql):
    with pytest.raises(mysqlite.MySqlError) as caught:
        engine.run(sql)
    assert caught.value.code == 1055


@pytest.mark.parametrize(("pad_space", "found"), [(False, 0), (True, 1)])
def test_trailing_blanks_count_unless_the_file_pads(tmp_path, pad_space, found):
    target = tmp_path / "padded.sqlite"
    mysqlite.create(target, SCHEMA, ROWS, pad_space=pad_space)
    padded = mysqlite.open(target)
    assert padded.run("SELECT COUNT(*) FROM goods WHERE name = 'tart'")[1] == [(found,)]
    assert padded.run("SELECT 'a' = 'a  '")[1] == [(found,)]


def test_a_file_gives_back_its_schema_and_rows(path):
    schema = mysqlite.reflect(path)
    assert schema.hash == SCHEMA.hash and schema.name == "bakery"
    assert schema.table("goods").rows == 4
    assert mysqlite.rows(path) == ROWS


def test_any_sqlite_file_can_be_opened(tmp_path):
    target = tmp_path / "shop.sqlite"
    with sqlite3.connect(target) as connection:
        connection.execute(
            "CREATE TABLE item (id INTEGER PRIMARY KEY, price DECIMAL(8,2), weight REAL, label TEXT)"
        )
        connection.execute("INSERT INTO item VALUES (1, 0.1, 0.5, 'Böhm'), (2, 0.2, 1.5, NULL)")
    shop = mysqlite.open(target)
    assert shop.schema.name == "shop"
    assert shop.run("SELECT SUM(price), SUM(weight) FROM item WHERE label = 'bohm' OR label IS NULL")[1] == [
        (Decimal("0.30"), 2.0)
    ]


def test_a_failed_create_leaves_the_file_as_it_was(tmp_path):
    target = tmp_path / "bakery.sqlite"
    mysqlite.create(target, SCHEMA, ROWS)
    before = target.read_bytes()
    with pytest.raises(sqlite3.Error):
        mysqlite.create(target, SCHEMA, {"goods": [(1, "too short")]})
    assert target.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["bakery.sqlite"]


@pytest.mark.parametrize("content", [None, b"this is no database, whatever its name may say" * 40])
def test_a_missing_or_foreign_file_is_the_users_mistake(tmp_path, content):
    target = tmp_path / "x.sqlite"
    if content:
        target.write_bytes(content)
    with pytest.raises(DatabaseError) as caught:
        mysqlite.open(target)
    assert caught.value.code in ("no_file", "not_sqlite") and str(target) in caught.value.message


def test_an_endless_statement_is_cut_off(path):
    hasty = mysqlite.open(path, timeout_s=0.2)
    with pytest.raises(mysqlite.MySqlError) as caught:
        hasty.run("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n")
    assert caught.value.code == 3024
    assert hasty.run("SELECT 1")[1] == [(1,)]


def test_rows_beyond_the_cap_are_not_fetched(path):
    capped = mysqlite.open(path, max_rows=3)
    _, rows, truncated = capped.run("SELECT id FROM goods")
    assert len(rows) == 3 and truncated
    assert not capped.run("SELECT id FROM goods LIMIT 3")[2]


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM goods", "INSERT INTO tags VALUES (3, 'x')", "CREATE TABLE t (i INT)", "DROP TABLE goods",
        "ATTACH DATABASE 'x.db' AS x", "PRAGMA writable_schema = 1", "VACUUM INTO 'copy.db'",
        "SELECT load_extension('x')", "SELECT readfile('/etc/passwd')", "SELECT * FROM sqlite_master",
        "SELECT * FROM pragma_table_info('goods')", "SELECT * FROM _mysqlite",
    ],
)  # fmt: skip
def test_only_queries_of_the_schema_run(engine, path, sql):
    before = path.read_bytes()
    with pytest.raises(mysqlite.MySqlError):
        engine.run(sql)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "sql", ["ATTACH DATABASE ':memory:' AS x", "PRAGMA query_only = 0", "DELETE FROM goods"]
)
def test_the_connection_itself_refuses_more(engine, sql):
    with pytest.raises(sqlite3.DatabaseError):
        engine.connection.execute(sql)
