"""ONLY_FULL_GROUP_BY as MySQL 8 checks it: which columns are functionally dependent on the grouped ones.

>>> engine.run("SELECT customerNumber, city FROM customers GROUP BY customerNumber")   # the key decides: runs
>>> engine.run("SELECT customerNumber, city FROM customers GROUP BY country")
helpers.mysqlite.error.MySqlError: Expression #1 of SELECT list is not in GROUP BY clause and ...

Columns follow from the keys of a table, from equalities in WHERE and ON (an outer join's only from the kept
side to the other), from constants, and through derived tables and CTEs.
https://dev.mysql.com/doc/refman/8.0/en/group-by-functional-dependence.html Equalities under OR, and
dependencies that MySQL finds only through generated columns or views, are not followed.
"""

from collections.abc import Iterable

from sqlglot import exp

from helpers.mysqlite.error import failure
from helpers.mysqlite.names import Field, Item, Scope

Rule = tuple[frozenset[Field], Field]


def rules(condition: exp.Expression | None, scope: Scope, *, weak: Iterable = ()) -> list[Rule]:
    """Read the equalities a condition demands; with `weak` sources (of an outer join) those towards them."""
    if condition is None:
        return []
    found = []
    weak = set(weak)
    for conjunct in condition.flatten() if isinstance(condition, exp.And) else [condition]:
        while isinstance(conjunct, exp.Paren):
            conjunct = conjunct.this
        if isinstance(conjunct, exp.And):
            found += rules(conjunct, scope, weak=weak)
        if isinstance(conjunct, (exp.EQ, exp.NullSafeEQ)):
            for target, other in ((conjunct.this, conjunct.expression), (conjunct.expression, conjunct.this)):
                field = _field(target, scope)
                sources = fields(other, scope)
                if field is None or sources is None or (weak and (field.source not in weak or not sources)):
                    continue
                found.append((sources, field))
    return found


def _field(node: exp.Expression, scope: Scope) -> Field | None:
    level, field = scope.context.fields.get(id(node), (None, None))
    return field if level is scope else None


def fields(node: exp.Expression, scope: Scope) -> frozenset[Field] | None:
    """Return the columns of this scope in an expression, None where it holds an aggregate or a subquery."""
    found = []
    for part in node.walk():
        if part.meta.get("aggregate") or isinstance(part, (exp.Select, exp.Window)):
            return None
        field = _field(part, scope)
        if field is not None:
            found.append(field)
    return frozenset(found)


def closure(scope: Scope, known: Iterable[Field]) -> set[Field]:
    """Return all columns that the known ones determine."""
    reached = set(known)
    size = -1
    while size != len(reached):
        size = len(reached)
        for source in scope.sources:
            names = frozenset(f.name.lower() for f in reached if f.source is source)
            if any(key <= names for key in source.keys):
                reached.update(source.fields)
            elif source.implied is not None:
                implied = source.implied(names)
                reached.update(f for f in source.fields if f.name.lower() in implied)
        reached.update(target for needed, target in scope.rules if needed <= reached)
    return reached


def is_single_row(scope: Scope) -> bool:
    """Tell whether the conditions pin a key of every source (if any), so that there is one row at most."""
    reached = closure(scope, ())
    return all(
        any(key <= {f.name.lower() for f in reached if f.source is s} for key in s.keys)
        for s in scope.sources
    )


def implied(scope: Scope, items: list[Item], known: frozenset[str], *, grouped: bool) -> frozenset[str]:
    """Return the outputs of a SELECT that some of its outputs determine."""
    given = [i for i in items if i.name.lower() in known]
    columns = {i.field or _item_field(i, scope) for i in given} - {None}
    reached = closure(scope, columns)
    if grouped:
        grouped_by = [g for g in scope.groups if not _is_given(g, given, scope, reached)]
        if scope.groups and not grouped_by:
            return frozenset(i.name.lower() for i in items)
        if not scope.groups:
            return frozenset(i.name.lower() for i in items)
        return frozenset()
    return frozenset(i.name.lower() for i in items if _follows(i, scope, reached))


def _item_field(item: Item, scope: Scope) -> Field | None:
    node = item.node.this if isinstance(item.node, exp.Alias) else item.node
    return _field(node, scope) if node is not None else None


def _is_given(group: exp.Expression, given: list[Item], scope: Scope, reached: set[Field]) -> bool:
    sql = scope.value(group).sql
    needed = fields(group, scope)
    return any(scope.item_value(i).sql == sql for i in given) or (needed is not None and needed <= reached)


def _follows(item: Item, scope: Scope, reached: set[Field]) -> bool:
    if item.field is not None:
        return item.field in reached
    needed = fields(item.node, scope)
    return needed is not None and needed <= reached


def check_groups(scope: Scope, order: list[exp.Expression]) -> None:
    """Raise 1055 or 1140 where a selected or ordered column is not determined by the groups."""
    given = {scope.value(g).sql for g in scope.groups}
    known: set[Field] = set()
    for group in scope.groups:
        field = _field(group, scope)
        if field is not None:
            known.add(field)
    reached = closure(scope, known)
    for number, item in enumerate(scope.items, 1):
        loose = item.field if item.node is None else _loose(item.node, scope, given, reached)
        if loose is not None and loose not in reached and loose.value.sql not in given:
            _refuse(number, "SELECT list", loose, scope)
    for number, node in enumerate(order, 1):
        loose = _loose(node, scope, given, reached)
        if loose is not None:
            _refuse(number, "ORDER BY clause", loose, scope)


def _refuse(number: int, place: str, loose: Field, scope: Scope) -> None:
    name = f"{scope.context.catalog.schema.name}.{loose.source.name}.{loose.name}"
    raise failure(1055 if scope.groups else 1140, number, place, name)


def _loose(node: exp.Expression, scope: Scope, given: set[str], reached: set[Field]) -> Field | None:
    """Return the first column of the scope in an expression that is neither aggregated nor determined."""
    context = scope.context
    if node.meta.get("aggregate") or (isinstance(node, exp.Anonymous) and node.name.lower() == "any_value"):
        return None
    value = context.values.get(id(node))
    if value is not None and value.sql in given:
        return None
    if isinstance(node, exp.Column):
        field = _field(node, scope)
        return field if field is not None and field not in reached else None
    if id(node) in context.aliases:
        return None
    for child in node.iter_expressions():
        loose = _loose(child, scope, given, reached)
        if loose is not None:
            return loose
    return None


def check_distinct(scope: Scope, order: list[exp.Expression]) -> None:
    """Raise 3065 where DISTINCT rows are ordered by a column that is not selected."""
    selected = {scope.item_value(i).sql for i in scope.items}
    for number, node in enumerate(order, 1):
        loose = _loose(node, scope, selected, set())
        if loose is not None:
            name = f"{scope.context.catalog.schema.name}.{loose.source.name}.{loose.name}"
            raise failure(3065, number, name)
