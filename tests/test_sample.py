"""The sample: reproducible, whole, believable, and holding what questions name."""

import hashlib
import os
import re
import sqlite3
import subprocess
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from helpers import sample
from helpers.schema import parents_first, to_ddl
from tests.conftest import require

DATA = Path(__file__).parents[1] / "data" / "classicmodels"
PUBLIC_DUMP = Path(__file__).parents[2] / "shared" / "classicmodels" / "mysqlsampledatabase.sql"
SHARED = yaml.safe_load((DATA / "shared_values.yaml").read_text(encoding="utf-8"))
PINNED = "f892600e7e99bb7583268a1d87da97095685ecf9b2fee6fee56b9192926c7d0a"
COUNTS = {
    "productlines": 7, "products": 110, "offices": 7, "employees": 23,
    "customers": 122, "payments": 273, "orders": 326, "orderdetails": 2996,
}
HASH = "from tests.test_sample import sample, sha256; print(sha256(sample.rows()))"


day = date.fromisoformat


def sha256(rows: dict) -> str:
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def empty(schema) -> sqlite3.Connection:
    """Create the tables in memory, with the few MySQL functions that the statements here use."""
    connection = sqlite3.connect(":memory:")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.create_function("concat", -1, lambda *parts: "".join(map(str, parts)))
    connection.create_function("datediff", 2, lambda a, b: (day(a) - day(b)).days)
    connection.create_function("year", 1, lambda value: day(value).year)
    for table in parents_first(schema):
        connection.execute(to_ddl(table))
    return connection


def load(schema, rows) -> sqlite3.Connection:
    """Write rows to an in-memory database; money becomes a float, near enough for the checks here."""
    connection = empty(schema)
    for table in parents_first(schema):
        marks = ", ".join("?" * len(table.columns))
        plain = [[float(v) if isinstance(v, Decimal) else v for v in row] for row in rows[table.name]]
        connection.executemany(f"INSERT INTO {table.name} VALUES ({marks})", plain)
    return connection


@pytest.fixture(scope="module")
def database() -> sqlite3.Connection:
    return load(sample.schema(), sample.rows())


@pytest.fixture(scope="module")
def public() -> sqlite3.Connection:
    """The public rows, where a copy lies beside the project: read as text, one INSERT after the other."""
    require(PUBLIC_DUMP.exists(), f"no public rows at {PUBLIC_DUMP}")
    connection = empty(sample.schema())
    connection.execute("PRAGMA foreign_keys = OFF")
    dump = PUBLIC_DUMP.read_text(encoding="utf-8")
    for insert in re.findall(r"^insert .*?;$", dump, re.IGNORECASE | re.MULTILINE | re.DOTALL):
        connection.execute(insert.replace(r"\'", "''").replace(r"\"", '"'))
    return connection


def test_counts_are_those_of_the_public_sample():
    assert {table: len(rows) for table, rows in sample.rows().items()} == COUNTS


def test_rows_fit_the_schema():
    rows = sample.rows()
    assert list(rows) == [table.name for table in sample.schema().tables]
    columns = [(table.name, *pair) for table in sample.schema().tables for pair in enumerate(table.columns)]
    for table, place, column in columns:
        values = [row[place] for row in rows[table]]
        assert column.nullable or None not in values, f"{table}.{column.name}"
        kind = {"decimal": Decimal, "int": int, "smallint": int}.get(column.type.split("(")[0], str)
        assert {type(value) for value in values if value is not None} <= {kind}, f"{table}.{column.name}"
        limit = re.fullmatch(r"varchar\((\d+)\)", column.type)
        assert not limit or max(len(value or "") for value in values) <= int(limit[1])


def test_default_rows_are_pinned():
    assert sha256(sample.rows()) == PINNED


