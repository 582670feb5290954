"""CAST, CONVERT and the typed literals DATE '…', TIMESTAMP '…' as SQLite SQL.

>>> scope.value(parse("SELECT CAST('1.255' AS DECIMAL(5,2))").expressions[0]).type
Type(kind='decimal', scale=2, fixed=True, plain=True, binary=False)

JSON, arrays and character sets other than UTF-8 are not covered.
"""

from sqlglot import exp

from helpers.mysqlite import types
from helpers.mysqlite.dates import cast_temporal
from helpers.mysqlite.names import Scope
from helpers.mysqlite.parse import syntax_error
from helpers.mysqlite.types import DOUBLE, INT, NULL, Type, Value, numeric, text


def cast(node: exp.Cast, scope: Scope) -> Value:
    """Write CAST and CONVERT, and the literals DATE '…' and TIMESTAMP '…'."""
    value, target = scope.value(node.this), node.to
    kind = target.this.name
    if kind in ("DATE", "DATETIME", "TIMESTAMP", "TIMESTAMPTZ", "TIME"):
        return cast_temporal(value, kind, not node.meta.get("call"))
    if kind == "DECIMAL":
        numbers = [int(p.this.this) for p in target.expressions] + [10, 0][len(target.expressions) :]
        return _cast_decimal(value, *numbers)
    if kind in ("BIGINT", "UBIGINT", "INT", "UINT", "YEAR"):
        if value.kind == "text":
            return Value(f"to_integer({value.sql})", INT)
        return Value(types.scaled(value, 0), INT)
    if kind in ("DOUBLE", "FLOAT"):
        return Value(types.real(value), DOUBLE)
    if kind in ("CHAR", "NCHAR", "VARCHAR", "CHARACTER_SET"):
        size = target.expressions[0].this.this if target.expressions else None
        subject = text(value)
        if subject.kind == "blob":
            subject = Value(f"CAST({subject.sql} AS TEXT)", types.TEXT)
        return Value(f"SUBSTR({subject.sql}, 1, {size})", subject.type) if size else subject
    if kind in ("BINARY", "VARBINARY"):
        return Value(text(value).sql, Type("text", plain=text(value).type.plain, binary=True))
    raise syntax_error(target)


def _cast_decimal(value: Value, precision: int, scale: int) -> Value:
    limit = 10**precision - 1
    number = numeric(value)
    if number.kind == "null":
        return Value("NULL", NULL)
    held = types.scaled(number, scale)
    if precision <= 18:
        held = f"MAX(MIN({held}, {limit}), {-limit})"
    return Value(held, types.decimal(scale))


HANDLERS = {exp.Cast: cast}
