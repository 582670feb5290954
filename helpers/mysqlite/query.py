"""MySQL's queries as SQLite SQL: SELECT, set operations, CTEs, recursive ones too.

>>> compile_query(parse("SELECT 1 UNION ALL SELECT 2.5"), scope).write()
'SELECT 10 AS c1 UNION ALL SELECT 25 AS c1'

The sides of a set operation are converted to their common types; a recursive CTE has the types of its first
part. INTERSECT ALL and EXCEPT ALL, which SQLite lacks, number equal rows on each side and compare the numbers too.
"""

from collections.abc import Callable
from dataclasses import replace

from sqlglot import exp

from helpers.mysqlite import types
from helpers.mysqlite.error import failure
from helpers.mysqlite.names import Context, Field, Item, Scope, Source
from helpers.mysqlite.parse import syntax_error
from helpers.mysqlite.select import Parts, Query, collated, compile_order, compile_select, limit_of
from helpers.mysqlite.types import Type, Value

_WORDS = {exp.Union: "UNION", exp.Intersect: "INTERSECT", exp.Except: "EXCEPT"}


def compile_query(node: exp.Expression, scope: Scope) -> Query:
    """Compile a SELECT, a set operation or either in parentheses; `scope` is the one around it."""
    ctes = dict(scope.ctes)
    prefix = _compile_ctes(node.args.get("with_"), scope, ctes)
    if isinstance(node, exp.Subquery):
        query = _compile_wrapped(node, Scope(scope.context, scope, ctes))
    elif isinstance(node, exp.SetOperation):
        query = _compile_set(node, scope, ctes)
    elif isinstance(node, exp.Select):
        query = compile_select(node, Scope(scope.context, scope, ctes), (compile_query, query_source))
    else:
        raise syntax_error(node)
    if not prefix:
        return query
    return replace(query, write=lambda *a, **k: f"WITH RECURSIVE {', '.join(prefix)} {query.write(*a, **k)}")


def _compile_wrapped(node: exp.Subquery, scope: Scope) -> Query:
    """Compile a query in parentheses that may carry an ORDER BY and LIMIT of its own."""
    query = compile_query(node.this, scope)
    return (
        _ordered(node, query, scope) if any(node.args.get(k) for k in ("order", "limit", "offset")) else query
    )


def _compile_ctes(with_: exp.With | None, scope: Scope, ctes: dict) -> list[str]:
    """Compile the CTEs in order, each visible to the next; returns their SQL."""
    written_ctes = []
    for cte in with_.expressions if with_ is not None else ():
        name, columns = cte.alias, [c.name for c in cte.args["alias"].columns]
        around = Scope(scope.context, scope, dict(ctes))
        alias = scope.context.fresh("cte")
        recursive = with_.args.get("recursive") and _refers(cte.this, name)
        compile_one = _compile_recursive if recursive else _compile_plain
        query, sql = compile_one(cte.this, around, name, columns, alias)
        names = _column_names(query, columns)
        ctes[name] = _cte_source(scope.context, alias, names, query)
        written_ctes.append(f"{alias}({', '.join(_numbered(query))}) AS ({sql})")
    return written_ctes


def _compile_plain(
    node: exp.Expression, scope: Scope, name: str, columns: list[str], alias: str
) -> tuple[Query, str]:
    query = compile_query(node, scope)
    return query, query.write(query.outputs)


def _compile_recursive(
    node: exp.Expression, scope: Scope, name: str, columns: list[str], alias: str
) -> tuple[Query, str]:
    """Compile `anchor UNION [ALL] recursive`: the anchor alone decides names and types."""
    if not isinstance(node, exp.Union):
        raise failure(3577, name)
    anchor = compile_query(node.this, scope)
    stored = tuple(t.stored for t in anchor.types)
    anchor = Query(anchor.names, stored, anchor.write, stored=True)
    names = _column_names(anchor, columns)
    inner = Scope(
        scope.context, scope, {**scope.ctes, name: _cte_source(scope.context, alias, names, anchor)}
    )
    step = compile_query(node.expression, inner)
    if len(step.types) != len(anchor.types):
        raise failure(1222)
    word = "UNION" if node.args.get("distinct") else "UNION ALL"
    distinct = bool(node.args.get("distinct"))
    return anchor, f"{anchor.write(stored, distinct)} {word} {step.write(stored, distinct)}"


def _refers(node: exp.Expression, name: str) -> bool:
    return any(table.name == name and not table.db for table in node.find_all(exp.Table))


def _column_names(query: Query, columns: list[str]) -> tuple[str, ...]:
    if columns and len(columns) != len(query.names):
        raise failure(1353)
    return tuple(columns) or query.names


def _cte_source(
    context: Context, alias: str, names: tuple[str, ...], query: Query
) -> Callable[[str], tuple[Source, str]]:
    def make(called: str) -> tuple[Source, str]:
        source = query_source(context, called, names, query)
        return source, f"{alias} AS {source.alias}"

    return make


