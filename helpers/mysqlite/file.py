"""The SQLite file behind the embedded engine: written from rows, read back as a `Schema`.

>>> create(Path("shop.sqlite"), schema, {"offices": [("1", "San Francisco")]})
>>> reflect(Path("shop.sqlite")).table("offices").rows
1

Columns are declared with their MySQL types; decimals are stored as SQLite numbers (exact to 15 digits), dates
as ISO text. A small table `_mysqlite` holds the schema's name and the padding of its collation. Any other
SQLite file can be read too; its types are mapped to MySQL's by name. CHECK constraints, views and triggers
are not carried over.
"""

import os
import sqlite3
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from helpers.database_error import DatabaseError
from helpers.mysqlite.types import from_mysql
from helpers.schema import Column, ForeignKey, Schema, Table

META = "_mysqlite"
_TEXT = ("char", "varchar", "text", "tinytext", "mediumtext", "longtext", "enum", "set")
_FOREIGN_TYPES = {"integer": "bigint", "": "text", "numeric": "double", "real": "double", "clob": "text",
                  "boolean": "tinyint", "bool": "tinyint", "nvarchar": "varchar(255)",
                  "timestamp": "datetime"}  # fmt: skip


def create(path: Path, schema: Schema, rows: dict[str, list[tuple]], *, pad_space: bool = False) -> None:
    """Write a SQLite file with the schema's tables and rows; it is there whole or not at all."""
    path = Path(path)
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    draft.unlink(missing_ok=True)
    try:
        connection = sqlite3.connect(draft, isolation_level=None)
        try:
            _fill(connection, schema, rows, pad_space)
        finally:
            connection.close()
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _fill(
    connection: sqlite3.Connection, schema: Schema, rows: dict[str, list[tuple]], pad_space: bool
) -> None:
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("BEGIN")
    connection.execute(f"CREATE TABLE {META} (name TEXT, pad_space INT)")
    connection.execute(f"INSERT INTO {META} VALUES (?, ?)", (schema.name, int(pad_space)))
    for table in schema.tables:
        connection.execute(_declaration(table))
        marks = ", ".join("?" * len(table.columns))
        records = rows.get(table.name, ())
        connection.executemany(f'INSERT INTO "{table.name}" VALUES ({marks})', map(_bindable, records))
        for number, key in enumerate(table.foreign_keys):
            connection.execute(
                f'CREATE INDEX "{table.name}_{number}" ON "{table.name}" ({_listed(key.columns)})'
            )
    connection.execute("COMMIT")
    connection.execute("ANALYZE")


def _bindable(record: tuple) -> tuple:
    return tuple(str(v) if isinstance(v, Decimal) else v for v in record)


def _declaration(table: Table) -> str:
    lines = [_column(c) for c in table.columns]
    if table.primary_key:
        lines.append(f"PRIMARY KEY ({_listed(table.primary_key)})")
    lines += [f"UNIQUE ({_listed(columns)})" for columns in table.unique]
    lines += [
        f'FOREIGN KEY ({_listed(k.columns)}) REFERENCES "{k.table}" ({_listed(k.references)})'
        for k in table.foreign_keys
    ]
    return f'CREATE TABLE "{table.name}" ({", ".join(lines)})'


def _column(column: Column) -> str:
    """Declare a column; text is indexed without regard to case, as MySQL's default collation demands."""
    collation = " COLLATE NOCASE" if column.type.split("(")[0] in _TEXT else ""
    return f'"{column.name}" "{column.type}"{"" if column.nullable else " NOT NULL"}{collation}'


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def connect(path: Path) -> sqlite3.Connection:
    """Open an existing SQLite file read-only; raises DatabaseError where there is none."""
    path = Path(path)
    if not path.is_file():
        raise DatabaseError(
            "no_file", f"There is no SQLite file at {path}: give the path of an existing one."
        )
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None, cached_statements=512,
        check_same_thread=False,
    )  # fmt: skip
    try:
        connection.execute("SELECT COUNT(*) FROM sqlite_master")
    except sqlite3.DatabaseError as error:
        connection.close()
        raise DatabaseError(
            "not_sqlite", f"{path} is not a SQLite file ({error}): give another path."
        ) from error
    return connection


