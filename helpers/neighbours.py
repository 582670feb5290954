"""Near misses of a gold statement: one small edit each, as a model that is almost right would make it.

    neighbours("SELECT COUNT(*) FROM orders WHERE total > 5", schema)
    # (Neighbour("comparator", "SELECT COUNT(*) FROM orders WHERE total >= 5"), ...)

The edits are those of Zhong, Yu and Klein (2020), "Semantic Evaluation for Text-to-SQL with Distilled Test
Suites": another aggregate, comparator, connective, arithmetic operator, direction, column, number or string;
a clause, condition or span left out; and beside them DISTINCT, kinds of join, set operation and ranking. A
neighbour need not run, and may mean the same as its gold: whether it does is for an execution, or for
`canonical`, to say. Knows no rows.
"""

import datetime
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sqlglot import exp

from helpers.columns import family, resolve, tables_of
from helpers.schema import Schema
from helpers.sql import parse

COLUMNS_EACH = 3
AGGREGATES = (exp.Count, exp.Sum, exp.Avg, exp.Min, exp.Max)
COMPARATORS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE)
ARITHMETIC = (exp.Add, exp.Sub, exp.Mul, exp.Div)
RANKINGS = (exp.RowNumber, exp.Rank, exp.DenseRank)
SET_OPERATIONS = (exp.Union, exp.Intersect, exp.Except)
WRAPPERS = (exp.Round, exp.Abs, exp.Upper, exp.Lower, exp.Not, exp.Coalesce, exp.Neg)


@dataclass(frozen=True)
class Neighbour:
    """A statement one edit away from a gold; `kind` names the edit."""

    kind: str
    sql: str


@dataclass(frozen=True)
class _Edit:
    """Set `node.args[key]` to `value`."""

    node: exp.Expression
    key: str
    value: object


def neighbours(sql: str, schema: Schema) -> tuple[Neighbour, ...]:
    """Return the distinct neighbours of a statement in a fixed order; none if it cannot be parsed."""
    tree = parse(sql)
    if tree is None:
        return ()
    holder = exp.Paren(this=tree.copy())  # gives the root a parent, so that it can be replaced as any other node
    seen = {holder.this.sql(dialect="mysql")}
    found = []
    for node in list(holder.this.walk()):
        for kind, rule in RULES.items():
            for edit in list(rule(node, schema)):
                text = _edited(holder, edit)
                if text not in seen:
                    seen.add(text)
                    found.append(Neighbour(kind, text))
    return tuple(found)


def _edited(holder: exp.Paren, edit: _Edit) -> str:
    """Write the held tree with one edit, and take the edit back."""
    before = edit.node.args.get(edit.key)
    edit.node.set(edit.key, edit.value)
    text = holder.this.sql(dialect="mysql", comments=False)
    edit.node.set(edit.key, before)
    return text


def _instead(node: exp.Expression, *others: exp.Expression) -> Iterator[_Edit]:
    """Put each of some expressions in the place of a node."""
    parent = node.parent
    if parent is None:
        return
    for other in others:
        here = parent.args[node.arg_key]
        value = [other if part is node else part for part in here] if isinstance(here, list) else other
        yield _Edit(parent, node.arg_key, value)


def _without(node: exp.Expression, key: str, *, keep: int = 1) -> Iterator[_Edit]:
    """Leave out each member of a list in turn, if more than `keep` are there."""
    members = node.args.get(key) or []
    if len(members) > keep:
        for member in members:
            yield _Edit(node, key, [other for other in members if other is not member])


def _aggregate(node: exp.Expression, schema: Schema) -> Iterator[_Edit]:
    if not isinstance(node, AGGREGATES) or isinstance(node.this, exp.Star):
        return
    inside = node.this.expressions[0] if isinstance(node.this, exp.Distinct) else node.this
    others = [kind(this=inside.copy()) for kind in AGGREGATES if not isinstance(node, kind)]
    yield from _instead(node, *others)
    changed = inside.copy() if isinstance(node.this, exp.Distinct) else exp.Distinct(expressions=[inside.copy()])
    if not isinstance(node, (exp.Min, exp.Max)):
        yield from _instead(node, type(node)(this=changed))


