"""A statement taken apart, so that two statements can be compared part by part.

    take_apart("SELECT o.status FROM orders o WHERE o.total > 5", schema).conditions   # {("orders.total", "gt", "5")}

Table aliases are written as the tables' names and output aliases as what they stand for. Not covered: which
SELECT a part of a nested statement belongs to; a self-join's two sides look alike.
"""

from dataclasses import dataclass

from sqlglot import exp

from helpers.columns import resolve
from helpers.schema import Schema
from helpers.sql import parse

PREDICATES = (
    exp.EQ,
    exp.NEQ,
    exp.LT,
    exp.LTE,
    exp.GT,
    exp.GTE,
    exp.Like,
    exp.In,
    exp.Between,
    exp.Is,
    exp.Exists,
    exp.RegexpLike,
)


@dataclass(frozen=True)
class Parts:
    """A statement taken apart, aliases resolved: what two statements are compared by."""

    tables: tuple[str, ...]
    links: frozenset
    outer: tuple[str, ...]
    nesting: tuple
    grain: frozenset
    aggregates: tuple[str, ...]
    counted_distinct: tuple[str, ...]
    conditions: frozenset
    connectives: tuple[int, int, int]
    order: tuple[str, ...]
    limit: tuple[str, str]
    distinct: tuple[bool, ...]
    columns: tuple[str, ...]


def take_apart(sql: str, schema: Schema) -> Parts | None:
    """Take a statement apart; None if it cannot be parsed."""
    tree = parse(sql)
    if tree is None:
        return None
    tree = _named(tree.copy(), schema)
    main = tree.find(exp.Select)
    selects = list(tree.find_all(exp.Select))
    windows = sorted(window.this.key for window in tree.find_all(exp.Window))
    known = {name.lower() for name in schema.names}
    aggregates = [a for a in tree.find_all(exp.AggFunc) if not isinstance(a.parent, exp.Window)]
    limit = (tree.args.get("limit"), tree.args.get("offset"))
    return Parts(
        tables=tuple(sorted({t.name.lower() for t in tree.find_all(exp.Table) if t.name.lower() in known})),
        links=frozenset(filter(None, (_link(node) for node in tree.find_all(exp.EQ)))),
        outer=tuple(sorted(f"{join.side} {join.this.name.lower()}" for join in tree.find_all(exp.Join) if join.side)),
        nesting=(
            len(selects),
            tuple(sorted(node.key for node in tree.find_all(exp.SetOperation))),
            tuple(windows),
        ),
        grain=frozenset(
            key.sql() for select in selects if select.args.get("group") for key in select.args["group"].expressions
        ),
        aggregates=tuple(sorted({f"{a.key}{'*' if isinstance(a.this, exp.Star) else ''}" for a in aggregates})),
        counted_distinct=tuple(sorted({a.key for a in aggregates if isinstance(a.this, exp.Distinct)})),
        conditions=frozenset(filter(None, (_condition(node) for node in tree.find_all(*PREDICATES)))),
        connectives=tuple(sum(1 for _ in tree.find_all(kind)) for kind in (exp.And, exp.Or, exp.Not)),
        order=tuple(
            part.sql()
            for select in (tree, main)
            if select.args.get("order")
            for part in select.args["order"].expressions
        ),
        limit=tuple(part.expression.sql() if part is not None else "" for part in limit),
        distinct=tuple(bool(select.args.get("distinct")) for select in selects),
        columns=tuple(sorted(c.sql() for p in main.expressions for c in p.find_all(exp.Column, exp.Star)))
        if main
        else (),
    )


def _named(tree: exp.Expression, schema: Schema) -> exp.Expression:
    """Write each column with its base table's name, and an output's own expression for its alias."""
    for column in list(tree.find_all(exp.Column)):
        meant = resolve(column, schema)
        if meant is not None:
            column.replace(exp.column(meant[1].lower(), table=meant[0].lower()))
            continue
        select = column.find_ancestor(exp.Select)
        outputs = {p.alias.lower(): p.this for p in select.expressions if isinstance(p, exp.Alias)} if select else {}
        own = outputs.get(column.name.lower())
        inside = own is not None and any(node is column for node in own.walk())
        if own is not None and not column.table and not inside:
            column.replace(own.copy())
        else:
            column.replace(exp.column(column.name.lower()))
    return tree


def _link(node: exp.EQ) -> frozenset | None:
    both = isinstance(node.left, exp.Column) and isinstance(node.right, exp.Column)
    return frozenset((node.left.sql(), node.right.sql())) if both else None


def _condition(node: exp.Expression) -> tuple[str, str, str] | None:
    """Write a predicate as (what is tested, operator, against what); None for a link between tables."""
    if (isinstance(node, exp.EQ) and _link(node)) or isinstance(node, exp.Exists):
        return None
    operator = f"{'not ' if isinstance(node.parent, exp.Not) else ''}{node.key}"
    if isinstance(node, exp.Between):
        return node.this.sql(), operator, f"{node.args['low'].sql()} {node.args['high'].sql()}"
    if isinstance(node, exp.In):
        members = " ".join(sorted(member.sql() for member in node.expressions))
        return node.this.sql(), operator, "(SELECT)" if node.args.get("query") else members
    tested, against = node.this, node.args.get("expression")
    if isinstance(tested, exp.Literal) and against is not None:
        tested, against = against, tested
    return (
        tested.sql(),
        operator,
        "(SELECT)" if against is None or against.find(exp.Select) else against.sql(),
    )
