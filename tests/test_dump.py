"""A dump file becomes an embedded database with the same rows, or an error that names line and cause."""

import datetime
import gzip
import io
import json
import random
import shutil
import subprocess
import tracemalloc
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers import dump, local_mysql, mysqlite
from helpers.database_error import DatabaseError
from helpers.dump_survey import survey
from helpers.schema import from_ddl, to_ddl
from tests.conftest import require

FIXTURES = Path(__file__).parent / "fixtures" / "dump"
FAULTS = [json.loads(line) for line in (FIXTURES / "faults.jsonl").read_text(encoding="utf-8").splitlines()]
REAL = Path("/work/shared/classicmodels/mysqlsampledatabase.sql")
REAL_ROWS = {
    "productlines": 7, "products": 110, "offices": 7, "employees": 23, "customers": 122, "payments": 273,
    "orders": 326, "orderdetails": 2996,
}  # fmt: skip
HARBOUR = {
    "ships": [
        (7, "L'Étoile", "ÅRHUS", 9, Decimal("3.50"), "1931-04-02", b"a\0b'\\\x1a\n", 1, 1.5e-7),
        (9, "Say 'aye'; (twice), --no", "KØGE", None, Decimal("12.00"), None, b"\0\xff\x10", 0, -2000.0),
        (11, 'say ""aye"" \\% \\_ q\t', "KØGE", 7, None, "2003-12-31", None, 0, 0.5),
    ],
    "ports": [("KØGE", 8, None), ("ÅRHUS", 11, 'a "deep" one; it\'s old\nwith\ta second line')],
}
ORCHARD = {
    "pickers": [
        (1, "Zoë 😀", None, "a,b;c", "2004-05-01 10:00:00", '{"k": [1, "it\\"s"]}'),
        (2, "", None, None, "2004-05-02 10:00:00", None),
        (3, "`", None, "", "2004-05-03 10:00:00", "null"),
    ]
}
ALL_TYPES = """CREATE TABLE `all types` (
  `id` int NOT NULL, `t%s` varchar(200), `d` decimal(20,4), `f` double, `b` blob, `day` date, `at` datetime,
  PRIMARY KEY (`id`));"""


def rows_of(path: Path, table: str) -> list[tuple]:
    return mysqlite.open(path).run(f"SELECT * FROM `{table}`")[1]


def same(left: list[tuple], right: list[tuple]) -> bool:
    """Compare rows whatever their order; the key comes first in each."""
    return sorted(left, key=lambda row: str(row[0])) == sorted(right, key=lambda row: str(row[0]))


def written(folder: Path, content: bytes) -> Path:
    path = folder / "some.sql"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize(("name", "expected"), [("harbour", HARBOUR), ("mysqldump", ORCHARD)])
def test_a_fixture_dump_loads_with_its_rows(tmp_path, name, expected, packed):
    source = FIXTURES / f"{name}.sql"
    if packed:
        source = tmp_path / f"{name}.sql.gz"
        source.write_bytes(gzip.compress((FIXTURES / f"{name}.sql").read_bytes()))
    schema = dump.load(source, tmp_path / "some.sqlite")
    assert {table.name: table.rows for table in schema.tables} == {t: len(expected[t]) for t in expected}
    for table, rows in expected.items():
        assert same(rows_of(tmp_path / "some.sqlite", table), rows)


def test_keys_come_with_the_tables(tmp_path):
    schema = dump.load(FIXTURES / "harbour.sql", tmp_path / "harbour.sqlite")
    ships = schema.table("ships")
    assert schema.name == "harbour"
    assert ships.primary_key == ("shipNumber",)
    assert [key.columns + (key.table,) for key in ships.foreign_keys] == [
        ("tender", "ships"),
        ("port", "ports"),
    ]
    assert mysqlite.reflect(tmp_path / "harbour.sqlite").table("ships").foreign_keys == ships.foreign_keys


def test_an_enum_and_a_set_load(tmp_path):
    statements = b"CREATE TABLE t (a enum('x','y;z') NOT NULL, b set('p','q'));INSERT t VALUES ('y;z','p,q');"
    dump.load(written(tmp_path, statements), tmp_path / "some.sqlite")
    assert rows_of(tmp_path / "some.sqlite", "t") == [("y;z", "p,q")]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault["id"])
