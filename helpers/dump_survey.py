"""What a MySQL dump holds: its tables, where in the file each table's rows lie, how many, and the encoding.

>>> with open("shop.sql", "rb") as stream:
...     found = survey(stream, "shop.sql")
>>> found.schema.table("orders").rows, found.stretches["orders"]
(326, [Stretch(start=15320, end=61044, line=301)])

It reads the file once, statement by statement, and knows which statements matter; values it does not convert.
The file's faults show here: a statement of another system, rows without a table, rows of another width, an
early end.
"""

import re
from dataclasses import dataclass, field, replace
from typing import BinaryIO

from sqlglot.errors import SqlglotError

from helpers.dump_scanner import WORD, Scanner, compiled
from helpers.dump_statements import COMMA, END, INSERT, insert_head, name_at, pass_over, pieces, rows, text_of
from helpers.dump_values import ENCODINGS, is_text
from helpers.schema import Schema, Table, from_ddl

# Statements of a dump that carry neither a table's shape nor its rows.
PASSED_OVER = {
    "ALTER", "ANALYZE", "BEGIN", "CALL", "CHANGE", "COMMIT", "CREATE", "DELETE", "DROP", "FLUSH", "GRANT",
    "LOCK", "OPTIMIZE", "RESET", "SET", "START", "TRUNCATE", "UNLOCK", "UPDATE", "USE",
}  # fmt: skip
CREATE_TABLE = compiled(rb"CREATE\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?")
DROP_TABLE = compiled(rb"DROP\s+TABLE\s+(?:IF\s+EXISTS\s+)?")
USE = compiled(rb"USE\s+")
DELIMITER = compiled(rb"DELIMITER[ \t]+(\S+)[^\n]*+\n?")
LINE = compiled(rb"[^\n]*+\n?")
NAMES = re.compile(r"\bSET\s+(?:NAMES|CHARACTER\s+SET)\s+['\"]?(\w+)", re.IGNORECASE)
SAVED = re.compile(r"(@OLD_\w+)\s*(:?=)?", re.IGNORECASE)


@dataclass(frozen=True)
class Stretch:
    """The bytes from `start`, in line `line`, to `end`: INSERTs into one table, and into no other."""

    start: int
    end: int
    line: int


@dataclass(frozen=True)
class Survey:
    """The schema with its row counts, the stretches with each table's rows, and Python's encoding."""

    schema: Schema
    stretches: dict[str, list[Stretch]]
    encoding: str


@dataclass
class _Notes:
    """What has been seen so far; `saved` maps a setting put aside to its line until it is restored."""

    database: str = ""
    tables: dict[str, Table] = field(default_factory=dict)
    stretches: dict[str, list[Stretch]] = field(default_factory=dict)
    latest: str = ""
    charset: str = ""
    saved: dict[str, int] = field(default_factory=dict)
    not_utf8: int = 0


def survey(stream: BinaryIO, name: str) -> Survey:
    """Read a dump to its end and return what it holds.

    Raises DatabaseError with the line: "dump_foreign" where it is no MySQL dump, "dump_cut" where it ends
    early, "dump_invalid" for anything else MySQL would not take, or that is not covered here.
    """
    notes = _Notes()
    scanner = Scanner(stream, name, heard=lambda comment, line: _hear(comment, line, notes))
    while not scanner.at_end():
        _statement(scanner, notes)
    if not notes.tables:
        raise scanner.error("this is no MySQL dump, as it creates no table", code="dump_foreign")
    if notes.saved:
        setting, line = next(iter(notes.saved.items()))
        cause = f"the file is cut off: it ends before it restores {setting}, which line {line} saves"
        raise scanner.error(cause, code="dump_cut")
    schema = Schema(notes.database or "classicmodels", tuple(notes.tables.values()))
    return Survey(schema, notes.stretches, _encoding(scanner, notes))


def _statement(scanner: Scanner, notes: _Notes) -> None:
    start, line = scanner.offset, scanner.line
    if scanner.take(CREATE_TABLE):
        _create(scanner, notes, line)
    elif scanner.take(INSERT):
        _insert(scanner, notes, Stretch(start, start, line))
    elif scanner.take(DROP_TABLE):
        _drop(scanner, notes)
    elif scanner.take(USE):
        _use(scanner, notes)
    elif section := scanner.take(DELIMITER):
        _pass_over_section(scanner, section[1].decode("ascii", "replace"), line)
    elif not scanner.take(END):
        word = scanner.peek(WORD).upper()
        if word not in PASSED_OVER:
            raise scanner.fault("a statement of a MySQL dump", code="dump_foreign")
        text = pass_over(scanner)
        if word == "SET":
            _hear(text, line, notes)


