"""One SELECT of MySQL as SQLite SQL: its list, groups, HAVING, order and limit.

>>> compile_select(parse("SELECT city AS c FROM offices ORDER BY c"), scope, makers).write()
'SELECT t1."city" AS c1 FROM "offices" AS t1 ORDER BY sort_key(t1."city")'

The columns of every query are called c1, c2, ... in SQLite; their MySQL names and types are kept beside the
text. The parts are compiled in the order in which MySQL resolves names: FROM, WHERE, GROUP BY, list, HAVING,
ORDER BY.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from sqlglot import exp

from helpers.mysqlite import dependencies, types
from helpers.mysqlite.comparison import truth
from helpers.mysqlite.error import failure
from helpers.mysqlite.from_clause import compile_from
from helpers.mysqlite.names import Item, Scope, written
from helpers.mysqlite.parse import syntax_error
from helpers.mysqlite.types import Type, Value

_SELECT_PARTS = {
    "kind", "hint", "distinct", "expressions", "limit", "from_", "joins", "where", "group", "having",
    "windows", "order", "offset", "with_", "operation_modifiers", "locks",
}  # fmt: skip
MAX_NAME = 255


@dataclass(frozen=True, eq=False)
class Query:
    """A compiled query: `write(targets, distinct)` gives its SQL, the columns converted to the targets."""

    names: tuple[str, ...]
    types: tuple[Type, ...]
    write: Callable[..., str]
    stored: bool = False
    single: bool = False
    limited: bool = False
    implied: Callable[[frozenset[str]], frozenset[str]] | None = None

    @property
    def outputs(self) -> tuple[Type, ...]:
        """Return the types that a query around this one sees."""
        return tuple(t.stored for t in self.types) if self.stored else self.types


@dataclass(eq=False)
class Parts:
    """The compiled clauses of one SELECT."""

    source: str = ""
    where: list[str] = field(default_factory=list)
    having: str = ""
    order: list[str] = field(default_factory=list)
    limit: str = ""
    distinct: bool = False
    grouped: bool = False


def compile_select(node: exp.Select, scope: Scope, makers: tuple) -> Query:
    """Compile one SELECT; `makers` compile the queries in its FROM and make sources of them."""
    unknown = [k for k, v in node.args.items() if v and k not in _SELECT_PARTS]
    if unknown or not node.expressions or node.args.get("kind"):
        raise syntax_error(node)
    parts = Parts(distinct=bool(node.args.get("distinct")))
    parts.source = compile_from(node, scope, *makers)
    scope.windows = {w.name.lower(): w for w in node.args.get("windows") or ()}
    if node.args.get("where"):
        with scope.within("where clause"):
            parts.where.append(truth(scope.value(node.args["where"].this)))
        scope.rules += dependencies.rules(node.args["where"].this, scope)
    scope.items = _items(node, scope)
    _compile_groups(node, scope)
    for item in scope.items:
        scope.item_value(item)
    having = node.args.get("having")
    if having:
        with scope.within("having clause"):
            parts.having = truth(scope.value(having.this))
    order = compile_order(node, scope, parts)
    parts.limit = limit_of(node)
    parts.grouped = bool(scope.groups or scope.aggregates or node.args.get("group"))
    if parts.grouped:
        dependencies.check_groups(scope, order)
    if parts.distinct:
        dependencies.check_distinct(scope, order)
    return _select_query(node, scope, parts)


def _select_query(node: exp.Select, scope: Scope, parts: Parts) -> Query:
    values = [scope.item_value(i) for i in scope.items]
    values = [types.store(v) for v in values] if parts.distinct else values
    alone = (parts.grouped and not node.args.get("group")) or dependencies.is_single_row(scope)
    return Query(
        names=tuple(i.name for i in scope.items),
        types=tuple(v.type for v in values),
        write=_writer(node, scope, parts, values),
        stored=parts.grouped or parts.distinct or bool(parts.limit) or bool(scope.windowed),
        single=alone or f"{parts.limit} ".startswith(" LIMIT 1 "),
        limited=bool(parts.limit),
        implied=lambda known: dependencies.implied(scope, scope.items, known, grouped=parts.grouped),
    )


def _writer(node: exp.Select, scope: Scope, parts: Parts, values: list[Value]) -> Callable[..., str]:
    groups = _group_sql(node, scope)

    def write(targets: tuple[Type, ...] | None = None, distinct: bool = False) -> str:
        converted = [
            types.convert(v, t) for v, t in zip(values, targets or [v.type for v in values], strict=True)
        ]
        columns = [collated(v) if parts.distinct or distinct else v.sql for v in converted]
        named = ", ".join(f"{sql} AS c{i}" for i, sql in enumerate(columns, 1))
        where, having, filtered = list(parts.where), parts.having, ""
        if having and not parts.grouped:
            where, having = [*where, having], ""
        elif having and not groups:
            named, filtered, having = f"{named}, {having} AS kept", "kept", ""
        sql = f"SELECT {'DISTINCT ' if parts.distinct else ''}{named}{parts.source}"
        sql += f" WHERE {' AND '.join(where)}" if where else ""
        sql += f" GROUP BY {groups}" if groups else ""
        sql += f" HAVING {having}" if having else ""
        if filtered:
            numbers = ", ".join(f"c{i}" for i in range(1, len(values) + 1))
            return f"SELECT {numbers} FROM ({sql}) WHERE kept{parts.limit}"
        sql += f" ORDER BY {', '.join(parts.order)}" if parts.order else ""
        return sql + parts.limit

    return write


def collated(value: Value) -> str:
    """Write a column so that SQLite's DISTINCT and UNION compare it as MySQL would."""
    if value.kind != "text" or value.type.binary:
        return value.sql
    return f"{value.sql} COLLATE {'NOCASE' if value.type.plain else 'mysql_ci'}"


