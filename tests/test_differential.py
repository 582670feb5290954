"""The embedded engine beside a real server: the same rows in both, the same statements, the same answers.

Statements come from `fixtures/differential/*.sql` (one a line, under class headings), from the golds in
`data/classicmodels`, and from the grammar in `tests/statements.py`. Answers agree when column names, types,
values and the scale of decimals do; row order counts where the statement has an ORDER BY of its own. What is
accepted to differ stands with its reason in `fixtures/differential/deviations.jsonl`, and must in fact
differ.
"""

import datetime
import json
import math
import re
from decimal import Decimal
from functools import cache, partial
from pathlib import Path

import pymysql
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from helpers import local_mysql, mysqlite, sample
from helpers.mysqlite import collation
from tests.statements import statement

HERE = Path(__file__).parent
FIXTURES = HERE / "fixtures" / "differential"
GOLDS = HERE.parent / "data" / "classicmodels"
GENERATED = 1000
GROUP_ERRORS = (1055, 1140)
SESSION = (
    f"SET sql_mode = '{local_mysql.SQL_MODE}', group_concat_max_len = 1024, time_zone = '+00:00', "
    "collation_connection = @@collation_database"
)


def _statements(path: Path) -> list[str]:
    return [
        line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("--")
    ]


def _golds() -> list[str]:
    records = [
        json.loads(line)
        for path in sorted(GOLDS.glob("*.jsonl"))
        for line in path.read_text("utf-8").splitlines()
    ]
    return sorted({sql for record in records for sql in (record["sql"], *record.get("alternatives", ()))})


