"""Static types of MySQL expressions, and SQL text that converts between them.

>>> Value('t1."buyPrice"', decimal(2)).sql, common([INT, decimal(2)])
('t1."buyPrice"', Type(kind='decimal', scale=2, fixed=True, plain=True, binary=False))

How a value of each type is held while SQLite works on it:

- int: INTEGER; double: REAL; text: TEXT; date, datetime, time: ISO TEXT; blob: BLOB
- fixed decimal of scale s: INTEGER, the value times 10**s, so that sums, products, comparisons and groups
  are exact
- other decimal of scale s (a quotient or an average, which MySQL carries with more digits than it shows):
  TEXT with all its digits, see `decimal`; rounded half up to s places where shown, grouped or stored

A fixed decimal beyond 18 digits degrades to a double; MySQL's 65 digits are not covered.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

MAX_SCALE = 30
MAX_FIXED_SCALE = 9
TEMPORAL = ("date", "datetime", "time")


@dataclass(frozen=True)
class Type:
    """A type; `plain` text holds printable ASCII only, `binary` text compares byte by byte."""

    kind: str
    scale: int = 0
    fixed: bool = True
    plain: bool = True
    binary: bool = False

    @property
    def stored(self) -> "Type":
        """Return the type after a temporary table: a decimal is rounded to its scale."""
        return self if self.fixed else decimal(self.scale)


@dataclass(frozen=True)
class Value:
    """An expression in SQLite's SQL with its MySQL type; `literal` is set where the value is known."""

    sql: str
    type: Type
    literal: object = None

    @property
    def kind(self) -> str:
        """Return the kind of the type."""
        return self.type.kind


INT, DOUBLE, NULL, BLOB = Type("int"), Type("double"), Type("null"), Type("blob")
TEXT, ASCII = Type("text", plain=False), Type("text")
DATE, DATETIME, TIME = Type("date"), Type("datetime"), Type("time")
_KINDS = {
    "double": DOUBLE, "float": DOUBLE, "real": DOUBLE, "date": DATE, "datetime": DATETIME,
    "timestamp": DATETIME,
    "time": TIME, "blob": BLOB, "tinyblob": BLOB, "mediumblob": BLOB, "longblob": BLOB, "binary": BLOB,
    "varbinary": BLOB, "tinyint": INT, "smallint": INT, "mediumint": INT, "int": INT, "bigint": INT,
    "year": INT,
    "bit": INT, "bool": INT, "boolean": INT, "integer": INT,
}  # fmt: skip


def decimal(scale: int, *, fixed: bool = True) -> Type:
    """Return the decimal type of that scale, at most MySQL's 30."""
    return Type("decimal", min(scale, MAX_SCALE), fixed)


def from_mysql(declared: str, *, plain: bool = False) -> Type:
    """Read a declared column type such as `decimal(10,2)`; what is not a number, date or blob is text."""
    name = re.match(r"\w*", declared.lower()).group()
    if name in ("decimal", "numeric", "dec", "fixed"):
        digits = re.findall(r"\d+", declared)
        return decimal(int(digits[1]) if len(digits) > 1 else 0)
    return _KINDS.get(name) or (ASCII if plain else TEXT)


def common(types: Iterable[Type]) -> Type:
    """Return the type that holds them all, as MySQL finds it for CASE, COALESCE and UNION."""
    known = [t for t in types if t.kind != "null"]
    kinds = {t.kind for t in known}
    if len(kinds) <= 1:
        return _widest(known) if known else NULL
    if kinds <= {"int", "decimal", "double"}:
        return DOUBLE if "double" in kinds else _widest([t for t in known if t.kind == "decimal"])
    if kinds <= set(TEMPORAL):
        return DATETIME
    if kinds == {"blob", "text"}:
        return BLOB
    return Type("text", plain=all(t.plain for t in known if t.kind == "text"))


def _widest(types: list[Type]) -> Type:
    return replace(
        types[0], scale=max(t.scale for t in types), fixed=all(t.fixed for t in types),
        plain=all(t.plain for t in types), binary=any(t.binary for t in types),
    )  # fmt: skip


def quote(text: str) -> str:
    """Write a string as a SQLite literal."""
    return "'" + text.replace("'", "''") + "'"


def literal(value: object, type_: Type) -> Value:
    """Write a Python value of that type as SQL that holds it."""
    if value is None:
        return Value("NULL", NULL)
    if type_.kind == "decimal":
        return Value(str(int(Decimal(value).scaleb(type_.scale))), type_, value)
    if type_.kind in ("int", "double"):
        return Value(repr(float(value)) if type_.kind == "double" else str(value), type_, value)
    return Value(quote(value), type_, value)