def test_a_fault_is_named_with_its_line_and_leaves_nothing(tmp_path, fault):
    source = written(tmp_path, fault["text"].encode())
    with pytest.raises(DatabaseError) as caught:
        dump.load(source, tmp_path / "some.sqlite")
    assert caught.value.code == fault["code"]
    assert f"some.sql, line {fault['line']}: " in caught.value.message
    assert fault["cause"] in caught.value.message
    assert list(tmp_path.iterdir()) == [source]


def test_a_fault_leaves_an_earlier_database_as_it_was(tmp_path):
    target = tmp_path / "some.sqlite"
    dump.load(FIXTURES / "harbour.sql", target)
    before = target.read_bytes()
    with pytest.raises(DatabaseError):
        dump.load(written(tmp_path, b"CREATE TABLE t (a int);INSERT INTO t VALUES (1),('x');"), target)
    assert target.read_bytes() == before


@pytest.mark.parametrize("name", ["harbour", "mysqldump"])
def test_a_file_cut_anywhere_is_found_out(name):
    whole = (FIXTURES / f"{name}.sql").read_bytes()
    last = whole.rindex(b"*/;")  # after it nothing gets lost
    for at in range(0, last + 1, 3):
        with pytest.raises(DatabaseError) as caught:
            survey(io.BytesIO(whole[:at]), name)
        assert caught.value.code in ("dump_cut", "dump_foreign"), (at, caught.value)
    survey(io.BytesIO(whole[: last + 3]), name)


@pytest.mark.parametrize(
    ("content", "code", "cause"),
    [
        ("CREATE TABLE t (a int);".encode("utf-16"), "dump_foreign", "UTF-16"),
        (gzip.compress(random.Random(7).randbytes(5000))[:-99], "dump_cut", "gzip stream breaks"),
        (b"SQLite format 3\0" + bytes(100), "dump_foreign", "found 'SQLite format 3"),
        (b"SET NAMES utf8;CREATE TABLE t (a text);\nINSERT t VALUES ('Zo\xeb');", "dump_invalid", "not utf8"),
        (b"SET NAMES gbk;CREATE TABLE t (a text);\nINSERT t VALUES ('\xeb');", "dump_invalid", "gbk is not"),
    ],
    ids=["utf16", "gzip cut", "sqlite file", "not utf8", "gbk"],
)  # fmt: skip
def test_bytes_that_cannot_be_read_are_named(tmp_path, content, code, cause):
    with pytest.raises(DatabaseError, match="line [12]: ") as caught:
        dump.load(written(tmp_path, content), tmp_path / "some.sqlite")
    assert (caught.value.code, cause in caught.value.message) == (code, True)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DatabaseError, match=r"nowhere\.sql"):
        dump.load(tmp_path / "nowhere.sql", tmp_path / "some.sqlite")


@pytest.mark.parametrize(
    ("declared", "stored", "text"),
    [
        ("", "utf-8", "Zoë, Århus"),
        ("", "cp1252", "Zoë, Århus"),
        ("/*!40101 SET NAMES utf8 */;", "utf-8", "Zoë, Århus"),
        ("/*!40101 SET NAMES latin1 */;", "cp1252", "Zoë, 10 €"),
        ("/*!40101 SET NAMES latin1 */;", "utf-8", "Zoë, 10 €"),
        ("SET NAMES 'cp1251';", "cp1251", "Зоя"),
        ("SET NAMES latin1;", "latin-1", "\x81 undefined in cp1252"),
    ],
)
def test_the_bytes_decide_what_the_declaration_leaves_open(tmp_path, declared, stored, text):
    start = f"{declared}CREATE TABLE t (a text, b blob) DEFAULT CHARSET=latin1;INSERT t VALUES ('{text}',"
    source = written(tmp_path, start.encode(stored) + b"_binary '\xff\xfe'),(_latin1'\xeb','\xff');")
    dump.load(source, tmp_path / "some.sqlite")
    assert rows_of(tmp_path / "some.sqlite", "t") == [(text, b"\xff\xfe"), ("ë", b"\xff")]


def literal(value: object) -> bytes:
    """Write a value the way mysqldump does."""
    if value is None:
        return b"NULL"
    if isinstance(value, (int, float, Decimal)):
        return str(value).encode()
    raw = value if isinstance(value, bytes) else value.encode()
    for plain, escaped in zip(b"\\\0\n\r\x1a'\"", b"\\0nrZ'\"", strict=True):
        raw = raw.replace(bytes([plain]), bytes([ord("\\"), escaped]))
    return (b"_binary '" if isinstance(value, bytes) else b"'") + raw + b"'"


