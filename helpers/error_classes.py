"""Why a prediction is wrong: one main class, by its error, its result, and its parts beside the gold's.

    classify("SELECT name FROM products", "SELECT name, code FROM products", database)     # "extra column"

What the results show is asked first (a surplus or missing column, a lost order, duplicates), then the parts
of both statements are compared from the root outwards: tables, nesting, grain, aggregates, filters, order,
DISTINCT, columns. The first difference is the main class, so mending it need not mend the item. A missing or
surplus condition counts as "wrong filter operator", a condition on another column as "wrong column". "right
but unasked order" is the one class of right items.

Not covered: what the person meant; two statements that differ in every part are filed under the first one.
"""

import re
from collections.abc import Callable

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from helpers.comparison import Expected, same_result
from helpers.expected import expect
from helpers.parts import Parts, take_apart
from helpers.schema import Schema
from helpers.sql import parse

CLASSES = (
    "invalid SQL",
    "guard rejection",
    "dialect",
    "extra column",
    "missing column",
    "wrong column",
    "wrong table or join path",
    "wrong filter value",
    "wrong filter operator",
    "aggregate",
    "grain",
    "order or limit",
    "DISTINCT",
    "nesting",
    "right but unasked order",
    "other",
)
OTHER_DIALECTS = ("postgres", "tsql", "sqlite", "oracle", "duckdb", "bigquery")
FOREIGN_FUNCTIONS = frozenset(
    "strftime julianday date_trunc to_char to_date nvl decode datepart dateadd getdate string_agg array_agg len "
    "isnull "
    "iif charindex listagg trunc split_part safe_divide countif generate_series group_array printf".split()
)


def classify(gold: str, predicted: str, database) -> str:
    """Return the main class of a prediction; "" for one that is right and has no order the gold lacks."""
    result = database.execute(predicted)
    expected = expect(gold, database)
    if not result.error and same_result(expected, result, "ex"):
        return of_right(gold, predicted)
    return of_wrong(gold, predicted, expected, result, database.schema)


def of_right(gold: str, predicted: str) -> str:
    """Return "right but unasked order" if only the prediction orders its rows, else ""."""
    return "right but unasked order" if _orders(predicted) and not _orders(gold) else ""


def of_wrong(gold: str, predicted: str, expected: Expected, result, schema: Schema) -> str:
    """Return the main class of a prediction that is wrong under `ex`, given the gold's and its own result."""
    if result.error:
        return _of_error(predicted, result.error_code)
    return _of_result(expected, result) or _of_parts(gold, predicted, schema)


def _orders(sql: str) -> bool:
    tree = parse(sql)
    return tree is not None and tree.args.get("order") is not None


def _of_error(predicted: str, code: str) -> str:
    """Tell a statement of another dialect from a refused or invalid one."""
    if _is_foreign(predicted):
        return "dialect"
    return "guard rejection" if code == "guard" and parse(predicted) is not None else "invalid SQL"


def _is_foreign(predicted: str) -> bool:
    tree = parse(predicted)
    if tree is None:
        return any(_parses(predicted, dialect) for dialect in OTHER_DIALECTS)
    called = re.findall(r"\b(\w+)\s*\(", predicted)
    return any(name.lower() in FOREIGN_FUNCTIONS for name in called) or _has_foreign_node(tree)


def _has_foreign_node(tree: exp.Expression) -> bool:
    if tree.find(exp.ILike, exp.Fetch, exp.Cast) is None:
        return False
    casts = {cast.to.this for cast in tree.find_all(exp.Cast)}
    return tree.find(exp.ILike, exp.Fetch) is not None or bool(casts & {exp.DataType.Type.TEXT, exp.DataType.Type.INT})


def _parses(sql: str, dialect: str) -> bool:
    try:
        return isinstance(sqlglot.parse_one(sql, read=dialect), exp.Query)
    except (SqlglotError, ValueError, RecursionError):  # sqlglot's readers of other dialects raise ValueError too
        return False


def _of_result(expected: Expected, result) -> str:
    """Tell what the rows alone give away: columns too many or too few, a lost order, duplicates."""
    wide, narrow = len(result.columns), len(expected.columns)
    if wide > narrow and same_result(expected, result, "ex_superset"):
        return "extra column"
    if wide < narrow and same_result(result, _plain(expected), "ex_superset"):
        return "missing column"
    if same_result(_plain(expected), result, "ex"):
        return "order or limit"
    if len(expected.rows) != len(result.rows) and same_result(_once(expected), _once(result), "ex"):
        return "DISTINCT"
    return ""


def _plain(expected: Expected) -> Expected:
    return Expected(expected.columns, expected.rows, expected.truncated)


def _once(result) -> Expected:
    return Expected(tuple(result.columns), list(dict.fromkeys(result.rows)), result.truncated)


def _of_parts(gold: str, predicted: str, schema: Schema) -> str:
    ours, theirs = take_apart(gold, schema), take_apart(predicted, schema)
    if ours is None or theirs is None:
        return "other"
    return next((name for name, differs in DIFFERENCES if differs(ours, theirs)), "other")


def _another_value(ours: Parts, theirs: Parts) -> bool:
    mine, others = ours.conditions - theirs.conditions, theirs.conditions - ours.conditions
    return bool(mine) and {c[:2] for c in mine} == {c[:2] for c in others}


def _another_operator(ours: Parts, theirs: Parts) -> bool:
    mine, others = ours.conditions - theirs.conditions, theirs.conditions - ours.conditions
    tested = [{condition[0] for condition in part} for part in (mine, others)]
    moved = tested[0] and tested[1] and not tested[0] & tested[1]
    return not moved and bool(mine or others or ours.connectives != theirs.connectives)


def _tables_differ(ours: Parts, theirs: Parts) -> bool:
    return ours.tables != theirs.tables


def _links_differ(ours: Parts, theirs: Parts) -> bool:
    return (ours.links, ours.outer) != (theirs.links, theirs.outer)


DIFFERENCES: tuple[tuple[str, Callable[[Parts, Parts], bool]], ...] = (
    ("wrong table or join path", _tables_differ),
    ("nesting", lambda ours, theirs: ours.nesting != theirs.nesting),
    ("wrong table or join path", _links_differ),
    ("grain", lambda ours, theirs: ours.grain != theirs.grain),
    (
        "DISTINCT",
        lambda ours, theirs: ours.aggregates == theirs.aggregates and ours.counted_distinct != theirs.counted_distinct,
    ),
    ("aggregate", lambda ours, theirs: ours.aggregates != theirs.aggregates),
    ("wrong filter value", _another_value),
    ("wrong filter operator", _another_operator),
    ("wrong column", lambda ours, theirs: ours.conditions != theirs.conditions),
    ("extra column", lambda ours, theirs: len(ours.columns) < len(theirs.columns)),
    ("missing column", lambda ours, theirs: len(ours.columns) > len(theirs.columns)),
    ("wrong column", lambda ours, theirs: ours.columns != theirs.columns),
    ("order or limit", lambda ours, theirs: (ours.order, ours.limit) != (theirs.order, theirs.limit)),
    ("DISTINCT", lambda ours, theirs: ours.distinct != theirs.distinct),
)
