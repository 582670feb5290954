"""MySQL's comparisons as SQLite SQL: =, <, BETWEEN, LIKE, REGEXP, CASE, over text, numbers and dates.

>>> compare(Value("a", ASCII), Value("b", ASCII), "=").sql
'(a = b COLLATE NOCASE)'

Text compares by the collation's sort key, or by SQLite's NOCASE where both sides are plain ASCII and only
equality counts; text beside a number compares as a double, a date beside a string as dates. A string literal
that is no date is error 1525 there. https://dev.mysql.com/doc/refman/8.0/en/type-conversion.html
"""

from sqlglot import exp

from helpers.mysqlite import types
from helpers.mysqlite.calendar import date_text, datetime_text, is_moment
from helpers.mysqlite.error import failure
from helpers.mysqlite.names import Scope
from helpers.mysqlite.parse import syntax_error
from helpers.mysqlite.types import INT, NULL, TEMPORAL, Value, literal, numeric, quote

_COMPARISONS = {exp.EQ: "=", exp.NEQ: "<>", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">="}


def truth(value: Value) -> str:
    """Write a value as a condition: a number that is not zero."""
    return numeric(value).sql


def align(values: list[Value]) -> tuple[list[str], str]:
    """Write values so that SQLite compares them as MySQL would; the second part is a COLLATE or ''."""
    kinds = {v.kind for v in values if v.kind != "null"}
    if kinds <= {"text", "blob"}:
        return _align_text(values, kinds)
    if kinds & set(TEMPORAL):
        return _align_temporal(values, kinds), ""
    type_ = types.common(numeric(v).type for v in values)
    if type_.kind == "decimal" and type_.fixed:
        return [types.scaled(v, type_.scale) for v in values], ""
    if type_.kind == "int":
        return [v.sql for v in values], ""
    return [types.real(v) if v.kind != "null" else "NULL" for v in values], ""


def _align_text(values: list[Value], kinds: set[str]) -> tuple[list[str], str]:
    if "blob" in kinds:
        return [f"CAST({v.sql} AS BLOB)" for v in values], ""
    if any(v.type.binary for v in values):
        return [v.sql for v in values], " COLLATE BINARY"
    return [types.sort_key(v) for v in values], ""


def _align_temporal(values: list[Value], kinds: set[str]) -> list[str]:
    if kinds <= {"date", "text"}:
        literals = [v.literal for v in values if v.kind == "text"]
        if all(isinstance(x, str) and _is_midnight(x) for x in literals):
            return [_as_date(v) for v in values]
        return [_as_datetime(v) for v in values]
    if kinds <= {"date", "datetime", "text"}:
        return [_as_datetime(v) for v in values]
    if kinds <= {"time", "text"}:
        return [v.sql for v in values]
    if any(v.kind in TEMPORAL and v.literal is None for v in values) and "int" in kinds:
        dates = [_number_as_date(v) for v in values]
        if kinds <= {"date", "int"} and all(d is not None for d in dates):
            return dates
    return [types.real(v) for v in values]


def _number_as_date(value: Value) -> str | None:
    if value.kind == "date":
        return value.sql
    found = date_text(str(value.literal)) if isinstance(value.literal, int) else None
    return quote(found) if found else None


def _is_midnight(text: str) -> bool:
    found = datetime_text(text)
    return found is None or found.endswith(" 00:00:00")


def _as_date(value: Value) -> str:
    if isinstance(value.literal, str) and value.kind == "text":
        if not is_moment(value.literal):
            raise failure(1525, "DATE", value.literal)
        return quote(date_text(value.literal))
    return value.sql


def _as_datetime(value: Value) -> str:
    if value.kind == "date":
        return f"({value.sql} || ' 00:00:00')"
    if value.kind == "text":
        if not isinstance(value.literal, str):
            return f"to_datetime({value.sql})"
        if not is_moment(value.literal):
            raise failure(1525, "DATETIME", value.literal)
        return quote(datetime_text(value.literal))
    return value.sql


def compare(left: Value, right: Value, operator: str) -> Value:
    """Compare two values with one of = <> < <= > >= IS."""
    equality = operator in ("=", "<>", "IS")
    if equality and all(v.kind == "text" and v.type.plain and not v.type.binary for v in (left, right)):
        return Value(f"({left.sql} {operator} {right.sql} COLLATE NOCASE)", INT)
    (first, second), collation = align([left, right])
    return Value(f"({first} {operator} {second}{collation})", INT)