DAYS = st.dates(min_value=datetime.date(1000, 1, 1))
ROWS = st.lists(
    st.tuples(
        st.none() | st.text(st.characters(exclude_categories=["Cs"])) | st.text("';,()\\`\"-#/*%\n"),
        st.none() | st.decimals(-(10**10), 10**10, places=4),  # SQLite keeps 15 digits
        st.none() | st.floats(allow_nan=False, allow_infinity=False),
        st.none() | st.binary(),
        st.none() | DAYS.map(str),
        st.none() | DAYS.map(lambda day: f"{day} 10:00:59"),
    ),
    max_size=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, extended=st.booleans())
def test_rows_written_as_mysqldump_writes_them_come_back(tmp_path, rows, extended):
    rows = [(number, *row) for number, row in enumerate(rows)]
    tuples = [b"(" + b",".join(map(literal, row)) + b")" for row in rows]
    values = [b",".join(tuples)] if extended and tuples else tuples
    inserts = [b"INSERT INTO `all types` VALUES " + value + b";\n" for value in values]
    source = written(tmp_path, ALL_TYPES.encode() + b"\n" + b"".join(inserts))
    schema = dump.load(source, tmp_path / "some.sqlite")
    assert schema.table("all types").rows == len(rows)
    assert same(rows_of(tmp_path / "some.sqlite", "all types"), rows)


@pytest.mark.parametrize(
    "options",
    [(), ("--hex-blob",), ("--skip-opt", "--complete-insert"), ("--compact",), ("--skip-extended-insert",)],
    ids=lambda options: " ".join(options) or "as it is",
)
def test_a_dump_by_the_real_program_comes_back(mysql_server, tmp_path, options):
    program = shutil.which("mysqldump") or shutil.which("mariadb-dump")
    require(program, "no mysqldump here: apt-get install mariadb-client")
    chance = random.Random(17)
    schema = from_ddl(ALL_TYPES + "CREATE TABLE child (id int PRIMARY KEY, parent int, flag bit(3), "
                      "FOREIGN KEY (parent) REFERENCES `all types` (id));", name="real")  # fmt: skip
    odd = "aé😀'\"\\%_\n\r\t\0\x1a;,()`-#"
    rows = {
        "all types": [
            (n, "".join(chance.choices(odd, k=n % 40)), Decimal(n) / 4, chance.random() * 10.0 ** (n - 20),
             chance.randbytes(n * 9), "2004-05-01", None)
            for n in range(50)
        ],
        "child": [(n, chance.randrange(50), n % 8) for n in range(20)],
    }  # fmt: skip
    local_mysql.load(mysql_server, schema, rows, database="real")
    command = [program, "--no-defaults", f"--socket={mysql_server.socket}", "--user=root", *options, "real"]
    text = subprocess.run(command, capture_output=True, check=True).stdout
    loaded = dump.load(written(tmp_path, text), tmp_path / "some.sqlite")
    assert set(map(to_ddl, loaded.tables)) == set(map(to_ddl, schema.tables))
    for table, expected in rows.items():
        assert same(rows_of(tmp_path / "some.sqlite", table), expected)


def test_the_file_is_never_held(tmp_path):
    source = tmp_path / "long.sql"
    row = b"(%d,'" + b"it\\'s long " * 30 + b"'),"
    with source.open("wb") as stream:
        stream.write(b"CREATE TABLE t (a int, b text);\nINSERT INTO t VALUES ")
        stream.writelines(row % number for number in range(12_000))
        stream.write(b"(-1,'" + b"x" * 300_000 + b"');")
    tracemalloc.start()
    schema = dump.load(source, tmp_path / "some.sqlite")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert schema.table("t").rows == 12_001
    assert peak < 3_000_000 < source.stat().st_size


def test_the_public_classicmodels_dump_loads_as_it_is(tmp_path):
    require(REAL.exists(), "the public classicmodels dump is not here")
    target = tmp_path / "classicmodels.sqlite"
    schema = dump.load(REAL, target)
    assert {table.name: table.rows for table in schema.tables} == REAL_ROWS
    question = "SELECT city, creditLimit FROM customers WHERE customerNumber IN (145, 227) ORDER BY 1"
    assert mysqlite.open(target).run(question)[1] == [
        ("Århus", Decimal("120800.00")),
        ("Kobenhavn", Decimal("83400.00")),
    ]
