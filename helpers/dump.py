"""A MySQL dump file, plain or gzipped, loaded into the embedded engine without ever holding it in memory.

>>> schema = load(Path("mysqlsampledatabase.sql"), Path("classicmodels.sqlite"))
>>> schema.table("orderdetails").rows
2996

The file is read twice: `dump_survey` finds the tables, the stretches of the file with each table's rows,
their number and the encoding; then `mysqlite.create` draws the rows, a table at a time, from those stretches.
Tables, foreign keys and rows may come in any order that MySQL itself would take. Statements with neither
tables nor rows (SET, LOCK TABLES, views, triggers, routines) are stepped over.

The bytes decide between utf8 and latin1: text that is valid UTF-8 throughout is UTF-8, whatever is declared
for the tables; otherwise `SET NAMES` is believed, and latin1 assumed where it says nothing. A file that ends
before it restores the `@OLD_...` settings that it saved at its head, as mysqldump does, is taken for cut off.

Not covered: keys that ALTER TABLE adds (as in phpMyAdmin's exports: the keys get lost, the rows do not),
INSERT from SELECT or with SET, expressions as values, several databases in one file, and a cut exactly
between two statements of a dump that saves no settings (`mysqldump --compact`).
"""

import gzip
import os
import shutil
import sqlite3
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from helpers import mysqlite
from helpers.database_error import DatabaseError
from helpers.dump_scanner import Scanner
from helpers.dump_statements import inserts
from helpers.dump_survey import Survey, survey
from helpers.dump_values import value
from helpers.schema import Schema, Table

GZIP = b"\x1f\x8b"
UTF16 = (b"\xff\xfe", b"\xfe\xff")
UTF8_MARK = b"\xef\xbb\xbf"


def load(path: Path, target: Path, *, pad_space: bool = False) -> Schema:
    """Load a dump file into the SQLite file `target`, and return its schema with row counts.

    `pad_space` is passed on to `mysqlite.create`. Raises DatabaseError, naming file, line and cause, with the
    code "dump_missing", "dump_foreign", "dump_cut" or "dump_invalid"; `target` is then as it was before.
    """
    path, target = Path(path), Path(target)
    with _opened(path) as stream, tempfile.TemporaryDirectory(prefix=".dump-", dir=target.parent) as staging:
        found = survey(stream, path.name)
        scanner = Scanner(stream, path.name)
        rows = {table.name: _rows(scanner, found, table) for table in found.schema.tables}
        staged = Path(staging) / target.name
        try:
            mysqlite.create(staged, found.schema, rows, pad_space=pad_space)
        except (sqlite3.IntegrityError, OverflowError) as error:
            raise scanner.error(f"a row does not fit its table: {error}") from error
        _check_counts(path, staged, found.schema)
        os.replace(staged, target)
    return found.schema


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a dump at its first statement; a gzipped one is unpacked to a temporary file first."""
    if not path.is_file():
        raise DatabaseError("dump_missing", f"There is no dump file {path}.")
    with path.open("rb") as packed, tempfile.TemporaryFile() as unpacked:
        stream: BinaryIO = packed
        if packed.read(2) == GZIP:
            _unpack(path, unpacked)
            stream = unpacked
        stream.seek(0)
        head = stream.read(3)
        if head[:2] in UTF16:
            cause = "line 1: the file is UTF-16, as a Windows shell writes it: dump again with --result-file"
            raise DatabaseError("dump_foreign", f"{path.name}, {cause}.")
        stream.seek(3 if head == UTF8_MARK else 0)
        yield stream


def _unpack(path: Path, unpacked: BinaryIO) -> None:
    try:
        with gzip.open(path, "rb") as stream:
            shutil.copyfileobj(stream, unpacked, 1 << 20)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        lines = _lines(unpacked)
        cause = f"the file is cut off or damaged, its gzip stream breaks there ({error})"
        raise DatabaseError("dump_cut", f"{path.name}, line {lines}: {cause}.") from error


def _lines(stream: BinaryIO) -> int:
    stream.seek(0)
    return 1 + sum(chunk.count(b"\n") for chunk in iter(lambda: stream.read(1 << 20), b""))


def _rows(scanner: Scanner, found: Survey, table: Table) -> Iterator[tuple]:
    """Yield a table's rows in the order of its columns; a column that a row leaves out is None."""
    names = [column.name.lower() for column in table.columns]
    for stretch in found.stretches.get(table.name, ()):
        scanner.seek(stretch.start, line=stretch.line)
        for listed, rows in inserts(scanner, stretch.end):
            positions = {column.lower(): position for position, column in enumerate(listed or names)}
            order = [positions.get(column) for column in names]
            for literals in rows:
                ordered = [b"NULL" if at is None else literals[at] for at in order]
                yield _row(scanner, table, ordered, found.encoding)


def _row(scanner: Scanner, table: Table, literals: list[bytes], encoding: str) -> tuple:
    row = []
    for column, literal in zip(table.columns, literals, strict=True):
        try:
            row.append(value(literal, column.type, encoding))
        except (ValueError, ArithmeticError) as error:
            shown = literal[:40].decode("ascii", "replace")
            raise scanner.error(f"{shown} is no {column.type} for {table.name}.{column.name}") from error
        if row[-1] is None and not column.nullable:
            raise scanner.error(f"NULL for {table.name}.{column.name}, which is NOT NULL")
    return tuple(row)


def _check_counts(path: Path, staged: Path, schema: Schema) -> None:
    stored = mysqlite.reflect(staged)
    for table in schema.tables:
        kept = stored.table(table.name).rows
        if kept != table.rows:
            cause = f"of {table.rows} rows of `{table.name}` {kept} arrived in the database"
            raise DatabaseError("dump_invalid", f"{path.name}: {cause}.")
