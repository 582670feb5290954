"""MySQL's literals as SQLite SQL: numbers, strings, hexadecimal, typed dates.

>>> typed_literal("DATE", "2004-5-1").sql
"'2004-05-01'"

A decimal literal has the scale it is written with, one with an exponent is a double.
"""

import re
from decimal import Decimal

from sqlglot import exp

from helpers.mysqlite import types
from helpers.mysqlite.calendar import date_text, datetime_text, is_moment
from helpers.mysqlite.error import failure
from helpers.mysqlite.names import Scope
from helpers.mysqlite.types import DATE, DATETIME, DOUBLE, INT, NULL, Type, Value, literal, quote


def text_literal(value: str) -> Value:
    """Write a string literal with its type."""
    plain = bool(re.fullmatch(r"[ -~]*", value)) and not value.endswith(" ")
    return Value(quote(value), Type("text", plain=plain), value)


def _literal(node: exp.Literal, scope: Scope) -> Value:
    if node.is_string:
        return text_literal(node.this)
    if re.fullmatch(r"\d+", node.this):
        return literal(int(node.this), INT)
    if "e" in node.this.lower():
        return literal(float(node.this), DOUBLE)
    scale = len(node.this.partition(".")[2])
    return literal(Decimal(node.this), types.decimal(scale))


def _boolean(node: exp.Boolean, scope: Scope) -> Value:
    return literal(int(node.this), INT)


def _null(node: exp.Null, scope: Scope) -> Value:
    return literal(None, NULL)


def _adjacent(node: exp.Concat, scope: Scope) -> Value:
    """Join adjacent string literals, the only way the parser yields a Concat."""
    return text_literal("".join(part.this for part in node.expressions))


def _national(node: exp.Expression, scope: Scope) -> Value:
    inner = node.this if isinstance(node, exp.National) else node.expression
    return text_literal(inner if isinstance(inner, str) else inner.this)


def typed_literal(kind: str, text: str) -> Value:
    """Write DATE '…' or TIMESTAMP '…'; raises 1525 where the text is none."""
    if not is_moment(text):
        raise failure(1525, "DATE" if kind == "DATE" else "DATETIME", text)
    found = date_text(text) if kind == "DATE" else datetime_text(text)
    return Value(quote(found), DATE if kind == "DATE" else DATETIME, found)


def _hex(node: exp.HexString, scope: Scope) -> Value:
    content = node.this.zfill(len(node.this) + len(node.this) % 2)
    return Value(f"x'{content}'", types.BLOB, bytes.fromhex(content))


def _bit(node: exp.BitString, scope: Scope) -> Value:
    return literal(int(node.this, 2), INT)


HANDLERS = {
    exp.Literal: _literal, exp.Boolean: _boolean, exp.Null: _null, exp.Concat: _adjacent, exp.National:
    _national, exp.Introducer: _national, exp.HexString: _hex, exp.BitString: _bit, }  # fmt: skip