def query_source(context: Context, called: str, names: tuple[str, ...], query: Query) -> Source:
    """Make the source that a derived table or CTE is; raises 1060 where two columns share a name."""
    lowered = [name.lower() for name in names]
    for position, name in enumerate(lowered):
        if name in lowered[:position]:
            raise failure(1060, names[position])
    source = Source(called, context.fresh("t"), implied=_renamed(query, names))
    source.fields = tuple(
        Field(name, Value(f"{source.alias}.c{number}", type_), source)
        for number, (name, type_) in enumerate(zip(names, query.outputs, strict=True), 1)
    )
    return source


def _renamed(query: Query, names: tuple[str, ...]) -> Callable[[frozenset[str]], frozenset[str]] | None:
    if query.implied is None:
        return None
    inward = {outer.lower(): inner.lower() for outer, inner in zip(names, query.names, strict=True)}

    def implied(known: frozenset[str]) -> frozenset[str]:
        reached = query.implied(frozenset(inward[name] for name in known))
        return frozenset(outer for outer, inner in inward.items() if inner in reached)

    return implied


def _compile_set(node: exp.SetOperation, scope: Scope, ctes: dict) -> Query:
    around = Scope(scope.context, scope, ctes)
    left, right = compile_query(node.this, around), compile_query(node.expression, around)
    if len(left.types) != len(right.types):
        raise failure(1222)
    distinct, word = bool(node.args.get("distinct", True)), _WORDS[type(node)]
    common = tuple(types.common(pair).stored for pair in zip(left.types, right.types, strict=True))

    def write(targets: tuple[Type, ...] | None = None, unique: bool = False) -> str:
        targets = targets or common
        merged = distinct and word != "UNION"
        sides = [_operand(n, q, targets, merged) for n, q in ((node.this, left), (node.expression, right))]
        if merged or (not distinct and word == "UNION"):
            return f"{sides[0]} {word if merged else 'UNION ALL'} {sides[1]}"
        columns = [Value(f"c{i}", t) for i, t in enumerate(targets, 1)]
        listed = ", ".join(f"{collated(c)} AS {c.sql}" for c in columns)
        if not distinct:
            place = f"ROW_NUMBER() OVER (PARTITION BY {', '.join(map(collated, columns))})"
            placed = (f"SELECT {listed}, {place} FROM ({side})" for side in sides)
            return f"SELECT {', '.join(c.sql for c in columns)} FROM ({f' {word} '.join(placed)})"
        return f"SELECT DISTINCT {listed} FROM ({sides[0]} UNION ALL {sides[1]})"

    query = Query(left.names, common, write, stored=True)
    return (
        _ordered(node, query, around)
        if any(node.args.get(k) for k in ("order", "limit", "offset"))
        else query
    )


def _operand(node: exp.Expression, query: Query, targets: tuple[Type, ...], distinct: bool) -> str:
    """Write one side of a set operation; a nested one or one with a LIMIT becomes a subquery."""
    if isinstance(node, exp.Select) and not any(
        node.args.get(k) for k in ("order", "limit", "with_", "having")
    ):
        return query.write(targets, distinct)
    columns = [Value(f"c{i}", t) for i, t in enumerate(targets, 1)]
    listed = ", ".join(f"{collated(c) if distinct else c.sql} AS {c.sql}" for c in columns)
    return f"SELECT {listed} FROM ({query.write(targets)})"


def _ordered(node: exp.Expression, query: Query, scope: Scope) -> Query:
    """Put the ORDER BY and LIMIT of a whole set operation around it."""
    source = Source("", "u")
    source.fields = tuple(
        Field(name, Value(f"c{i}", type_), source)
        for i, (name, type_) in enumerate(zip(query.names, query.outputs, strict=True), 1)
    )
    inner = Scope(scope.context, scope, sources=[source])
    inner.items = [Item(f.name, None, f.value, f) for f in source.fields]
    parts = Parts(limit=limit_of(node))
    for ordered in node.args["order"].expressions if node.args.get("order") else ():
        if isinstance(ordered.this, exp.Column) and ordered.this.table:
            raise failure(1250, ordered.this.table, "global ORDER clause")
    compile_order(node, inner, parts)
    tail = (f" ORDER BY {', '.join(parts.order)}" if parts.order else "") + parts.limit
    numbers = ", ".join(_numbered(query))

    def write(targets: tuple[Type, ...] | None = None, distinct: bool = False) -> str:
        columns = [
            types.convert(f.value, t).sql
            for f, t in zip(source.fields, targets or query.outputs, strict=True)
        ]
        listed = ", ".join(f"{sql} AS {name}" for sql, name in zip(columns, numbers.split(", "), strict=True))
        return f"SELECT {listed} FROM ({query.write(query.outputs)}){tail}"

    return Query(query.names, query.types, write, stored=True, limited=bool(parts.limit),
                 single=parts.limit == " LIMIT 1")  # fmt: skip


def _numbered(query: Query) -> list[str]:
    return [f"c{i}" for i in range(1, len(query.types) + 1)]
