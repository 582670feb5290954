"""FROM: tables, derived tables, joins, USING, as SQLite SQL.

>>> compile_from(parse("SELECT * FROM a LEFT JOIN b USING (id)"), scope, ...)
' FROM "a" AS t1 LEFT JOIN "b" AS t2 ON (t1."id" = t2."id")'

A RIGHT JOIN is written as a LEFT JOIN with its sides exchanged, for SQLite before 3.39. LATERAL and
JSON_TABLE are not covered (error 1235).
"""

from collections.abc import Callable

from sqlglot import exp

from helpers.mysqlite import dependencies
from helpers.mysqlite.comparison import compare, truth
from helpers.mysqlite.error import failure
from helpers.mysqlite.names import Field, Scope, Source, table_source
from helpers.mysqlite.parse import syntax_error


def compile_from(node: exp.Select, scope: Scope, compile_query: Callable, query_source: Callable) -> str:
    """Write the FROM clause and put its sources into the scope; '' where there is none."""
    clause = node.args.get("from_")
    if clause is None:
        return ""
    if (
        isinstance(clause.this, exp.Table)
        and clause.this.name.lower() == "dual"
        and not node.args.get("joins")
    ):
        return ""
    makers = (compile_query, query_source)
    sql, scope.star = _operand(clause.this, scope, makers)
    for join in node.args.get("joins") or ():
        sql, scope.star = _join(sql, scope.star, join, scope, makers)
    return f" FROM {sql}"


def _operand(node: exp.Expression, scope: Scope, makers: tuple) -> tuple[str, list[Field]]:
    """Write a table, a derived table or a join in parentheses; returns its columns for `*`."""
    if isinstance(node, exp.Paren) or (isinstance(node, exp.Subquery) and isinstance(node.this, exp.Table)):
        sql, star = _operand(node.this, scope, makers)
        return (f"({sql})" if " JOIN " in sql else sql), star
    if isinstance(node, exp.Subquery):
        source, sql = _derived(node, scope, makers)
    elif isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier):
        source, sql = _table(node, scope)
    elif isinstance(node, (exp.Lateral, exp.Table)):
        raise failure(1235, "LATERAL or a table function")
    else:
        raise syntax_error(node)
    if any(s.name == source.name for s in scope.sources):
        raise failure(1066, source.name)
    scope.sources.append(source)
    star = list(source.fields)
    for join in node.args.get("joins") or ():
        sql, star = _join(sql, star, join, scope, makers)
    return sql, star


def _table(node: exp.Table, scope: Scope) -> tuple[Source, str]:
    alias = node.args.get("alias")
    if node.args.get("sample") or node.args.get("pivots") or (alias and alias.columns):
        raise syntax_error(node)
    called = node.alias or node.name
    if not node.db and node.name in scope.ctes:
        return scope.ctes[node.name](called)
    schema = scope.context.catalog.schema.name
    if node.db and node.db != schema:
        raise failure(1049, node.db)
    source = table_source(scope.context, node.name, called)
    return source, f'"{node.name}" AS {source.alias}'


def _derived(node: exp.Subquery, scope: Scope, makers: tuple) -> tuple[Source, str]:
    compile_query, query_source = makers
    if not node.alias:
        raise failure(1248)
    around = Scope(scope.context, scope.parent, scope.ctes)
    query = compile_query(node.this, around)
    columns = tuple(c.name for c in node.args["alias"].columns)
    if columns and len(columns) != len(query.names):
        raise failure(1353)
    source = query_source(scope.context, node.alias, columns or query.names, query)
    return source, f"({query.write(query.outputs)}) AS {source.alias}"


def _join(
    left: str, star: list[Field], join: exp.Join, scope: Scope, makers: tuple
) -> tuple[str, list[Field]]:
    """Write `left JOIN right`; ON sees the sources so far."""
    side, natural = (join.side or "").upper(), (join.args.get("method") or "").upper() == "NATURAL"
    before = list(scope.sources)
    right, new = _operand(join.this, scope, makers)
    after = [s for s in scope.sources if s not in before]
    condition, using = join.args.get("on"), [u.name for u in join.args.get("using") or ()]
    weak = after if side == "LEFT" else before if side == "RIGHT" else ()
    if natural:
        names = {f.name.lower() for f in new}
        using = [f.name for f in star if f.name.lower() in names]
    if using:
        on, star = _using(using, star, new, side, scope, weak)
    else:
        on, star = _on(condition, scope, weak), star + new
    if side == "RIGHT":
        kept = f"({left})" if len(before) > 1 else left
        return f"{right} LEFT JOIN {kept} ON {on}", star
    word = "LEFT JOIN" if side else "JOIN"
    return f"{left} {word} {right}" + (f" ON {on}" if on else ""), star


def _on(condition: exp.Expression | None, scope: Scope, weak: list[Source] | tuple) -> str:
    if condition is None:
        return ""
    with scope.within("on clause"):
        sql = truth(scope.value(condition))
    scope.rules += dependencies.rules(condition, scope, weak=weak)
    return sql


def _using(
    names: list[str], star: list[Field], new: list[Field], side: str, scope: Scope, weak: list[Source] | tuple
) -> tuple[str, list[Field]]:
    """Join on equal names; the shared columns come first in `*` and are one column to unqualified names."""
    tests, shared = [], []
    for name in names:
        first, second = _only(name, star), _only(name, new)
        tests.append(compare(first.value, second.value, "=").sql)
        kept = second if side == "RIGHT" else first
        shared.append(kept)
        scope.merged[name.lower()] = kept
        pairs = [(first, second), (second, first)]
        scope.rules += [(frozenset([a]), b) for a, b in pairs if not weak or b.source in weak]
    lowered = {name.lower() for name in names}
    rest = [f for f in [*star, *new] if f.name.lower() not in lowered]
    return " AND ".join(tests), shared + rest


def _only(name: str, fields: list[Field]) -> Field:
    found = [f for f in fields if f.name.lower() == name.lower()]
    if not found:
        raise failure(1054, name, "from clause")
    if len(found) > 1:
        raise failure(1052, name, "from clause")
    return found[0]
