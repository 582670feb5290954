"""MySQL's window functions as SQLite SQL: ranking, LAG and LEAD, aggregates OVER a window, frames.

>>> scope.value(parse("SELECT RANK() OVER (ORDER BY MSRP) FROM products").expressions[0]).sql
'RANK() OVER (ORDER BY CAST(ROUND(t1."MSRP" * 100) AS INTEGER))'

What a window function takes and returns has passed through a temporary table, so decimals are rounded to
their scale. RANGE frames over an INTERVAL are not covered (error 1235).
"""

from sqlglot import exp

from helpers.mysqlite import types
from helpers.mysqlite.aggregates import AGGREGATES, aggregate
from helpers.mysqlite.error import failure
from helpers.mysqlite.names import Scope
from helpers.mysqlite.parse import syntax_error
from helpers.mysqlite.types import DOUBLE, INT, Value

WINDOWS = {
    "row_number": (0, 0, INT), "rank": (0, 0, INT), "dense_rank": (0, 0, INT), "percent_rank": (0, 0, DOUBLE),
    "cume_dist": (0, 0, DOUBLE), "ntile": (1, 1, INT), "lag": (1, 3, None), "lead": (1, 3, None),
    "first_value": (1, 1, None), "last_value": (1, 1, None), "nth_value": (2, 2, None),
}  # fmt: skip


def window(node: exp.Window, scope: Scope) -> Value:
    """Write a window function; raises 3593 where MySQL allows none."""
    function = node.this
    name = function.name.lower()
    if scope.clause not in ("field list", "order clause") or scope.aggregating or scope.windowing:
        raise failure(3593, name)
    if not isinstance(function, exp.Anonymous) or not (name in AGGREGATES or name in WINDOWS):
        raise syntax_error(node)
    scope.windowed.update(id(ancestor) for ancestor in _upward(node))
    with scope.within(windowing=True):
        over = _over(node, scope)
        value = (
            aggregate(function, scope, over) if name in AGGREGATES else _ranking(function, name, over, scope)
        )
    return types.store(value)


def _upward(node: exp.Expression | None) -> list[exp.Expression]:
    found = []
    while node is not None and not isinstance(node, exp.Select):
        found.append(node)
        node = node.parent
    return found


def _ranking(node: exp.Anonymous, name: str, over: str, scope: Scope) -> Value:
    least, most, kind = WINDOWS[name]
    if not least <= len(node.expressions) <= most:
        raise syntax_error(node)
    values = [types.store(scope.value(a)) for a in node.expressions]
    if kind is not None:
        return Value(f"{name.upper()}({', '.join(v.sql for v in values)}){over}", kind)
    type_ = values[0].type
    if len(values) == 3:
        type_ = types.common((values[0].type, values[2].type))
        values[2] = types.convert(values[2], type_)
    values[0] = types.convert(values[0], type_)
    return Value(f"{name.upper()}({', '.join(v.sql for v in values)}){over}", type_)


def _over(node: exp.Window, scope: Scope) -> str:
    """Write OVER (...), a named window spelt out."""
    partition, order, spec = (
        node.args.get("partition_by") or [],
        node.args.get("order"),
        node.args.get("spec"),
    )
    named = node.args.get("alias")
    while named is not None:
        if named.name.lower() not in scope.windows:
            raise failure(3579, named.name)
        base = scope.windows[named.name.lower()]
        partition, order = partition or base.args.get("partition_by") or [], order or base.args.get("order")
        spec, named = spec or base.args.get("spec"), base.args.get("alias")
    parts = []
    if partition:
        parts.append("PARTITION BY " + ", ".join(types.group_key(scope.value(p)) for p in partition))
    if order:
        parts.append("ORDER BY " + ", ".join(_ordered(o, scope) for o in order.expressions))
    if spec:
        parts.append(_frame(spec, order, scope))
    return f" OVER ({' '.join(parts)})"


def _ordered(node: exp.Ordered, scope: Scope) -> str:
    return types.sort_key(scope.value(node.this)) + (" DESC" if node.args.get("desc") else "")


def _frame(spec: exp.WindowSpec, order: exp.Order | None, scope: Scope) -> str:
    bounds = []
    scale = 0
    if spec.args["kind"].upper() == "RANGE" and order:
        scale = scope.value(order.expressions[0].this).type.scale
    for bound, side in (
        (spec.args["start"], spec.args.get("start_side")),
        (spec.args.get("end"), spec.args.get("end_side")),
    ):
        if isinstance(bound, exp.Interval):
            raise failure(1235, "RANGE INTERVAL")
        if isinstance(bound, exp.Expression):
            bound = types.scaled(scope.value(bound), scale)
        if bound is not None:
            bounds.append(f"{bound} {side or ''}".strip().upper())
    kind = spec.args["kind"].upper()
    return f"{kind} BETWEEN {bounds[0]} AND {bounds[1]}" if len(bounds) > 1 else f"{kind} {bounds[0]}"


HANDLERS = {exp.Window: window}
