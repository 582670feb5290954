"""MySQL's numeric functions as SQLite SQL: rounding, powers, logarithms, GREATEST and LEAST, FORMAT.

>>> CALLS["round"].build([Value("x", decimal(2)), literal(1, INT)])
Value(sql='CAST(ROUND(x / 10.0) AS INTEGER)', type=Type(kind='decimal', scale=1, ...))

Decimals stay decimals, with the scale MySQL gives them; the transcendental functions give doubles.
"""

from collections.abc import Callable
from dataclasses import dataclass

from helpers.mysqlite import types
from helpers.mysqlite.error import failure
from helpers.mysqlite.operators import modulo
from helpers.mysqlite.parse import syntax_error
from helpers.mysqlite.types import ASCII, DOUBLE, INT, Value, literal, numeric
from helpers.mysqlite.words import GRAMMATICAL

MANY = 255


def wrong_count(name: str) -> Exception:
    """Build the error for a wrong number of arguments: 1582, or 1064 where the grammar itself refuses."""
    return syntax_error(name) if name.lower() in GRAMMATICAL else failure(1582, name)


@dataclass(frozen=True)
class Call:
    """How a function is written: from `least` to `most` arguments."""

    build: Callable[[list[Value]], Value]
    least: int
    most: int


def _whole(value: Value) -> str:
    return types.scaled(value, 0)


def _real(name: str) -> Callable[[list[Value]], Value]:
    return lambda values: Value(f"{name}({', '.join(types.real(v) for v in values)})", DOUBLE)


def _round(values: list[Value]) -> Value:
    value, places = numeric(values[0]), values[1] if len(values) > 1 else literal(0, INT)
    if value.kind in ("double", "null"):
        return Value(f"round_double({types.real(value)}, {_whole(places)})", DOUBLE)
    if not isinstance(places.literal, int):
        kind = value.type.stored
        return Value(f"decimal_rescaled({types.pair(value)}, {_whole(places)})", kind)
    count = min(places.literal, types.MAX_SCALE)
    if value.kind == "int" and count >= 0:
        return value
    if count > types.MAX_FIXED_SCALE:
        return Value(types.digits(value), types.decimal(count, fixed=False))
    if count >= 0:
        return Value(types.scaled(value, count), types.decimal(count))
    return Value(
        f"decimal_rounded({types.pair(value)}, {count})", INT if value.kind == "int" else types.decimal(0)
    )


def _truncate(values: list[Value]) -> Value:
    value, places = numeric(values[0]), values[1]
    if value.kind in ("double", "null") or not isinstance(places.literal, int):
        return Value(f"truncate_double({types.real(value)}, {_whole(places)})", DOUBLE)
    count = min(places.literal, types.MAX_FIXED_SCALE)
    if value.kind == "int" and count >= 0:
        return value
    kind = INT if value.kind == "int" else types.decimal(max(0, count))
    return Value(f"decimal_truncated({types.pair(value)}, {count})", kind)


def _whole_number(name: str) -> Callable[[list[Value]], Value]:
    def build(values: list[Value]) -> Value:
        value = numeric(values[0])
        if value.kind == "int":
            return value
        if value.kind == "decimal":
            return Value(f"decimal_{name}({types.pair(value)})", INT)
        return Value(f"double_{name}({types.real(value)})", DOUBLE)

    return build


def _absolute(values: list[Value]) -> Value:
    value = numeric(values[0])
    return Value(f"ABS({value.sql})" if value.type.fixed else f"LTRIM({value.sql}, '-')", value.type)


def _sign(values: list[Value]) -> Value:
    sql = types.real(values[0])
    return Value(f"CASE WHEN {sql} > 0 THEN 1 WHEN {sql} < 0 THEN -1 WHEN {sql} = 0 THEN 0 END", INT)


def _log(values: list[Value]) -> Value:
    return (_real("ln") if len(values) == 1 else _real("log_of"))(values)


def _format(values: list[Value]) -> Value:
    value = numeric(values[0])
    number = types.real(value) if value.kind == "double" else types.digits(value)
    return Value(f"format_number({number}, {_whole(values[1])})", ASCII)


def _extreme(name: str) -> Callable[[list[Value]], Value]:
    def build(values: list[Value]) -> Value:
        type_ = types.common(v.type for v in values).stored
        parts = [types.convert(v, type_) for v in values]
        if type_.kind == "text":
            pairs = ", ".join(f"extremum_text({p.sql}, {types.sort_key(p)})" for p in parts)
            return Value(f"extremum_value({name}({pairs}))", type_)
        return Value(f"{name}({', '.join(p.sql for p in parts)})", type_)

    return build


def _constant(sql: str) -> Callable[[list[Value]], Value]:
    return lambda values: Value(sql, DOUBLE)


CALLS: dict[str, Call] = {
    "greatest": Call(_extreme("MAX"), 2, MANY), "least": Call(_extreme("MIN"), 2, MANY),
    "abs": Call(_absolute, 1, 1), "sign": Call(_sign, 1, 1), "round": Call(_round, 1, 2),
    "truncate": Call(_truncate, 2, 2), "ceil": Call(_whole_number("ceiling"), 1, 1),
    "ceiling": Call(_whole_number("ceiling"), 1, 1), "floor": Call(_whole_number("floor"), 1, 1),
    "mod": Call(lambda v: modulo(*v), 2, 2), "pow": Call(_real("power"), 2, 2),
    "power": Call(_real("power"), 2, 2), "sqrt": Call(_real("sqrt"), 1, 1), "exp": Call(_real("exp"), 1, 1),
    "ln": Call(_real("ln"), 1, 1), "log": Call(_log, 1, 2), "log2": Call(_real("log2"), 1, 1),
    "log10": Call(_real("log10"), 1, 1), "pi": Call(_constant("3.141592653589793"), 0, 0),
    "rand": Call(_constant("random_double()"), 0, 1), "sin": Call(_real("sin"), 1, 1),
    "cos": Call(_real("cos"), 1, 1), "tan": Call(_real("tan"), 1, 1), "asin": Call(_real("asin"), 1, 1),
    "acos": Call(_real("acos"), 1, 1), "atan2": Call(_real("atan2"), 2, 2),
    "atan": Call(lambda v: _real("atan" if len(v) == 1 else "atan2")(v), 1, 2),
    "cot": Call(_real("cot"), 1, 1), "degrees": Call(_real("degrees"), 1, 1),
    "radians": Call(_real("radians"), 1, 1), "format": Call(_format, 2, 3),
}  # fmt: skip
