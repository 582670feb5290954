"""MySQL's aggregate functions as SQLite SQL; those that SQLite lacks are in `accumulators`.

>>> AGGREGATES["avg"]([Value("x", INT)], "")
Value(sql='decimal_divide(SUM(x), 0, COUNT(x), 0)', type=Type(kind='decimal', scale=4, fixed=False, ...))

AVG of exact numbers has four more decimals, SUM keeps the scale. The JSON aggregates are not covered.
"""

from sqlglot import exp

from helpers.mysqlite import types
from helpers.mysqlite.error import failure
from helpers.mysqlite.names import Scope
from helpers.mysqlite.parse import syntax_error
from helpers.mysqlite.types import DOUBLE, INT, Type, Value, numeric, quote, text

_MISPLACED = ("where clause", "on clause", "group statement")


def _count(values: list[Value], over: str, distinct: bool = False) -> Value:
    if distinct and len(values) > 1:
        keys = ", ".join(types.group_key(v).removesuffix(" COLLATE NOCASE") for v in values)
        folded = ", ".join(types.sort_key(v) for v in values) if keys else ""
        return Value(f"count_distinct({folded})", INT)
    if distinct:
        return Value(f"COUNT(DISTINCT {types.group_key(values[0])})", INT)
    return Value(f"COUNT({values[0].sql}){over}", INT)


def _sum(values: list[Value], over: str, distinct: bool = False) -> Value:
    value = numeric(values[0])
    word = "DISTINCT " if distinct else ""
    if not value.type.fixed:
        return Value(f"decimal_sum({word}{value.sql}){over}", value.type)
    type_ = types.decimal(0) if value.kind in ("int", "null") else value.type
    return Value(f"SUM({word}{value.sql}){over}", type_)


def _avg(values: list[Value], over: str, distinct: bool = False) -> Value:
    value = numeric(values[0])
    word = "DISTINCT " if distinct else ""
    if value.kind == "double":
        return Value(f"AVG({word}{value.sql}){over}", DOUBLE)
    total, scale = _sum(values, over, distinct), value.type.scale
    quotient = f"decimal_divide({types.pair(total)}, COUNT({word}{value.sql}){over}, 0)"
    return Value(quotient, types.decimal(scale + 4, fixed=False))


def _extreme(name: str):
    def build(values: list[Value], over: str, distinct: bool = False) -> Value:
        value = values[0]
        if value.kind == "text" and not value.type.binary:
            pair = f"extremum_text({value.sql}, {types.sort_key(value)})"
            return Value(f"extremum_value({name}({pair}){over})", value.type)
        value = types.store(value)
        return Value(f"{name}({value.sql}){over}", value.type)

    return build


def _python(name: str, kind: Type):
    def build(values: list[Value], over: str, distinct: bool = False) -> Value:
        argument = types.real(values[0]) if kind is DOUBLE else types.scaled(values[0], 0)
        return Value(f"{name}({argument}){over}", kind)

    return build


AGGREGATES = {
    "count": _count, "sum": _sum, "avg": _avg, "min": _extreme("MIN"), "max": _extreme("MAX"),
    **{name: _python("stddev_pop", DOUBLE) for name in ("std", "stddev", "stddev_pop")},
    **{name: _python("var_pop", DOUBLE) for name in ("variance", "var_pop")},
    "stddev_samp": _python("stddev_samp", DOUBLE), "var_samp": _python("var_samp", DOUBLE),
    "bit_and": _python("bit_and", INT), "bit_or": _python("bit_or", INT), "bit_xor": _python("bit_xor", INT),
}  # fmt: skip
_DISTINCT = ("count", "sum", "avg", "min", "max")


def aggregate(node: exp.Anonymous, scope: Scope, over: str = "") -> Value:
    """Write an aggregate; raises 1111 where MySQL allows none."""
    name = node.name.lower()
    if node.meta.get("spaced"):
        raise failure(1630, scope.context.catalog.schema.name, node.name)
    arguments, distinct = node.expressions, False
    if arguments and isinstance(arguments[0], exp.Distinct):
        arguments, distinct = arguments[0].expressions, True
    if name == "count" and len(arguments) == 1 and isinstance(arguments[0], exp.Star) and not distinct:
        _register(node, scope, over)
        return Value(f"COUNT(*){over}", INT)
    many = name == "count" and distinct
    if not arguments or (len(arguments) > 1 and not many) or (distinct and name not in _DISTINCT):
        raise syntax_error(node)
    if distinct and over:
        raise failure(1235, "<window function>(DISTINCT ..)")
    _register(node, scope, over)
    if over:
        values = [types.store(scope.value(a)) for a in arguments]
    else:
        with scope.within(aggregating=True):
            values = [scope.value(a) for a in arguments]
    return AGGREGATES[name](values, over, distinct)


def _register(node: exp.Expression, scope: Scope, over: str) -> None:
    if over:
        return
    if scope.clause in _MISPLACED or scope.aggregating:
        raise failure(1111)
    scope.aggregates += 1
    node.meta["aggregate"] = True


def _group_concat(node: exp.GroupConcat, scope: Scope) -> Value:
    _register(node, scope, "")
    inner, order = node.this, []
    if isinstance(inner, exp.Order):
        inner, order = inner.this, inner.expressions
    distinct = isinstance(inner, exp.Distinct)
    parts = inner.expressions if distinct or isinstance(inner, exp.Concat) else [inner]
    if distinct and len(parts) == 1 and isinstance(parts[0], exp.Concat):
        parts = parts[0].expressions
    with scope.within(aggregating=True):
        values = [text(types.store(scope.value(p))) for p in parts]
        keys = [(types.sort_key(scope.value(o.this)), bool(o.args.get("desc"))) for o in order]
    separator = node.args.get("separator")
    joined = Value(" || ".join(v.sql for v in values), Type("text", plain=all(v.type.plain for v in values)))
    directions = "".join("d" if descending else "a" for _, descending in keys)
    arguments = [
        quote(separator.this if separator is not None else ","), str(int(distinct)), quote(directions),
        f"({joined.sql})", types.sort_key(Value(f"({joined.sql})", joined.type)) if distinct else "NULL",
        *[key for key, _ in keys],
    ]  # fmt: skip
    return Value(f"group_concat_sorted({', '.join(arguments)})", joined.type)


HANDLERS = {exp.GroupConcat: _group_concat}