def _count(node: exp.Expression, schema: Schema) -> Iterator[_Edit]:
    """Count a column, or its distinct values, where the gold counts rows."""
    if not isinstance(node, exp.Count) or not isinstance(node.this, exp.Star):
        return
    for alias, name in tables_of(node, schema).items():
        table = schema.table(name)
        nullable = [column.name for column in table.columns if column.nullable][:1]
        for column in (*table.primary_key[:1], *nullable):
            reference = exp.column(column, table=alias)
            yield from _instead(node, exp.Count(this=reference.copy()))
            yield from _instead(node, exp.Count(this=exp.Distinct(expressions=[reference.copy()])))


def _comparator(node: exp.Expression, schema: Schema) -> Iterator[_Edit]:
    if isinstance(node, COMPARATORS) and not _joins(node):
        others = [kind for kind in COMPARATORS if not isinstance(node, kind)]
        yield from _instead(node, *(kind(this=node.this.copy(), expression=node.expression.copy()) for kind in others))
    if isinstance(node, exp.Between):
        value, low, high = node.this, node.args["low"], node.args["high"]
        for left, right in ((exp.GT, exp.LTE), (exp.GTE, exp.LT)):
            yield from _instead(
                node,
                exp.and_(
                    left(this=value.copy(), expression=low.copy()),
                    right(this=value.copy(), expression=high.copy()),
                ),
            )
    if isinstance(node, (exp.Like, exp.In, exp.Between, exp.Is, exp.Exists)) and not isinstance(node.parent, exp.Not):
        yield from _instead(node, exp.Not(this=node.copy()))


def _joins(node: exp.Expression) -> bool:
    """Tell whether a comparison links two tables: any other comparator there makes a near-cross join."""
    both = isinstance(node.left, exp.Column) and isinstance(node.right, exp.Column)
    return both and node.left.table.lower() != node.right.table.lower() and isinstance(node, exp.EQ)


def _connective(node: exp.Expression, schema: Schema) -> Iterator[_Edit]:
    if isinstance(node, (exp.And, exp.Or)) and not any(
        _joins(part) for part in node.flatten() if isinstance(part, exp.EQ)
    ):
        other = exp.Or if isinstance(node, exp.And) else exp.And
        yield from _instead(node, exp.paren(other(this=node.left.copy(), expression=node.right.copy()), copy=False))


def _arithmetic(node: exp.Expression, schema: Schema) -> Iterator[_Edit]:
    if isinstance(node, ARITHMETIC):
        others = [kind for kind in ARITHMETIC if not isinstance(node, kind)]
        yield from _instead(node, *(kind(this=node.this.copy(), expression=node.expression.copy()) for kind in others))


def _direction(node: exp.Expression, schema: Schema) -> Iterator[_Edit]:
    if isinstance(node, exp.Ordered):
        turned = not node.args.get("desc")
        yield from _instead(node, exp.Ordered(this=node.this.copy(), desc=turned, nulls_first=not turned))


def _column(node: exp.Expression, schema: Schema) -> Iterator[_Edit]:
    """Take another column of the same family, from the same table first, then from others in reach."""
    if not isinstance(node, exp.Column) or (isinstance(node.parent, exp.EQ) and _joins(node.parent)):
        return
    meant = resolve(node, schema)
    if meant is None:
        return
    kind = family(schema.table(meant[0]).column(meant[1]).type)
    tables = tables_of(node, schema)
    own = [
        alias for alias, name in tables.items() if name == meant[0] and (not node.table or alias == node.table.lower())
    ]
    others = [
        exp.column(column.name, table=alias if node.table or len(tables) > 1 else None)
        for alias in [*own, *(alias for alias in tables if alias not in own)]
        for column in schema.table(tables[alias]).columns
        if family(column.type) == kind and (tables[alias], column.name) != meant
    ]
    start = next((at for at, c in enumerate(schema.table(meant[0]).columns) if c.name == meant[1]), 0) % max(
        1, len(others)
    )
    yield from _instead(node, *(others[start:] + others[:start])[:COLUMNS_EACH])


