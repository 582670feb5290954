"""The statements of a MySQL dump as names and literals: INSERT row by row, any other piece by piece.

>>> scanner = Scanner(io.BytesIO(b"INSERT INTO `t` (`a`,`b`) VALUES (1,'x'),(2,NULL);"), "t.sql")
>>> [(columns, list(rows)) for columns, rows in inserts(scanner, 100)]
[(('a', 'b'), [[b'1', b"'x'"], [b'2', b'NULL']])]

It holds one row at a time. What a literal means for its column is `dump_values`' business; which table a row
belongs to is `dump_survey`'s.
"""

import re
from collections.abc import Iterator

from helpers.dump_scanner import DOUBLE, NAME, PIECE, SINGLE, Scanner, compiled

INSERT = compiled(
    rb"(?:INSERT|REPLACE)\s+(?:(?:LOW_PRIORITY|DELAYED|HIGH_PRIORITY|IGNORE)\s+)*+(?:INTO\s+)?"
)
VALUES = compiled(rb"VALUES?(?![a-z0-9_$])")
OPEN, CLOSE, COMMA, DOT, END = (compiled(re.escape(mark)) for mark in (b"(", b")", b",", b".", b";"))
LITERAL = compiled(
    rb"\s*+(NULL|true|false|0x[0-9a-f]*+|0b[01]++|[-+]?(?:[0-9]++\.?[0-9]*+|\.[0-9]++)(?:e[-+]?[0-9]++)?"
    rb"|[xb]%b|(?:_[a-z0-9]++\s*|n)?(?:%b|%b))\s*+([,)])" % (SINGLE, SINGLE, DOUBLE)
)


def inserts(scanner: Scanner, end: int) -> Iterator[tuple[tuple[str, ...], Iterator[list[bytes]]]]:
    """Yield, for each INSERT up to `end`, the columns it lists (none: all) and its rows as literals."""
    while scanner.offset < end and not scanner.at_end():
        if scanner.take(INSERT):
            _, columns = insert_head(scanner)
            yield columns, rows(scanner)
        else:
            pass_over(scanner)


def insert_head(scanner: Scanner) -> tuple[str, tuple[str, ...]]:
    """Read what stands between INSERT and the first row: the table, and the columns where they are listed."""
    table = name_at(scanner)
    columns = []
    if scanner.take(OPEN):
        while not columns or scanner.take(COMMA):
            columns.append(name_at(scanner))
        if not scanner.take(CLOSE):
            raise scanner.fault(f"a closing parenthesis after the columns of `{table}`")
    scanner.skip()
    if not scanner.take(VALUES):
        raise scanner.fault(f"VALUES after INSERT INTO `{table}`")
    return table, tuple(columns)


def rows(scanner: Scanner) -> Iterator[list[bytes]]:
    """Yield each row's literals, and step over the semicolon at the end."""
    while True:
        scanner.skip()
        if not scanner.take(OPEN):
            raise scanner.fault("a row")
        literals, closed = [], b","
        while closed == b",":
            found = scanner.take(LITERAL)
            if not found:
                raise scanner.fault("a value")
            literal, closed = found.groups()
            literals.append(literal)
        yield literals
        scanner.skip()
        if scanner.take(END):
            return
        if not scanner.take(COMMA):
            raise scanner.fault("a comma or semicolon after a row")


def pass_over(scanner: Scanner) -> bytes:
    """Step over a statement and its semicolon; return the text of a short one."""
    kept, size = [], 0
    for piece in pieces(scanner):
        size += len(piece)
        if size < 1000:
            kept.append(piece)
    return b"".join(kept)


def pieces(scanner: Scanner) -> Iterator[bytes]:
    """Yield the pieces of a statement up to and without its semicolon, a blank in place of each comment."""
    while True:
        blank = b" " if scanner.skip() else b""
        if scanner.take(END):
            return
        piece = scanner.take(PIECE)
        if not piece:
            raise scanner.fault("a semicolon")
        yield blank + piece[0]


def name_at(scanner: Scanner) -> str:
    """Read a name, of which only the last part counts: `shop`.`orders` is orders."""
    while True:
        scanner.skip()
        found = scanner.take(NAME)
        if not found:
            raise scanner.fault("a name")
        scanner.skip()
        if not scanner.take(DOT):
            return text_of(found[0]).strip("`").replace("``", "`")


def text_of(raw: bytes) -> str:
    """Decode DDL or a name, whose encoding nobody may have declared."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
