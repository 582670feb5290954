"""Databases: one parameter for every source, limits that hold, errors that are data, results that are the same."""

import hashlib
import sqlite3
from decimal import Decimal
from pathlib import Path

import pytest

from helpers import database, local_mysql, mysqlite, sample, schema
from helpers.database import DatabaseError
from tests.conftest import require

DUMP = Path("tests/fixtures/dump/harbour.sql")


@pytest.fixture(scope="module")
def embedded():
    with database.connect("sample", timeout_s=1.0, max_rows=500) as opened:
        yield opened


@pytest.fixture(scope="module")
def served(mysql_server):
    url = local_mysql.load(mysql_server, sample.schema(), sample.rows(), database="classicmodels")
    with database.connect(url, timeout_s=1.0, max_rows=500) as opened:
        yield opened


@pytest.fixture(params=["embedded", "served"])
def either(request):
    return request.getfixturevalue(request.param)


SAME = [
    ("SELECT COUNT(*) AS n FROM orders", ("n",), [(326,)]),
    ("SELECT SUM(amount) AS s FROM payments WHERE amount < 0", ("s",), [(None,)]),
    (
        "SELECT DATE_FORMAT(MIN(orderDate), '%Y') AS y, ':x' AS colon, '100%' AS percent FROM orders",
        ("y", "colon", "percent"),
        [("2003", ":x", "100%")],
    ),
    ("SELECT city FROM offices WHERE city LIKE '%aris' -- with a comment", ("city",), [("Paris",)]),
    ("SELECT MIN(orderDate) AS d FROM orders", ("d",), None),
    (
        "SELECT CAST('2004-02-29' AS DATETIME) AS d, 1.50 AS half, NULL AS nothing",
        ("d", "half", "nothing"),
        [("2004-02-29 00:00:00", Decimal("1.50"), None)],
    ),
    ("SHOW TABLES LIKE 'order%'", ("Tables_in_classicmodels",), [("orderdetails",), ("orders",)]),
    ("DESCRIBE payments", ("Field", "Type", "Null", "Key", "Default", "Extra"), None),
]


@pytest.mark.parametrize("statement, columns, rows", SAME, ids=[case[0][:40] for case in SAME])
def test_both_kinds_of_database_answer_the_same(either, embedded, statement, columns, rows):
    result = either.execute(statement)
    assert not result.error and not result.truncated
    assert tuple(name.split(" (")[0] for name in result.columns) == columns
    if rows is not None:
        assert result.rows == rows
    elif statement.startswith("SELECT"):
        assert result.rows == embedded.execute(statement).rows and isinstance(result.rows[0][0], str)
    else:
        assert result.rows[0][:4] == ("customerNumber", "int", "NO", "PRI") or "int(" in result.rows[0][1]


WRONG = [
    ("SELECT nme FROM products", "1054"),
    ("SELECT 1 FROM nowhere", "1146"),
    ("SELECT city, COUNT(*) FROM", "1064"),
    ("DELETE FROM orders", "guard"),
    ("SELECT SLEEP(5)", "guard"),
    ("SELECT 1; SELECT 2", "guard"),
    ("", "guard"),
    (
        "SELECT COUNT(*) FROM orderdetails a, orders b, orderdetails c, orders d WHERE a.priceEach < c.priceEach",
        "timeout",
    ),
    ("SELECT (SELECT city FROM offices)", "1242"),
    ("SELECT country, city FROM customers GROUP BY country", "1055"),
    ("SELECT city, COUNT(*) FROM offices", "1140"),
]


@pytest.mark.parametrize("statement, code", WRONG, ids=[case[0][:40] for case in WRONG])
def test_a_models_mistake_is_data(either, statement, code):
    result = either.execute(statement)
    assert result.error_code == code and result.error and result.rows == []


def test_the_row_cap_holds_and_is_told(either):
    result = either.execute("SELECT orderNumber FROM orderdetails")
    assert len(result.rows) == 500 and result.truncated