def _items(node: exp.Select, scope: Scope) -> list[Item]:
    items: list[Item] = []
    for projection in node.expressions:
        if isinstance(projection, exp.Star):
            if not scope.sources:
                raise failure(1096)
            items += [Item(f.name, None, f.value, f) for f in scope.star]
        elif isinstance(projection, exp.Column) and isinstance(projection.this, exp.Star):
            items += _table_star(projection, scope)
        elif isinstance(projection, exp.Alias):
            items.append(Item(projection.alias, projection.this, aliased=True))
        else:
            items.append(Item(_name(projection), projection))
    return items


def _table_star(projection: exp.Column, scope: Scope) -> list[Item]:
    source = next((s for s in scope.sources if s.name == projection.table), None)
    if source is None:
        raise failure(1051, projection.table)
    return [Item(f.name, None, f.value, f) for f in source.fields]


def _name(projection: exp.Expression) -> str:
    """Name an unaliased column as MySQL does: by the column, by a literal's content, else by its text."""
    if isinstance(projection, exp.Column):
        return projection.name
    if isinstance(projection, (exp.Literal, exp.National, exp.Introducer, exp.Concat)):
        return _literal_name(projection)
    return projection.meta["text"][:MAX_NAME]


def _literal_name(projection: exp.Expression) -> str:
    if isinstance(projection, exp.Concat):
        return "".join(part.this for part in projection.expressions)
    inner = projection.expression if isinstance(projection, exp.Introducer) else projection
    if isinstance(inner, exp.National) or inner.is_string:
        return inner.this if isinstance(inner.this, str) else inner.this.this
    return projection.meta["text"].lstrip("+ ")


def _compile_groups(node: exp.Select, scope: Scope) -> None:
    group = node.args.get("group")
    if group is None:
        return
    if group.args.get("rollup"):
        raise failure(1235, "WITH ROLLUP")
    with scope.within("group statement"):
        for expression in group.expressions:
            scope.groups.append(_group(expression.unnest(), scope))


def _group(node: exp.Expression, scope: Scope) -> exp.Expression:
    """Compile one group; returns the expression itself, or the one that a position or alias stands for."""
    item = _ordinal(node, scope, "group statement")
    if item is None:
        scope.value(node)
        item = scope.context.aliases.get(id(node))
        if item is None:
            return node
    value, target = scope.item_value(item), item.node
    if target is None:
        target = exp.column(item.name)
        scope.context.values[id(target)] = value
        scope.context.fields[id(target)] = (scope, item.field)
    if scope.has_aggregate(target):
        raise failure(1056, item.name)
    if id(target) in scope.windowed:
        raise failure(3593 if isinstance(node, exp.Literal) else 3594, item.name)
    return target


def _ordinal(node: exp.Expression, scope: Scope, clause: str) -> Item | None:
    if not (isinstance(node, exp.Literal) and not node.is_string and node.this.isdigit()):
        return None
    number = int(node.this)
    if not 1 <= number <= len(scope.items):
        raise failure(1054, number, clause)
    return scope.items[number - 1]


def _group_sql(node: exp.Select, scope: Scope) -> str:
    """Write GROUP BY without the constants and outer columns, which SQLite would refuse or misread."""
    if not scope.groups:
        return ""
    keys = [
        types.group_key(scope.value(g)) for g in scope.groups if dependencies.fields(g, scope) != frozenset()
    ]
    return ", ".join(keys) or "NULL"


def compile_order(node: exp.Select, scope: Scope, parts: Parts) -> list[exp.Expression]:
    """Compile ORDER BY; returns its expressions that are not simply columns of the SELECT list."""
    foreign = []
    for number, ordered in enumerate(node.args["order"].expressions if node.args.get("order") else (), 1):
        before = scope.aggregates
        item = _order_item(ordered.this, scope)
        if item is None:
            with scope.within("order clause"):
                value = scope.value(ordered.this)
            foreign.append(ordered.this)
            if scope.aggregates > before and not (scope.groups or before):
                raise failure(3029, number)
        else:
            value = scope.item_value(item)
        if value.literal is None and value.kind != "null":
            parts.order.append(types.sort_key(value) + (" DESC" if ordered.args.get("desc") else ""))
    return foreign


def _order_item(node: exp.Expression, scope: Scope) -> Item | None:
    item = _ordinal(node, scope, "order clause")
    if item is not None or not isinstance(node, exp.Column):
        return item
    if node.table:
        return None
    matches = [i for i in scope.items if i.name.lower() == node.name.lower()]
    if len(matches) > 1 and len({scope.item_value(i).sql for i in matches}) > 1:
        aliased = [i for i in matches if i.aliased]
        if len(aliased) != 1:
            raise failure(1052, written(node), "order clause")
        return aliased[0]
    return matches[0] if matches else None


def limit_of(node: exp.Expression) -> str:
    """Write LIMIT and OFFSET, which are whole numbers in MySQL."""
    limit, offset = node.args.get("limit"), node.args.get("offset")
    if limit is None and offset is None:
        return ""
    if not isinstance(limit, exp.Limit) or limit.args.get("limit_options"):
        raise syntax_error("LIMIT" if limit is None else limit.sql(dialect="mysql"))
    numbers = [limit.expression, *([offset.expression] if offset is not None else [])]
    undeclared = next((n for n in numbers if isinstance(n, exp.Column)), None)
    if undeclared is not None:
        raise failure(1327, undeclared.name)
    if not all(isinstance(n, exp.Literal) and not n.is_string and n.this.isdigit() for n in numbers):
        raise syntax_error(limit)
    return f" LIMIT {numbers[0].this}" + (f" OFFSET {numbers[1].this}" if len(numbers) > 1 else "")
