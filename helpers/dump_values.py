"""One literal of a MySQL dump as the Python value that its column's type calls for.

>>> value(b"'21000.00'", "decimal(10,2)", "utf-8"), value(rb"'l\\'Europe'", "varchar(50)", "utf-8")
(Decimal('21000.00'), "l'Europe")

Dates and times stay text, BIT becomes int, as everywhere in the project. It knows no tables and no files.
Not covered: expressions (mysqldump writes none) and spatial values, which stay the bytes that the dump holds.
"""

import codecs
import re
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import cache

INTEGERS = {"tinyint", "smallint", "mediumint", "int", "integer", "bigint", "year", "bool", "boolean", "bit"}
DECIMALS = {"decimal", "numeric", "dec", "fixed"}
FLOATS = {"float", "double", "real"}
BYTES = {
    "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob",
    "geometry", "point", "linestring", "polygon",
}  # fmt: skip
# MySQL's latin1 is cp1252.
ENCODINGS = {
    "utf8": "utf-8", "utf8mb3": "utf-8", "utf8mb4": "utf-8", "ascii": "utf-8", "latin1": "cp1252",
    "latin2": "iso8859-2", "latin5": "iso8859-9", "latin7": "iso8859-13", "greek": "iso8859-7",
    "hebrew": "iso8859-8", "cp1250": "cp1250", "cp1251": "cp1251", "cp1256": "cp1256", "cp1257": "cp1257",
    "cp850": "cp850", "cp852": "cp852", "cp866": "cp866", "koi8r": "koi8-r", "koi8u": "koi8-u",
}  # fmt: skip
ESCAPES = {b"0": b"\0", b"b": b"\b", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"Z": b"\x1a"}
ESCAPE = {quote: re.compile(rb"\\(.)|" + quote * 2, re.DOTALL) for quote in (b"'", b'"')}
QUOTED = re.compile(rb"(?:_([a-z0-9]+)\s*|n)?(['\"].*)", re.DOTALL | re.IGNORECASE)
SCALE = re.compile(r",\s*(\d+)\)")
EXACT = Context(prec=80, rounding=ROUND_HALF_UP)


def value(literal: bytes, type_: str, encoding: str) -> object:
    """Read one literal for a column of that type; raise ValueError or ArithmeticError if it does not fit."""
    if literal.upper() == b"NULL":
        return None
    kind = _kind(type_)
    quoted = QUOTED.fullmatch(literal)
    content = unescaped(quoted[2]) if quoted else _bare(literal)
    if kind in BYTES:
        return content if isinstance(content, bytes) else content.encode()
    if isinstance(content, bytes) and (kind == "bit" or (kind in INTEGERS and not quoted)):
        return int.from_bytes(content, "big")
    if isinstance(content, bytes):
        introducer = quoted[1].decode().lower() if quoted and quoted[1] else ""
        content = content.decode(ENCODINGS.get(introducer, encoding), "latin1_rest")
    if kind in INTEGERS:
        return int(EXACT.to_integral_value(Decimal(content)))
    if kind in DECIMALS:
        return _decimal(content, type_)
    return float(content) if kind in FLOATS else content


def is_text(literal: bytes, type_: str) -> bool:
    """Tell whether a literal's bytes are letters in the dump's own encoding, and no blob."""
    return literal[:1] in (b"'", b'"') and _kind(type_) not in BYTES and _kind(type_) != "bit"


def unescaped(quoted: bytes) -> bytes:
    """Strip a literal's quotes and resolve its escapes; as in MySQL, `\\%` and `\\_` stay as they are."""
    quote, inner = quoted[:1], quoted[1:-1]
    return ESCAPE[quote].sub(_resolved, inner) if b"\\" in inner or quote in inner else inner


@cache
def _kind(type_: str) -> str:
    return re.split(r"[( ]", type_, maxsplit=1)[0]


def _bare(literal: bytes) -> bytes | str:
    """Return a hexadecimal literal's bytes, or the digits of any other literal that is no string."""
    head, digits = literal[:2].lower(), literal[2:].strip(b"'").decode("ascii")
    if head in (b"0x", b"x'"):
        return bytes.fromhex(digits.rjust(len(digits) + len(digits) % 2, "0"))
    if head in (b"0b", b"b'"):
        return str(int(digits or "0", 2))
    return {b"true": "1", b"false": "0"}.get(literal.lower()) or literal.decode("ascii")


def _resolved(escape: re.Match[bytes]) -> bytes:
    letter = escape[1]
    if letter is None:  # a doubled quote
        return escape[0][:1]
    return escape[0] if letter in b"%_" else ESCAPES.get(letter, letter)


def _latin1_rest(error: UnicodeDecodeError) -> tuple[str, int]:
    """Read the five bytes that cp1252 leaves undefined as MySQL does, as control characters."""
    if error.encoding not in ("cp1252", "charmap"):
        raise error
    return error.object[error.start : error.end].decode("latin-1"), error.end


def _decimal(content: str, type_: str) -> Decimal:
    """Round to the column's scale: MySQL stores 5 in a decimal(10,2) as 5.00."""
    scale = SCALE.search(type_)
    return Decimal(content).quantize(Decimal(1).scaleb(-int(scale[1] if scale else 0)), context=EXACT)


codecs.register_error("latin1_rest", _latin1_rest)