@cache
def _deviations() -> list[dict]:
    return [json.loads(line) for line in (FIXTURES / "deviations.jsonl").read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    path = tmp_path_factory.mktemp("differential") / "sample.sqlite"
    mysqlite.create(path, sample.schema(), sample.rows())
    engine = mysqlite.open(path, max_rows=100_000, timeout_s=20)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def server(mysql_server):
    local_mysql.load(mysql_server, sample.schema(), sample.rows())
    session = pymysql.connect(
        user="root",
        unix_socket=str(mysql_server.socket),
        database="classicmodels",
        charset="utf8mb4",
        autocommit=True,
    )
    session.cursor().execute(SESSION)
    yield session
    session.close()


def _plain(value: object) -> object:
    """Turn what pymysql makes of a value into what the engine gives."""
    if isinstance(value, datetime.timedelta):
        seconds = int(value.total_seconds())
        return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return str(value) if isinstance(value, datetime.date) else value


def _ask_embedded(engine: mysqlite.Embedded, sql: str) -> tuple[list[str], list[tuple]] | int:
    try:
        columns, rows, truncated = engine.run(sql)
    except mysqlite.MySqlError as error:
        return error.code
    assert not truncated
    return columns, rows


def _ask_server(session: pymysql.Connection, sql: str) -> tuple[list[str], list[tuple]] | int:
    cursor = session.cursor()
    try:
        cursor.execute(sql)
    except pymysql.MySQLError as error:
        return error.args[0]
    return [c[0] for c in cursor.description], [tuple(map(_plain, row)) for row in cursor.fetchall()]


def _same(left: object, right: object, within: float = 0) -> bool:
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return math.isclose(left, right, rel_tol=1e-9)
    if isinstance(left, Decimal):
        return abs(left - right) <= within and left.as_tuple().exponent == right.as_tuple().exponent
    return left == right


def _agree(sql: str, ours: tuple | int, theirs: tuple | int, within: float = 0) -> bool:
    """Tell whether both answer alike, decimals to `within`, with rows in the order that the statement asks for."""
    if isinstance(ours, int) or isinstance(theirs, int):
        return ours == theirs
    columns, first = ours
    second = theirs[1]
    keys = _order_positions(sql, columns)
    in_order = len(first) == len(second) and all(
        _tied(a[key], b[key], within) for a, b in zip(first, second, strict=True) for key in keys
    )
    same_row = partial(_same_row, within=within)
    return columns == theirs[0] and in_order and all(map(same_row, _sorted(first), _sorted(second)))


def _tied(left: object, right: object, within: float) -> bool:
    """Tell whether either may stand before the other: Inês and Inés are one text to the collation."""
    if isinstance(left, str) and isinstance(right, str):
        left, right = collation.key(left), collation.key(right)
    return _same(left, right, within)


def _same_row(left: tuple, right: tuple, within: float) -> bool:
    return len(left) == len(right) and all(map(partial(_same, within=within), left, right))


def _sorted(rows: list[tuple]) -> list[tuple]:
    return sorted(
        rows,
        key=lambda row: [(type(v).__name__, round(v, 6) if isinstance(v, float) else str(v)) for v in row],
    )


def _order_positions(sql: str, columns: list[str]) -> list[int]:
    """Return where the keys of the final ORDER BY stand in the result; ties may come in any order."""
    found = re.search(r"ORDER BY([^()]*)$", sql, re.IGNORECASE)
    terms = re.sub(r"LIMIT.*", "", found[1], flags=re.IGNORECASE).split(",") if found else []
    names = [
        re.sub(r"\s(ASC|DESC)\s*$", "", term, flags=re.IGNORECASE).strip().split(".")[-1] for term in terms
    ]
    lowered = [column.lower() for column in columns]
    positions = [
        int(n) - 1 if n.isdigit() else lowered.index(n.lower()) if n.lower() in lowered else None
        for n in names
    ]
    return positions[: positions.index(None)] if None in positions else positions


def _kind(answer: tuple | int) -> str | int:
    return answer if isinstance(answer, int) else "rows"


def _is_accepted(sql: str, ours: tuple | int, theirs: tuple | int) -> bool:
    found = (_kind(ours), _kind(theirs))
    return any(
        (d["ours"], d["theirs"]) == found
        and d.get("sql", sql) == sql
        and re.search(d.get("matching", ""), sql)
        and ("within" not in d or _agree(sql, ours, theirs, d["within"]))
        for d in _deviations()
    )


def _refuses_grouping(session: pymysql.Connection, sql: str) -> bool:
    """Ask the server in its own, stricter ONLY_FULL_GROUP_BY: what the engine refuses, it must refuse."""
    cursor = session.cursor()
    cursor.execute("SET sql_mode = CONCAT(@@sql_mode, ',ONLY_FULL_GROUP_BY')")
    try:
        return _ask_server(session, sql) in GROUP_ERRORS
    finally:
        cursor.execute(SESSION)


def _disagreement(engine: mysqlite.Embedded, session: pymysql.Connection, sql: str) -> str:
    ours, theirs = _ask_embedded(engine, sql), _ask_server(session, sql)
    agreed = _agree(sql, ours, theirs) or _is_accepted(sql, ours, theirs)
    if (
        agreed
        and ours in GROUP_ERRORS
        and ours != theirs
        and sql not in {d.get("sql") for d in _deviations()}
    ):
        agreed = _refuses_grouping(session, sql)
    return "" if agreed else f"{sql}\n  ours:   {str(ours)[:300]}\n  server: {str(theirs)[:300]}"


@pytest.mark.parametrize("name", ["arithmetic", "strings", "dates", "queries", "errors"])
def test_hand_written_statements_agree(embedded, server, name):
    wrong = [_disagreement(embedded, server, sql) for sql in _statements(FIXTURES / f"{name}.sql")]
    assert not any(wrong), "\n".join(filter(None, wrong))


def test_golds_agree(embedded, server):
    wrong = [_disagreement(embedded, server, sql) for sql in _golds()]
    assert not any(wrong), "\n".join(filter(None, wrong))


@settings(
    max_examples=GENERATED, derandomize=True, database=None, deadline=None,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(sql=statement())
def test_generated_statements_agree(embedded, server, sql):
    wrong = _disagreement(embedded, server, sql)
    assert not wrong, wrong


@pytest.mark.parametrize("deviation", [d for d in _deviations() if "sql" in d], ids=lambda d: d["sql"][:40])
def test_listed_deviations_still_deviate(embedded, server, deviation):
    ours, theirs = _ask_embedded(embedded, deviation["sql"]), _ask_server(server, deviation["sql"])
    assert (_kind(ours), _kind(theirs)) == (deviation["ours"], deviation["theirs"])
    assert not _agree(deviation["sql"], ours, theirs)


def test_there_are_enough_statements():
    written = sum(len(_statements(path)) for path in FIXTURES.glob("*.sql"))
    assert written + len(_golds()) + GENERATED >= 1500