def _pass_over_section(scanner: Scanner, delimiter: str, line: int) -> None:
    """Step over routines and triggers: the lines up to the one that sets the delimiter back."""
    while delimiter != ";":
        if back := scanner.take(DELIMITER):
            delimiter = back[1].decode("ascii", "replace")
        elif not scanner.take(LINE)[0]:
            raise scanner.error(f"the file ends inside the DELIMITER section of line {line}", code="dump_cut")


def _hear(text: bytes, line: int, notes: _Notes) -> None:
    """Note an encoding that is declared before the first row, and settings that are saved or restored."""
    said = text.decode("latin-1")
    if (names := NAMES.search(said)) and not notes.stretches:
        notes.charset = names[1].lower()
    for setting, assigned in SAVED.findall(said):
        if assigned:
            notes.saved[setting.upper()] = line
        else:
            notes.saved.pop(setting.upper(), None)


def _use(scanner: Scanner, notes: _Notes) -> None:
    name = name_at(scanner)
    if notes.tables and name.lower() != notes.database.lower():
        raise scanner.error(f"the file holds a second database, `{name}`: dump one database by itself")
    notes.database = name
    pass_over(scanner)


def _create(scanner: Scanner, notes: _Notes, line: int) -> None:
    text = "CREATE TABLE " + text_of(b"".join(pieces(scanner)))
    try:
        tables = from_ddl(text).tables
    except (SqlglotError, AttributeError, KeyError) as error:
        raise scanner.error("this CREATE TABLE cannot be read as MySQL's", line=line) from error
    if len(tables) != 1 or not tables[0].columns:
        raise scanner.error("this CREATE TABLE lists no columns", line=line)
    notes.tables[tables[0].name.lower()] = replace(tables[0], rows=0)


def _drop(scanner: Scanner, notes: _Notes) -> None:
    """Forget tables: mysqldump drops the stand-in of a view before it creates the view."""
    while True:
        name = name_at(scanner).lower()
        notes.tables.pop(name, None)
        notes.stretches.pop(name, None)
        if not scanner.take(COMMA):
            break
    pass_over(scanner)


def _insert(scanner: Scanner, notes: _Notes, stretch: Stretch) -> None:
    name, columns = insert_head(scanner)
    table = notes.tables.get(name.lower())
    if not table:
        raise scanner.error(f"rows for `{name}`, which no CREATE TABLE before them declares")
    types = _types(scanner, table, columns)
    count = 0
    for literals in rows(scanner):
        count += 1
        if len(literals) != len(types):
            raise scanner.error(f"a row of {len(literals)} values for {len(types)} columns of `{table.name}`")
        if not notes.not_utf8 and not b"".join(literals).isascii():
            notes.not_utf8 = 0 if _is_utf8(literals, types) else scanner.line
    notes.tables[name.lower()] = replace(table, rows=table.rows + count)
    known = notes.stretches.setdefault(table.name, [])
    if known and notes.latest == table.name:
        stretch = replace(known.pop(), end=scanner.offset)
    known.append(replace(stretch, end=scanner.offset))
    notes.latest = table.name


def _types(scanner: Scanner, table: Table, columns: tuple[str, ...]) -> list[str]:
    try:
        return [table.column(name).type for name in columns or [column.name for column in table.columns]]
    except KeyError as error:
        raise scanner.error(f"rows for a missing column: {error.args[0]}") from error


def _is_utf8(literals: list[bytes], types: list[str]) -> bool:
    for literal, type_ in zip(literals, types, strict=True):
        if is_text(literal, type_) and not literal.isascii():
            try:
                literal.decode()
            except UnicodeDecodeError:
                return False
    return True


def _encoding(scanner: Scanner, notes: _Notes) -> str:
    if not notes.not_utf8:
        return "utf-8"
    declared = notes.charset if notes.charset not in ("", "binary") else "latin1"
    encoding = ENCODINGS.get(declared)
    if encoding == "utf-8":
        cause = f"the text is not {declared}, which SET NAMES declares: save the file as UTF-8"
        raise scanner.error(cause, line=notes.not_utf8)
    if not encoding:
        cause = f"the text's encoding {declared} is not covered: dump with utf8mb4"
        raise scanner.error(cause, line=notes.not_utf8)
    return encoding