def _compare(node: exp.Binary, scope: Scope) -> Value:
    operator = _COMPARISONS[type(node)]
    if isinstance(node.this, exp.Tuple) or isinstance(node.expression, exp.Tuple):
        return _compare_rows(node.this, node.expression, operator, scope)
    if isinstance(node.expression, (exp.Any, exp.All)):
        return scope.context.handlers["quantified"](node, operator, scope)
    return compare(scope.value(node.this), scope.value(node.expression), operator)


def _compare_rows(left: exp.Expression, right: exp.Expression, operator: str, scope: Scope) -> Value:
    if isinstance(left, exp.Tuple) and isinstance(right, (exp.Subquery, exp.Select)):
        return scope.context.handlers["row_subquery"](left, right, operator, scope)
    if not (isinstance(left, exp.Tuple) and isinstance(right, exp.Tuple)):
        raise failure(1241, len(left.expressions) if isinstance(left, exp.Tuple) else 1)
    if len(left.expressions) != len(right.expressions):
        raise failure(1241, len(left.expressions))
    pairs = [
        align([scope.value(a), scope.value(b)])[0]
        for a, b in zip(left.expressions, right.expressions, strict=True)
    ]
    first, second = (", ".join(side) for side in zip(*pairs, strict=True))
    return Value(f"(({first}) {operator} ({second}))", INT)


def _null_safe(node: exp.NullSafeEQ, scope: Scope) -> Value:
    return compare(scope.value(node.this), scope.value(node.expression), "IS")


def _between(node: exp.Between, scope: Scope) -> Value:
    (value, low, high), collation = align([scope.value(node.args[part]) for part in ("this", "low", "high")])
    return Value(f"({value}{collation} BETWEEN {low} AND {high})", INT)


def _is(node: exp.Is, scope: Scope) -> Value:
    value = scope.value(node.this)
    if isinstance(node.expression, exp.Null):
        return Value(f"({value.sql} IS NULL)", INT)
    if not isinstance(node.expression, exp.Boolean):
        raise syntax_error("IS")
    test = "<> 0" if node.expression.this else "= 0"
    return Value(f"(COALESCE({truth(value)} {test}, 0))", INT)


def _like(node: exp.Like | exp.Escape, scope: Scope) -> Value:
    escape = "\\"
    if isinstance(node, exp.Escape):
        escape, node = node.expression.name, node.this
    subject, pattern = types.text(scope.value(node.this)), types.text(scope.value(node.expression))
    negation = "NOT " if node.args.get("negate") else ""
    if subject.type.binary or pattern.type.binary or not (subject.type.plain and pattern.type.plain):
        binary = int(subject.type.binary or pattern.type.binary)
        return Value(f"({negation}text_like({subject.sql}, {pattern.sql}, {quote(escape)}, {binary}))", INT)
    suffix = f" ESCAPE {quote(escape)}" if len(escape) == 1 else ""
    return Value(f"({subject.sql} {negation}LIKE {pattern.sql}{suffix})", INT)


def _regexp(node: exp.RegexpLike, scope: Scope) -> Value:
    subject, pattern = types.text(scope.value(node.this)), types.text(scope.value(node.expression))
    binary = int(subject.type.binary or pattern.type.binary)
    call = f"text_regexp({subject.sql}, {pattern.sql}, {binary})"
    return Value(f"(NOT {call})" if node.args.get("negate") else call, INT)


def _case(node: exp.Case, scope: Scope) -> Value:
    branches = node.args["ifs"]
    default = scope.value(node.args["default"]) if node.args.get("default") else literal(None, NULL)
    results = [scope.value(branch.args["true"]) for branch in branches]
    type_ = types.common([*(r.type for r in results), default.type])
    subject = node.this and scope.value(node.this)
    tests = [scope.value(branch.this) for branch in branches]
    conditions = [compare(subject, t, "=").sql if subject else truth(t) for t in tests]
    parts = [
        f"WHEN {condition} THEN {types.convert(result, type_).sql}"
        for condition, result in zip(conditions, results, strict=True)
    ]
    return Value(f"CASE {' '.join(parts)} ELSE {types.convert(default, type_).sql} END", type_)


HANDLERS = {
    exp.NullSafeEQ: _null_safe, exp.Between: _between, exp.Is: _is, exp.Like: _like, exp.Escape: _like,
    exp.RegexpLike: _regexp, exp.Case: _case, **dict.fromkeys(_COMPARISONS, _compare),
}  # fmt: skip