def real(value: Value) -> str:
    """Write a number, whatever its kind, as a REAL."""
    number = numeric(value)
    if number.kind == "decimal" and number.type.fixed:
        return f"({number.sql} / {10**number.type.scale}.0)"
    return number.sql if number.kind in ("double", "null") else f"CAST({number.sql} AS REAL)"


def numeric(value: Value) -> Value:
    """Turn a value into the number MySQL's arithmetic sees: text by its prefix, a date as YYYYMMDD."""
    if value.kind in ("text", "blob"):
        if isinstance(value.literal, bytes):
            return literal(int.from_bytes(value.literal), INT)
        if isinstance(value.literal, str):
            return literal(number_prefix(value.literal), DOUBLE)
        return Value(f"to_number({value.sql})", DOUBLE)
    if value.kind == "date":
        return Value(f"CAST(REPLACE({value.sql}, '-', '') AS INTEGER)", INT)
    if value.kind in ("datetime", "time"):
        return Value(f"temporal_number({value.sql})", INT)
    return value


def number_prefix(text: str) -> float:
    """Read the number a string begins with, 0.0 if it begins with none."""
    found = re.match(r"\s*[+-]?(\d+\.?\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?)", text)
    return float(found.group()) if found else 0.0


def scaled(value: Value, scale: int) -> str:
    """Write a number as the INTEGER that holds it at that scale, rounded half away from zero."""
    number = numeric(value)
    if number.kind == "null":
        return "NULL"
    if number.kind == "int" or (number.kind == "decimal" and number.type.fixed):
        shift = scale - number.type.scale
        if number.literal is not None and shift >= 0:
            return str(int(number.sql) * 10**shift)
        if shift < 0:
            return f"CAST(ROUND({number.sql} / {10**-shift}.0) AS INTEGER)"
        return number.sql if shift == 0 else f"({number.sql} * {10**shift})"
    if number.kind == "decimal":
        return f"decimal_scaled({number.sql}, {scale})"
    return f"CAST(ROUND({number.sql} * {10.0**scale!r}) AS INTEGER)"


def digits(value: Value) -> str:
    """Write a number as text with all its digits, for `decimal`."""
    number = numeric(value)
    if number.kind == "decimal" and number.type.fixed:
        return f"decimal_text({number.sql}, {number.type.scale})"
    return number.sql if number.kind in ("decimal", "null") else f"CAST({number.sql} AS TEXT)"


def pair(value: Value) -> str:
    """Write a number and its scale as two arguments for `decimal`."""
    return f"{value.sql}, {value.type.scale if value.type.fixed else 0}"


def text(value: Value) -> Value:
    """Turn a value into the string MySQL shows for it."""
    kind, sql = value.kind, value.sql
    if kind == "int":
        return Value(f"CAST({sql} AS TEXT)", ASCII)
    if kind == "decimal":
        return Value(f"decimal_text({scaled(value, value.type.scale)}, {value.type.scale})", ASCII)
    if kind == "double":
        return Value(f"double_text({sql})", ASCII)
    if kind in TEMPORAL or kind == "null":
        return Value(sql, ASCII)
    return value


def convert(value: Value, target: Type) -> Value:
    """Turn a value into one of the target type, as MySQL does implicitly."""
    source = value.type
    if source.kind == "null" or source == target:
        return Value(value.sql, target, value.literal)
    if target.kind == "decimal":
        return Value(scaled(value, target.scale) if target.fixed else digits(value), target)
    if target.kind == "double":
        return Value(real(value), target)
    if target.kind == "text":
        return replace(text(value), type=target)
    if target.kind == "datetime" and source.kind == "date":
        return Value(f"({value.sql} || ' 00:00:00')", target)
    return Value(value.sql, target)


def store(value: Value) -> Value:
    """Turn a value into what a temporary table would hold: decimals are rounded to their scale."""
    return convert(value, value.type.stored)


def group_key(value: Value) -> str:
    """Write the key by which equal values of the type fall together (GROUP BY, PARTITION BY, DISTINCT)."""
    if value.kind == "text" and not value.type.binary:
        return f"{value.sql} COLLATE NOCASE" if value.type.plain else f"sort_key({value.sql})"
    return store(value).sql


def sort_key(value: Value) -> str:
    """Write the key by which values of the type sort (ORDER BY, MIN, MAX, <)."""
    if value.kind == "text" and not value.type.binary:
        return f"sort_key({value.sql})"
    return real(value) if value.kind == "decimal" and not value.type.fixed else value.sql
