"""Subqueries in expressions: scalar, IN, EXISTS, ANY and ALL, rows.

>>> scope.value(parse("SELECT (SELECT MAX(amount) FROM payments)").expressions[0]).sql
'(SELECT MAX(CAST(ROUND(t1."amount" * 100) AS INTEGER)) AS c1 FROM "payments" AS t1)'

A scalar subquery that may have several rows goes through the aggregate `single_row`, which raises MySQL's
1242.
"""

from sqlglot import exp

from helpers.mysqlite.comparison import align, compare
from helpers.mysqlite.error import failure
from helpers.mysqlite.names import Scope
from helpers.mysqlite.parse import syntax_error
from helpers.mysqlite.query import compile_query
from helpers.mysqlite.select import Query
from helpers.mysqlite.types import INT, Type, Value


def _query(node: exp.Expression, scope: Scope, columns: int) -> Query:
    """Compile a subquery of that many columns; raises 1241."""
    inner = node.this if isinstance(node, exp.Subquery) and not node.args.get("limit") else node
    query = compile_query(inner, scope)
    if len(query.types) != columns:
        raise failure(1241, columns)
    return query


def _scalar(node: exp.Subquery | exp.Select | exp.SetOperation, scope: Scope) -> Value:
    query = _query(node, scope, 1)
    type_ = query.types[0]
    sql = query.write()
    return Value(f"({sql})" if query.single else f"(SELECT single_row(c1) FROM ({sql}))", type_)


def _exists(node: exp.Exists, scope: Scope) -> Value:
    inner = node.this.this if isinstance(node.this, exp.Subquery) else node.this
    return Value(f"EXISTS ({compile_query(inner, scope).write()})", INT)


def _in(node: exp.In, scope: Scope) -> Value:
    query = node.args.get("query")
    if query is not None:
        return _in_query(node.this, query, scope)
    if node.args.get("field") is not None or node.args.get("unnest") is not None or not node.expressions:
        raise syntax_error(node)
    if isinstance(node.this, exp.Tuple):
        return _in_rows(node, scope)
    subject = scope.value(node.this)
    values = [scope.value(e) for e in node.expressions]
    if all(v.kind in ("text", "null") and v.type.plain and not v.type.binary for v in (subject, *values)):
        return Value(f"({subject.sql} COLLATE NOCASE IN ({', '.join(v.sql for v in values)}))", INT)
    aligned, collation = align([subject, *values])
    return Value(f"({aligned[0]}{collation} IN ({', '.join(aligned[1:])}))", INT)


def _in_rows(node: exp.In, scope: Scope) -> Value:
    tests = []
    for row in node.expressions:
        if not isinstance(row, exp.Tuple) or len(row.expressions) != len(node.this.expressions):
            raise failure(1241, len(node.this.expressions))
        pairs = zip(node.this.expressions, row.expressions, strict=True)
        tests.append(
            "(" + " AND ".join(compare(scope.value(a), scope.value(b), "=").sql for a, b in pairs) + ")"
        )
    return Value(f"({' OR '.join(tests)})", INT)


def _in_query(left: exp.Expression, node: exp.Expression, scope: Scope) -> Value:
    parts = left.expressions if isinstance(left, exp.Tuple) else [left]
    subjects = [scope.value(p) for p in parts]
    query = _query(node, scope, len(subjects))
    if query.limited:
        raise failure(1235, "LIMIT & IN/ALL/ANY/SOME subquery")
    columns = [Value(f"c{i}", t) for i, t in enumerate(query.outputs, 1)]
    pairs = [align([s, c]) for s, c in zip(subjects, columns, strict=True)]
    plain = [_is_plain(s.type) and _is_plain(c.type) for s, c in zip(subjects, columns, strict=True)]
    lefts = ", ".join(
        f"{s.sql} COLLATE NOCASE" if p else f"{a[0]}{b}"
        for s, p, (a, b) in zip(subjects, plain, pairs, strict=True)
    )
    rights = [c.sql if p else a[1] for c, p, (a, _) in zip(columns, plain, pairs, strict=True)]
    sql = query.write(query.outputs)
    if rights != [c.sql for c in columns]:
        sql = f"SELECT {', '.join(rights)} FROM ({sql})"
    return Value(f"({f'({lefts})' if len(parts) > 1 else lefts} IN ({sql}))", INT)


def _is_plain(type_: Type) -> bool:
    return type_.kind == "text" and type_.plain and not type_.binary


_BOUNDS = {
    "=": ("MIN", "MAX"),
    "<>": ("MIN", "MAX"),
    ">": ("MAX",),
    ">=": ("MAX",),
    "<": ("MIN",),
    "<=": ("MIN",),
}
_OTHER = {"MIN": "MAX", "MAX": "MIN"}


def _quantified(node: exp.Binary, operator: str, scope: Scope) -> Value:
    """Write `x > ALL (…)` and `x > ANY (…)` as comparisons with the extremes, NULL where MySQL has it."""
    every, inner = isinstance(node.expression, exp.All), node.expression.this
    if (operator, every) in (("=", False), ("<>", True)):
        found = _in_query(node.this, inner, scope)
        return Value(f"(NOT {found.sql})", INT) if every else found
    query = _query(inner, scope, 1)
    if query.limited:
        raise failure(1235, "LIMIT & IN/ALL/ANY/SOME subquery")
    (subject, column), collation = align([scope.value(node.this), Value("c1", query.outputs[0])])
    rows = f"({query.write(query.outputs)})"
    extremes = _BOUNDS[operator] if every or len(_BOUNDS[operator]) > 1 else (_OTHER[_BOUNDS[operator][0]],)
    tests = [f"({subject} {operator} (SELECT {f}({column}) FROM {rows}){collation})" for f in extremes]
    test = f"({(' AND ' if every else ' OR ').join(tests)})"
    return Value(
        f"CASE WHEN NOT EXISTS {rows} THEN {int(every)} WHEN {test} = {int(not every)} THEN {int(not every)} "
        f"WHEN (SELECT COUNT(*) > COUNT(c1) FROM {rows}) THEN NULL ELSE {test} END",
        INT,
    )


def _row_subquery(left: exp.Tuple, right: exp.Expression, operator: str, scope: Scope) -> Value:
    """Write `(a, b) = (SELECT …)`."""
    query = _query(right, scope, len(left.expressions))
    columns = [Value(f"c{i}", t) for i, t in enumerate(query.outputs, 1)]
    tests = [compare(scope.value(a), c, "=").sql for a, c in zip(left.expressions, columns, strict=True)]
    joined = " AND ".join(tests)
    if operator not in ("=", "<>"):
        raise failure(1235, "row subquery with an order comparison")
    sql = f"(SELECT single_row({joined}) FROM ({query.write(query.outputs)}))"
    return Value(sql if operator == "=" else f"(NOT {sql})", INT)


HANDLERS = {
    exp.Subquery: _scalar, exp.Select: _scalar, exp.Union: _scalar, exp.Exists: _exists, exp.In: _in,
    "quantified": _quantified, "row_subquery": _row_subquery,
}  # fmt: skip