def _number(node: exp.Expression, schema: Schema) -> Iterator[_Edit]:
    if (
        isinstance(node, exp.Literal)
        and not node.is_string
        and node.name.isdigit()
        and not isinstance(node.parent, exp.Interval)
    ):
        value = int(node.name)
        yield from _instead(
            node, *(exp.Literal.number(other) for other in (value + 1, value - 1, value * 10) if other >= 0)
        )
    elif isinstance(node, exp.Literal) and not node.is_string:
        yield from _instead(
            node,
            exp.Literal.number(str(float(node.name) + 0.01)),
            exp.Literal.number(str(float(node.name) * 2)),
        )


def _string(node: exp.Expression, schema: Schema) -> Iterator[_Edit]:
    """Move a date by a day and by a year, loosen or tighten a pattern, lose a text's last letter."""
    if (
        not isinstance(node, exp.Literal)
        or not node.is_string
        or isinstance(node.parent, (exp.Interval, exp.TimeToStr))
    ):
        return
    text = node.name
    try:
        day = datetime.date.fromisoformat(text)
        others = [(day + datetime.timedelta(days)).isoformat() for days in (1, -1, 365)]
    except ValueError:
        if isinstance(node.parent, exp.Like):
            others = [text.strip("%"), text.lstrip("%"), text.rstrip("%"), f"%{text.strip('%')}%"]
        else:
            others = [text[:-1], f"{text}s"]
    yield from _instead(node, *(exp.Literal.string(other) for other in others if other != text))


def _clause(node: exp.Expression, schema: Schema) -> Iterator[_Edit]:
    for key in ("where", "having", "order", "limit", "offset", "partition_by", "group"):
        if node.args.get(key):
            yield _Edit(node, key, None)


def _condition(node: exp.Expression, schema: Schema) -> Iterator[_Edit]:
    if isinstance(node, (exp.And, exp.Or)):
        yield from _instead(node, node.left.copy(), node.right.copy())


def _distinct(node: exp.Expression, schema: Schema) -> Iterator[_Edit]:
    if isinstance(node, exp.Select):
        yield _Edit(node, "distinct", None if node.args.get("distinct") else exp.Distinct())


def _join(node: exp.Expression, schema: Schema) -> Iterator[_Edit]:
    if isinstance(node, exp.Join) and node.args.get("on"):
        yield _Edit(node, "side", None if node.side else "LEFT")
    if isinstance(node, exp.Select):
        yield from _without(node, "joins", keep=0)


def _set_operation(node: exp.Expression, schema: Schema) -> Iterator[_Edit]:
    if not isinstance(node, exp.SetOperation):
        return
    yield _Edit(node, "distinct", not node.args.get("distinct"))
    parts = {key: node.args.get(key) for key in ("this", "expression", "with_", "order", "limit") if node.args.get(key)}
    copied = {key: part.copy() for key, part in parts.items()}
    others = [
        kind(**copied, distinct=node.args.get("distinct")) for kind in SET_OPERATIONS if not isinstance(node, kind)
    ]
    yield from _instead(node, *others, node.left.copy(), node.right.copy())


def _ranking(node: exp.Expression, schema: Schema) -> Iterator[_Edit]:
    if isinstance(node, RANKINGS):
        yield from _instead(node, *(kind() for kind in RANKINGS if not isinstance(node, kind)))


def _span(node: exp.Expression, schema: Schema) -> Iterator[_Edit]:
    """Leave out an output column, a sort or group key, a list's member, a function's name, a CASE's branch."""
    if isinstance(node, (exp.Select, exp.Order, exp.Group, exp.In)):
        yield from _without(node, "expressions")
    if isinstance(node, WRAPPERS):
        yield from _instead(node, node.this.copy())
    if isinstance(node, exp.Case):
        yield from _without(node, "ifs")


RULES: dict[str, Callable[[exp.Expression, Schema], Iterator[_Edit]]] = {
    "aggregate": _aggregate,
    "count": _count,
    "comparator": _comparator,
    "connective": _connective,
    "arithmetic": _arithmetic,
    "direction": _direction,
    "column": _column,
    "number": _number,
    "string": _string,
    "clause": _clause,
    "condition": _condition,
    "distinct": _distinct,
    "join": _join,
    "set operation": _set_operation,
    "ranking": _ranking,
    "span": _span,
}
KINDS: Sequence[str] = tuple(RULES)