def reflect(path: Path) -> Schema:
    """Read the schema of a SQLite file, with row counts."""
    connection = connect(path)
    try:
        return read_schema(connection, Path(path).stem)
    finally:
        connection.close()


def rows(path: Path) -> dict[str, list[tuple]]:
    """Read all rows of a file as `create` takes them: decimals as Decimal, dates as ISO text."""
    connection = connect(path)
    try:
        schema = read_schema(connection, Path(path).stem)
        return {
            t.name: [_typed(r, t) for r in connection.execute(f'SELECT * FROM "{t.name}"')]
            for t in schema.tables
        }
    finally:
        connection.close()


def _typed(record: tuple, table: Table) -> tuple:
    scales = [
        from_mysql(c.type).scale if from_mysql(c.type).kind == "decimal" else None for c in table.columns
    ]
    return tuple(
        value if scale is None or value is None else Decimal(str(value)).quantize(Decimal(1).scaleb(-scale))
        for value, scale in zip(record, scales, strict=True)
    )


def read_meta(connection: sqlite3.Connection) -> tuple[str | None, bool]:
    """Return the schema's recorded name and padding, (None, False) for a file made elsewhere."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (META,)).fetchone():
        return None, False
    name, pad_space = connection.execute(f"SELECT name, pad_space FROM {META}").fetchone()
    return name, bool(pad_space)


def read_schema(connection: sqlite3.Connection, fallback: str) -> Schema:
    """Read the schema over an open connection; `fallback` names it where the file does not."""
    names = [
        name
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rootpage"
        )
        if name != META and not name.startswith("sqlite_")
    ]
    return Schema(
        read_meta(connection)[0] or fallback, tuple(_read_table(connection, name) for name in names)
    )


def _read_table(connection: sqlite3.Connection, name: str) -> Table:
    info = connection.execute(f'PRAGMA table_info("{name}")').fetchall()
    key = tuple(column for _, column, *_, position in sorted(info, key=lambda r: r[5]) if position)
    columns = tuple(
        Column(column, _mysql_type(declared), not required and not position)
        for _, column, declared, required, _, position in info
    )
    unique = [
        tuple(r[2] for r in connection.execute(f'PRAGMA index_info("{index}")'))
        for _, index, is_unique, origin, _ in connection.execute(f'PRAGMA index_list("{name}")').fetchall()
        if is_unique and origin == "u"
    ]
    rows = connection.execute(f'SELECT COUNT(*) FROM "{name}"').fetchone()[0]
    return Table(name, columns, key, _read_foreign_keys(connection, name), tuple(sorted(unique)), rows)


def _read_foreign_keys(connection: sqlite3.Connection, name: str) -> tuple[ForeignKey, ...]:
    found: dict[int, ForeignKey] = {}
    for number, _, table, column, target, *_ in connection.execute(
        f'PRAGMA foreign_key_list("{name}")'
    ).fetchall():
        key = found.get(number, ForeignKey((), table, ()))
        found[number] = replace(
            key, columns=(*key.columns, column), references=(*key.references, target or column)
        )
    return tuple(found[number] for number in sorted(found, reverse=True))


def _mysql_type(declared: str) -> str:
    lowered = declared.lower().replace(", ", ",")
    return _FOREIGN_TYPES.get(
        lowered.split("(")[0] if "(" not in lowered or "nvarchar" in lowered else lowered, lowered
    )


def plain_columns(connection: sqlite3.Connection, schema: Schema) -> frozenset[tuple[str, str]]:
    """Find the text columns that hold printable ASCII only.

    On those SQLite's own NOCASE decides equality as MySQL's default collation does, and much faster than a
    Python function.
    """
    plain = []
    for table in schema.tables:
        names = [c.name for c in table.columns if c.type.split("(")[0] in _TEXT]
        if not names:
            continue
        tests = ", ".join(f"""MAX("{name}" GLOB '*[^ -~]*')""" for name in names)
        found = connection.execute(f'SELECT {tests} FROM "{table.name}"').fetchone()
        plain += [(table.name, name) for name, odd in zip(names, found, strict=True) if not odd]
    return frozenset(plain)
