"""The engine itself: a statement compiled once, run on a connection that may only read, its values decoded.

>>> rewrite("SELECT 1 DIV 0", catalog).columns
('1 DIV 0',)

What it covers and what not stands in the package's docstring.
"""

import decimal
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

from sqlglot import exp

from helpers.mysqlite import (
    accumulators,
    aggregates,
    calls,
    casts,
    comparison,
    dates,
    functions,
    literals,
    operators,
    show,
    subquery,
    windows,
)
from helpers.mysqlite.aggregates import AGGREGATES, aggregate
from helpers.mysqlite.error import MySqlError, failure
from helpers.mysqlite.file import connect, create, plain_columns, read_meta, read_schema, reflect, rows
from helpers.mysqlite.names import Catalog, Context, Scope
from helpers.mysqlite.parse import parse, syntax_error
from helpers.mysqlite.query import compile_query
from helpers.mysqlite.types import Type, Value
from helpers.schema import Schema

__all__ = ["Embedded", "MySqlError", "create", "open", "reflect", "rows"]

# SQLite's own functions that rewritten statements may call
_NATIVE = frozenset(
    """abs avg cast char coalesce count cume_dist dense_rank first_value group_concat glob hex ifnull iif
    instr julianday lag last_value lead length like lower ltrim max min nth_value ntile nullif
    percent_rank rank replace round row_number rtrim substr sum total trim upper""".split()
)
_ACTIONS = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE)
_CHECK_EVERY = 10_000
_GROUPING = (1055, 1140, 3029, 3065)  # MySQL's errors for a column that neither groups nor depends on what does
_WIDE = decimal.Context(prec=80, rounding=decimal.ROUND_HALF_UP)


def _call(node: exp.Anonymous, scope: Scope) -> Value:
    """Write a function call of any sort: date, aggregate, scalar."""
    name = node.name.lower()
    if name in AGGREGATES:
        return aggregate(node, scope)
    if name in windows.WINDOWS:
        raise syntax_error(node)
    found = dates.call(node, scope)
    return found if found is not None else calls.call(node, scope)


HANDLERS = {
    **literals.HANDLERS, **operators.HANDLERS, **comparison.HANDLERS,
    **calls.HANDLERS, **casts.HANDLERS, **dates.HANDLERS,
    **aggregates.HANDLERS, **windows.HANDLERS, **subquery.HANDLERS,
    exp.Anonymous: _call,
}  # fmt: skip


@dataclass(frozen=True)
class Statement:
    """A statement ready for SQLite: SQL, names and decoders of its columns; for SHOW the rows."""

    sql: str
    columns: tuple[str, ...]
    decoders: tuple[Callable[[object], object] | None, ...] = ()
    rows: tuple[tuple, ...] | None = None


@lru_cache(maxsize=20_000)
def rewrite(sql: str, catalog: Catalog) -> Statement:
    """Rewrite a MySQL statement for SQLite; raises MySqlError as MySQL would before running it."""
    tree = parse(sql)
    try:
        if isinstance(tree, (exp.Show, exp.Describe)):
            columns, rows = show.answer(tree, catalog.schema)
            return Statement("", columns, rows=rows)
        query = compile_query(tree, Scope(Context(catalog, HANDLERS)))
    except RecursionError:
        raise syntax_error(sql) from None
    return Statement(query.write(), query.names, tuple(_decoder(t) for t in query.types))


def _decoder(type_: Type) -> Callable[[object], object] | None:
    """Return what turns SQLite's value of a decimal column into a Decimal; other types need nothing."""
    if type_.kind != "decimal":
        return None
    scale, unit = type_.scale, Decimal(1).scaleb(-type_.scale)
    if type_.fixed:
        return lambda v: None if v is None else Decimal(v if isinstance(v, int) else round(v)).scaleb(-scale)
    return lambda v: None if v is None else Decimal(v).quantize(unit, context=_WIDE)


def full_group_by(sql: str, schema: Schema) -> None:
    """Raise the MySqlError that ONLY_FULL_GROUP_BY means for a statement, for a server that does not detect it.

    MariaDB has the mode without functional dependencies. What this engine cannot run is left to the server.
    """
    try:
        rewrite(sql, _shared_catalog(schema, frozenset()))
    except MySqlError as error:
        if error.code in _GROUPING:
            raise


@dataclass(frozen=True)
class Embedded:
    """An open embedded database."""

    schema: Schema
    catalog: Catalog
    connection: sqlite3.Connection
    failures: list[MySqlError]
    deadline: list[float]
    timeout_s: float
    max_rows: int

    def run(self, sql: str) -> tuple[list[str], list[tuple], bool]:
        """Run one MySQL statement: column names, rows, and whether `max_rows` cut them; raises MySqlError."""
        statement = rewrite(sql, self.catalog)
        if statement.rows is not None:
            return list(statement.columns), list(statement.rows), False
        self.failures.clear()
        self.deadline[0] = time.monotonic() + self.timeout_s
        try:
            cursor = self.connection.execute(statement.sql)
            rows = cursor.fetchmany(self.max_rows + 1)
            cursor.close()
        except sqlite3.OperationalError as error:
            raise self._translated(error) from error
        truncated = len(rows) > self.max_rows
        return list(statement.columns), _decoded(rows[: self.max_rows], statement.decoders), truncated

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def _translated(self, error: sqlite3.OperationalError) -> MySqlError:
        if self.failures:
            return self.failures[0]
        if str(error) == "interrupted":
            return failure(3024)
        if str(error) == "integer overflow":
            return failure(1690, "BIGINT", "SUM")
        return MySqlError(1235, f"The embedded engine cannot run this statement: {error}.")


def _decoded(rows: list[tuple], decoders: tuple[Callable | None, ...]) -> list[tuple]:
    if not any(decoders):
        return rows
    return [tuple(d(v) if d else v for d, v in zip(decoders, row, strict=True)) for row in rows]


def open(
    path: Path, *, now: str = "2005-06-01 12:00:00", timeout_s: float = 5.0, max_rows: int = 10_000
) -> Embedded:
    """Open a SQLite file read-only as a MySQL database; `now` is what NOW() returns."""
    connection = connect(path)
    schema = read_schema(connection, Path(path).stem)
    pad_space = read_meta(connection)[1]
    plain = frozenset() if pad_space else plain_columns(connection, schema)
    catalog = _shared_catalog(schema, plain)
    failures: list[MySqlError] = []
    deadline = [0.0]
    names = functions.register(connection, now=now, pad_space=pad_space, report=failures.append)
    names |= accumulators.register(connection, failures.append) | _NATIVE
    connection.set_authorizer(lambda action, first, second, *_: _authorize(action, second, names))
    connection.set_progress_handler(lambda: time.monotonic() > deadline[0], _CHECK_EVERY)
    return Embedded(schema, catalog, connection, failures, deadline, timeout_s, max_rows)


_CATALOGS: dict[tuple, Catalog] = {}


def _shared_catalog(schema: Schema, plain: frozenset) -> Catalog:
    """Return one catalog for all databases of a shape, so that they share rewritten statements."""
    return _CATALOGS.setdefault((schema.name, schema.hash, plain), Catalog(schema, plain))


def _authorize(action: int, name: str | None, functions: frozenset[str]) -> int:
    allowed = action in _ACTIONS or (action == sqlite3.SQLITE_FUNCTION and (name or "").lower() in functions)
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY
