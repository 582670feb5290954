"""Whether two statements provably mean the same on every database of a schema: the same canonical tree.

    same("SELECT COUNT(*) FROM orders", "SELECT COUNT(orderNumber) FROM orders", schema)      # True: never NULL

RULES rewrite a copy of the tree, innermost SELECT first, by what the schema promises: keys are unique, NOT
NULL columns hold no NULL, a reference finds its parent. True is a proof under those promises and the equality
of `ex` (columns in any order, names ignored); False only means that no rule found one. Not covered:
arithmetic, implications between conditions, what a reader knows of the data; a SELECT over derived tables
keeps most of its parts as they stand.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

from sqlglot import exp

from helpers.canonical_scope import Scope, conditions, leaves, own, scope_of, text
from helpers.schema import Schema
from helpers.sql import parse

REJECTING = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Like, exp.Between, exp.In)


def same(one: str, other: str, schema: Schema) -> bool:
    """Tell whether two statements have the same canonical form; False if one cannot be parsed."""
    first, second = canonical(one, schema), canonical(other, schema)
    return first is not None and first == second


def canonical(sql: str, schema: Schema) -> str | None:
    """Return the canonical text of a statement, or None if it cannot be parsed."""
    tree = parse(sql)
    if tree is None:
        return None
    holder = exp.Paren(this=tree.copy())
    for select in reversed(list(holder.find_all(exp.Select))):
        scope = scope_of(select, schema)
        for rule in RULES:
            rule(scope)
    main = holder.this
    if isinstance(main, exp.Select):
        main.set("expressions", sorted((p.unalias() for p in main.expressions), key=lambda p: p.sql()))
    return main.sql(dialect="mysql", comments=False)


def name_columns(scope: Scope) -> None:
    """Write every column as alias.name in lower case, and output aliases as what they stand for."""
    outputs = {p.alias.lower(): p.this for p in scope.select.expressions if isinstance(p, exp.Alias)}
    for column in own(scope, exp.Column):
        name, alias = column.name.lower(), column.table.lower()
        holders = [a for a, table in scope.tables.items() if any(c.name.lower() == name for c in table.columns)]
        clause = column.find_ancestor(exp.Order, exp.Group, exp.Having, exp.Select)
        if (
            not alias
            and name in outputs
            and not isinstance(clause, exp.Select)
            and not column.find_ancestor(exp.AggFunc)
        ):
            column.replace(outputs[name].copy())
        elif alias or (len(holders) == 1 and scope.whole):
            column.replace(exp.column(name, table=alias or holders[0]))
    for column in [node for output in outputs.values() for node in output.find_all(exp.Column)]:
        holders = [a for a, t in scope.tables.items() if any(c.name.lower() == column.name.lower() for c in t.columns)]
        if not column.table and len(holders) == 1 and scope.whole:
            column.replace(exp.column(column.name.lower(), table=holders[0]))


def inner_joins(scope: Scope) -> None:
    """Make an outer join inner where its parent must exist, or a condition throws its NULLs away."""
    rejecting = [c for c in conditions(scope, joined=True) if isinstance(c, REJECTING)]
    operands = [side for c in rejecting for side in (c.this, c.args.get("expression"))]
    needed = {side.table for side in operands if isinstance(side, exp.Column)}
    for join in scope.select.args.get("joins") or []:
        alias = join.this.alias_or_name.lower()
        if join.side != "LEFT" or (alias not in needed and not _finds_parent(scope, join, alias)):
            scope.optional |= set(scope.tables) if join.side == "RIGHT" else {alias} if join.side else set()
            continue
        join.set("side", None)
    for join in scope.select.args.get("joins") or []:
        join.set("kind", None if join.kind == "INNER" else join.args.get("kind"))


def _finds_parent(scope: Scope, join: exp.Join, alias: str) -> bool:
    """Tell whether a join's ON is a NOT NULL reference, of a table that is there, to the joined one's key."""
    on, parent = join.args.get("on"), scope.tables.get(alias)
    if on is None or parent is None:
        return False
    pairs = [_pair(part, alias) for part in leaves(on)]
    if None in pairs:
        return False
    for child_alias in {pair[0].table for pair in pairs} - scope.optional:
        child = scope.tables.get(child_alias)
        for key in child.foreign_keys if child else ():
            wanted = {(c.lower(), r.lower()) for c, r in zip(key.columns, key.references, strict=True)}
            filled = all(not child.column(column).nullable for column in key.columns)
            if key.table.lower() == parent.name.lower() and filled and wanted == {(a.name, b.name) for a, b in pairs}:
                return True
    return False


def _pair(part: exp.Expression, alias: str) -> tuple[exp.Column, exp.Column] | None:
    """Return (other column, column of `alias`) of an equality between two columns."""
    if not isinstance(part, exp.EQ) or not all(isinstance(side, exp.Column) for side in (part.left, part.right)):
        return None
    sides = sorted((part.left, part.right), key=lambda column: column.table == alias)
    return tuple(sides) if sides[1].table == alias and sides[0].table != alias else None


def _links(scope: Scope, conditions: Iterable[exp.Expression]) -> list[exp.EQ]:
    """Return the equalities between columns of two tables of this SELECT."""
    return [
        c
        for c in conditions
        if isinstance(c, exp.EQ)
        and all(isinstance(side, exp.Column) and side.table in scope.tables for side in (c.left, c.right))
    ]


def _equals(scope: Scope, links: Iterable[exp.EQ]) -> dict[str, str]:
    """Return the representative of every column that some links make equal to others, beside those known."""
    equal = dict(scope.equal)
    for link in links:
        names = (f"{side.table}.{side.name}" for side in (link.left, link.right))
        low, high = sorted(equal.get(name, name) for name in names)
        equal |= {name: low for name, stands in equal.items() if stands == high} | {high: low}
    return equal


def equal_columns(scope: Scope) -> None:
    """Let one column stand for all that inner joins make equal, outside the conditions that say so."""
    links = _links(scope, conditions(scope, joined=True))
    scope.equal = _equals(scope, links)
    for column in own(scope, exp.Column):
        if column.table in scope.tables and column.parent not in links:
            alias, _, name = scope.name(column.table, column.name).partition(".")
            column.replace(exp.column(name, table=alias))


def _filled(scope: Scope, column: exp.Expression) -> bool:
    """Tell whether a column holds no NULL here."""
    table = scope.tables.get(column.table) if isinstance(column, exp.Column) else None
    return table is not None and column.table not in scope.optional and not table.column(column.name).nullable


def _is_presence(scope: Scope, column: exp.Expression) -> bool:
    """Tell whether a column is NULL only where an outer join found no row."""
    table = scope.tables.get(column.table) if isinstance(column, exp.Column) else None
    return table is not None and column.table in scope.optional and not table.column(column.name).nullable


def _presence(scope: Scope, alias: str) -> exp.Column:
    """Return the first column of a table that is NULL only where an outer join found no row."""
    first = next(c.name for c in scope.tables[alias].columns if not c.nullable)
    return exp.column(first.lower(), table=alias)


def null_tests(scope: Scope) -> None:
    """Drop tests that hold anyway; test an outer-joined row by its first NOT NULL column."""
    for test in own(scope, exp.Is):
        column = test.this
        if not isinstance(column, exp.Column) or not isinstance(test.expression, exp.Null):
            continue
        if _is_presence(scope, column):
            column.replace(_presence(scope, column.table))
        elif _filled(scope, column) and isinstance(test.parent, exp.Not) and test.parent in conditions(scope):
            test.parent.replace(exp.true())


def counts(scope: Scope) -> None:
    """Count rows where the counted column has no NULL; drop DISTINCT where nothing repeats, or in MIN and MAX."""
    for call in own(scope, (exp.Count, exp.Min, exp.Max)):
        if isinstance(call.this, exp.Distinct) and len(call.this.expressions) == 1:
            inside = call.this.expressions[0]
            if isinstance(call, (exp.Min, exp.Max)) or _counted_once(scope, inside):
                call.set("this", inside.copy())
        if isinstance(call, exp.Count) and _filled(scope, call.this):
            call.set("this", exp.Star())
        elif isinstance(call, exp.Count) and _is_presence(scope, call.this):
            call.set("this", _presence(scope, call.this.table))


def _counted_once(scope: Scope, counted: exp.Expression) -> bool:
    """Tell whether no value of a column occurs twice; where it is not NULL, its outer join found a row."""
    if not isinstance(counted, exp.Column) or counted.table not in scope.tables:
        return False
    own = [join for join in scope.select.args.get("joins") or [] if join.this.alias_or_name.lower() == counted.table]
    held = [leaf for join in own if join.args.get("on") for leaf in leaves(join.args["on"])]
    there = replace(scope, equal=_equals(scope, _links(scope, held)))
    return there.all_determined([there.name(counted.table, counted.name)])


def grouping(scope: Scope) -> None:
    """Leave out group keys that other group keys determine."""
    group = scope.select.args.get("group")
    if group is None:
        return
    keys = {text(key): key for key in group.expressions}
    every_key = {name for alias in scope.tables for key in scope.keys(alias) for name in key}
    for name in sorted(keys, key=lambda name: (name in every_key, name)):
        rest = [other for other in keys if other != name]
        if isinstance(keys[name], exp.Column) and keys[name].table in scope.determined(rest):
            del keys[name]
    group.set("expressions", [keys[name] for name in sorted(keys)])


def _is_one_row(scope: Scope) -> bool:
    plain = [call for call in own(scope, exp.AggFunc) if not call.find_ancestor(exp.Window)]
    return bool(plain) and scope.select.args.get("group") is None


def _settles(scope: Scope, columns: Iterable[str]) -> bool:
    """Tell whether given values of some columns leave at most one row of this SELECT's result."""
    group, columns = scope.select.args.get("group"), set(columns)
    if group is None:
        return scope.all_determined(columns)
    rest = [key for key in group.expressions if text(key) not in columns]
    return all(isinstance(key, exp.Column) and key.table in scope.determined(columns) for key in rest)


def distinct(scope: Scope) -> None:
    """Drop DISTINCT where the rows are distinct, or where nobody can see that they are not."""
    select = scope.select
    inside = select.parent if not isinstance(select.parent, exp.Subquery) else select.parent.parent
    unseen = (isinstance(inside, exp.Union) and inside.args.get("distinct")) or isinstance(inside, (exp.In, exp.Exists))
    outputs = [text(p.unalias()) for p in select.expressions]
    if select.args.get("distinct") and (_is_one_row(scope) or unseen or _settles(scope, outputs)):
        select.set("distinct", None)


def order(scope: Scope) -> None:
    """Drop an order nobody sees, and sort keys after those that settle it; drop the LIMIT of a single row."""
    select = scope.select
    limit = select.args.get("limit")
    if _is_one_row(scope) and not select.args.get("offset"):
        if limit is not None and limit.expression.name.isdigit() and int(limit.expression.name) > 0:
            select.set("limit", None)
        select.set("order", None)
    if select.args.get("order") is None:
        return
    whole = isinstance(select.parent.parent, exp.Paren)  # the statement itself in parentheses: its order is seen
    inside = isinstance(select.parent, (exp.In, exp.Exists)) or (isinstance(select.parent, exp.Subquery) and not whole)
    if inside and not select.args.get("limit"):
        select.set("order", None)
        return
    kept: list[exp.Expression] = []
    for part in select.args["order"].expressions:
        before = [text(earlier.this) for earlier in kept]
        if not _settles(scope, before) and text(part.this) not in before:
            kept.append(part)
    select.args["order"].set("expressions", kept)


def existence(scope: Scope) -> None:
    """Forget what EXISTS selects: only whether there is a row counts."""
    if isinstance(scope.select.parent, exp.Exists) and not own(scope, exp.AggFunc):
        scope.select.set("expressions", [exp.Literal.number(1)])


def tidy(scope: Scope) -> None:
    """Sort the operands of connectives and equalities, once each, and leave out what is always true."""
    for equality in own(scope, exp.EQ):
        low, high = sorted((equality.left, equality.right), key=lambda side: side.sql())
        equality.replace(exp.EQ(this=low.copy(), expression=high.copy()))
    where = scope.select.args.get("where")
    if where is None:
        return
    parts = sorted({part.sql(): part for part in conditions(scope) if part != exp.true()}.items())
    if not parts:
        scope.select.set("where", None)
    else:
        where.set("this", exp.and_(*(part.copy() for _, part in parts), copy=False, wrap=False))


RULES: tuple[Callable[[Scope], None], ...] = (
    name_columns,
    inner_joins,
    equal_columns,
    null_tests,
    counts,
    grouping,
    distinct,
    order,
    existence,
    tidy,
)