def test_the_schema_is_reflected_whole(embedded, served):
    assert embedded.schema.hash == served.schema.hash == sample.schema().hash
    assert {t.name: t.rows for t in served.schema.tables} == {t.name: t.rows for t in embedded.schema.tables}
    assert embedded.schema.table("orderdetails").rows == 2996


def test_sample_values_are_the_first_in_order_without_null(either):
    assert either.values("offices", "territory", 2) == ("APAC", "EMEA")
    column = either.with_samples(2).table("orders").column("status")
    assert column.samples == ("Cancelled", "Disputed")


def test_a_result_is_kept_by_content_and_statement(embedded):
    statement = "SELECT COUNT(*) AS kept FROM customers"
    assert embedded.execute(statement) is embedded.execute(statement)
    assert len(embedded.content_hash) == 64


def test_a_server_knows_when_its_content_changes(mysql_server):
    shape = schema.from_ddl("CREATE TABLE t (id int NOT NULL, PRIMARY KEY (id))")
    hashes = set()
    for rows in ([(1,)], [(2,)]):
        with database.connect(local_mysql.load(mysql_server, shape, {"t": rows}, database="hashed")) as opened:
            hashes.add(opened.content_hash)
    assert len(hashes) == 2


def test_a_dump_is_a_source(tmp_path, monkeypatch):
    monkeypatch.setenv("NL2SQL_CACHE", str(tmp_path))
    with database.connect(f"dump:{DUMP}") as opened:
        assert all(table.rows is not None for table in opened.schema.tables)


def test_a_throw_away_server_is_a_source():
    require(local_mysql._which("mysqld", "mariadbd"), "no mysqld or mariadbd here: apt-get install mariadb-server")
    with database.connect("local-mysql") as opened:
        assert opened.execute("SELECT COUNT(*) FROM orders").rows == [(326,)]
        assert opened.execute("DELETE FROM orders").error_code == "guard"


@pytest.mark.parametrize(
    "statement", ["ATTACH 'other.db' AS other", "PRAGMA writable_schema = 1", "DELETE FROM orders"]
)
def test_the_engine_itself_refuses_to_write(tmp_path, monkeypatch, statement):
    """Below the guard: a statement that came this far would still be stopped."""
    monkeypatch.setenv("NL2SQL_CACHE", str(tmp_path))
    database.connect("sample").close()
    [path] = (tmp_path / "databases").glob("*.sqlite")
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    engine = mysqlite.open(path)
    with pytest.raises(sqlite3.DatabaseError):
        engine.connection.execute(statement)
    engine.close()
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before


@pytest.mark.parametrize(
    "source, code",
    [
        ("sampel", "bad_source"),
        ("dump:/nowhere.sql", "no_file"),
        ("sqlite:///nowhere.sqlite", "no_file"),
        ("mysql+pymysql://me:secret@localhost/db", "password_in_url"),
        ("postgres://x", "bad_source"),
        ("", "bad_source"),
    ],
)
def test_a_wrong_source_is_one_sentence(source, code):
    with pytest.raises(DatabaseError) as caught:
        database.connect(source)
    assert caught.value.code == code and "secret" not in str(caught.value)


def test_a_password_is_asked_for_by_name(monkeypatch):
    from helpers.runtime import SecretMissing

    monkeypatch.delenv("DB_PASS", raising=False)
    with pytest.raises(SecretMissing, match="DB_PASS"):
        database.connect("mysql+pymysql://llm_ro@127.0.0.1:1/classicmodels")


def test_a_server_that_is_not_there_is_one_sentence(monkeypatch):
    monkeypatch.setenv("DB_PASS", "hunter2")
    with pytest.raises(DatabaseError) as caught:
        database.connect("mysql+pymysql://llm_ro@127.0.0.1:1/classicmodels")
    assert "127.0.0.1" in str(caught.value) and "hunter2" not in repr(caught.value)