@pytest.mark.parametrize("hash_seed", ["0", "4711"])
def test_same_bytes_in_every_process(hash_seed):
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    run = subprocess.run([sys.executable, "-c", HASH], env=environment, cwd=DATA.parents[1],
                         capture_output=True, text=True, check=True)
    assert run.stdout.strip() == PINNED


@pytest.mark.parametrize("seed", range(5))
def test_another_seed_gives_other_rows_as_whole(seed):
    rows = sample.rows(seed)
    assert sha256(rows) != PINNED
    assert {table: len(rows) for table, rows in rows.items()} == COUNTS
    assert not load(sample.schema(), rows).execute("PRAGMA foreign_key_check").fetchall()


def _statements(name: str) -> list:
    """Read a file of statements, each under a comment line that names it."""
    text = (Path(__file__).parent / "fixtures" / name).read_text(encoding="utf-8")
    return [pytest.param(sql, id=title) for title, sql in re.findall(r"^-- (.+)\n([^;]+);$", text, re.M)]


@pytest.mark.parametrize("faulty", _statements("sample_faults.sql"))
def test_no_row_breaks_a_rule_of_the_trade(database, faulty):
    assert database.execute(faulty).fetchall() == []


@pytest.mark.parametrize("present", _statements("sample_traits.sql"))
def test_sample_has_what_questions_need(database, present):
    assert database.execute(present).fetchone() is not None


def _absent(connection: sqlite3.Connection, key: str) -> list:
    operator = "LIKE" if key.endswith(" LIKE") else "="
    table, _, column = key.removesuffix(" LIKE").partition(".")
    count = f"SELECT COUNT(*) FROM {table} WHERE {column} {operator} ?"
    return [value for value in SHARED[key] if not connection.execute(count, (value,)).fetchone()[0]]


@pytest.mark.parametrize("key", SHARED)
def test_shared_values_are_in_the_sample(database, key):
    assert _absent(database, key) == []


@pytest.mark.parametrize("key", SHARED)
def test_shared_values_are_in_the_public_rows(public, key):
    assert _absent(public, key) == []


@pytest.mark.parametrize("column", ["products.productName", "products.productCode", "customers.customerName"])
def test_known_entities_are_shared_values(column):
    pools = yaml.safe_load((DATA / "pools.yaml").read_text(encoding="utf-8"))
    known = {
        "products.productName": [name for line in pools["product_lines"].values() for name in line["known"]],
        "products.productCode": pools["known_codes"],
        "customers.customerName": list(pools["known_customers"]),
    }
    assert sorted(known[column]) == sorted(SHARED[column])


@pytest.mark.parametrize("column", [
    "customers.customerName", "customers.phone", "customers.addressLine1", "customers.postalCode",
    "customers.contactFirstName || contactLastName", "products.productName", "products.productDescription",
    "productlines.textDescription", "employees.email", "employees.extension", "offices.phone",
    "offices.addressLine1", "offices.postalCode", "orders.comments", "payments.checkNumber",
])
def test_nothing_else_is_taken_from_the_public_rows(database, public, column):
    table, _, expression = column.partition(".")
    ours, theirs = ({value for (value,) in connection.execute(f"SELECT {expression} FROM {table}") if value}
                    for connection in (database, public))
    assert ours & theirs == set(SHARED.get(column, ()))


def test_schema_is_that_of_the_public_sample():
    require(PUBLIC_DUMP.exists(), f"no public rows at {PUBLIC_DUMP}")
    from helpers.schema import from_ddl

    creates = re.findall(r"^CREATE TABLE .*?;$", PUBLIC_DUMP.read_text(encoding="utf-8"), re.M | re.S)
    assert sample.schema().hash == from_ddl("\n".join(creates)).hash


def test_every_table_has_a_blurb():
    blurbs = yaml.safe_load((DATA / "blurbs.yaml").read_text(encoding="utf-8"))
    assert set(blurbs) == set(sample.schema().names)
    assert all(blurb.endswith(".") and blurb.count(". ") == 0 for blurb in blurbs.values())
