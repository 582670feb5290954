"""SQL as text: out of a completion, safe to run, compared by its skeleton, described by its features.

>>> extract("Sure!\\n```sql\\nSELECT 1;\\n```")
'SELECT 1'
>>> skeleton("SELECT name FROM products WHERE price > 5")
'SELECT _ FROM _ WHERE _ > _'
>>> features("SELECT status, COUNT(*) FROM orders GROUP BY status")
('group_by', 'aggregate')

Everything goes through sqlglot's MySQL dialect. It knows no database and no model; `guard` lives in its own room.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from itertools import islice

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from helpers.guard import SqlRejected, guard

__all__ = ["SqlRejected", "extract", "features", "guard", "hardness", "parse", "skeleton", "tables", "template"]

_FENCE = re.compile(r"```(?:\w+)?\s*\n?(.*?)(?:```|\Z)", re.DOTALL)
_START = re.compile(r"\b(SELECT|WITH|SHOW|DESCRIBE|DESC|EXPLAIN)\b|\(\s*SELECT\b", re.IGNORECASE)
_END = re.compile(r"""'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`[^`]*`|(;)""", re.DOTALL)


PLACES = 12  # a model that loops writes SELECT a hundred times, and parsing each tail would take seconds


def extract(completion: str) -> str:
    """Return the first statement in a model's completion, without fence, prose around it, or final semicolon.

    Among the first PLACES where a statement might begin, the first that parses counts; failing that the first of all,
    so that the database says what is wrong with it. A completion with no such place is returned stripped.
    """
    fence = _FENCE.search(completion)
    text = (fence.group(1) if fence else completion).strip()
    starts = [text[match.start() :] for match in islice(_START.finditer(text), PLACES)] or [text]
    candidates = [part for start in starts for part in (_up_to_semicolon(start), start.split("\n\n")[0].strip())]
    return next((c for c in candidates if parse(c) is not None), candidates[0])


def _up_to_semicolon(text: str) -> str:
    ends = (token.start() for token in _END.finditer(text) if token.group(1))
    return text[: next(ends, len(text))].strip()


@lru_cache(maxsize=20_000)
def parse(sql: str) -> exp.Expression | None:
    """Parse one MySQL statement, or return None if sqlglot cannot; treat the shared tree as read-only."""
    try:
        return sqlglot.parse_one(sql, read="mysql")
    except SqlglotError:
        return None


def tables(sql: str) -> tuple[str, ...]:
    """Name the tables a statement reads, each once, in the order in which they are written; CTEs left out."""
    return tuple(dict.fromkeys(table.name for table in _read(sql)))


def sources(sql: str) -> tuple[str, ...]:
    """Name the tables as FROM and JOIN do, with their aliases ("orders o"), each once, in order; CTEs left out."""
    return tuple(dict.fromkeys(f"{table.name} {table.alias}".rstrip() for table in _read(sql)))


def _read(sql: str) -> list[exp.Table]:
    """Return the tables of a statement as often as it reads them, none if it cannot be parsed."""
    tree = parse(sql)
    if tree is None:
        return []
    defined = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    return [node for node in tree.dfs() if isinstance(node, exp.Table) and node.name.lower() not in defined]


@lru_cache(maxsize=20_000)
def template(sql: str) -> str:
    """Mask the literals and fold the aliases: two items of one template differ in their values only.

    Table aliases become the tables' names, numbered where a table occurs twice; output aliases become `a1`, `a2`, …
    A statement that cannot be parsed is its own template, with white space folded.
    """
    tree = parse(sql)
    if tree is None:
        return " ".join(sql.split())
    tree = _without_aliases(tree.copy())
    for literal in list(tree.find_all(exp.Literal)):
        literal.replace(exp.Var(this="_"))
    return tree.sql(dialect="mysql", comments=False, normalize=True, normalize_functions="upper", copy=False)


def skeleton(sql: str) -> str:
    """Mask the names too: what is left is the shape that DAIL-SQL (Gao et al. 2023) compares exemplars by."""
    tree = parse(template(sql))
    if tree is None:
        return template(sql)
    tree = tree.copy()
    for node in list(tree.find_all(exp.Column, exp.Star)):
        if not (isinstance(node, exp.Star) and isinstance(node.parent, exp.Count)):
            node.replace(exp.Var(this="_"))
    for table in list(tree.find_all(exp.Table)):
        table.replace(exp.Var(this="_"))
    text = re.sub(r" AS \w+", "", tree.sql(dialect="mysql"))
    return re.sub(r"_(, _)+", "_", text)


def _without_aliases(tree: exp.Expression) -> exp.Expression:
    names: dict[str, str] = {}
    for table in tree.find_all(exp.Table):
        if table.alias:
            taken = sum(name.split("#")[0] == table.name.lower() for name in names.values())
            names[table.alias.lower()] = f"{table.name.lower()}{'#' + str(taken + 1) if taken else ''}"
    outputs = [
        alias for select in tree.find_all(exp.Select) for alias in select.selects if isinstance(alias, exp.Alias)
    ]
    for number, alias in enumerate(outputs, 1):
        names.setdefault(alias.alias.lower(), f"a{number}")
    for identifier in tree.find_all(exp.Identifier):
        is_table_name = isinstance(identifier.parent, exp.Table)
        if not is_table_name and identifier.name.lower() in names:
            identifier.set("this", names[identifier.name.lower()])
        identifier.set("quoted", "#" in identifier.name)
    return tree


def _occurs(*kinds: type[exp.Expression]) -> Callable[[exp.Expression], bool]:
    return lambda tree: tree.find(*kinds) is not None


def _aggregates(tree: exp.Expression) -> list[exp.AggFunc]:
    """Return the aggregate calls; with OVER they are window functions."""
    return [call for call in tree.find_all(exp.AggFunc) if not isinstance(call.parent, exp.Window)]


def _joins_itself(tree: exp.Expression) -> bool:
    scopes = [
        [t.name.lower() for t in s.find_all(exp.Table) if t.parent_select is s] for s in tree.find_all(exp.Select)
    ]
    return any(len(names) > len(set(names)) for names in scopes)


def _is_anti_join(tree: exp.Expression) -> bool:
    excludes = any(n.find(exp.In, exp.Exists) is n.this for n in tree.find_all(exp.Not))
    outer = any(join.side == "LEFT" for join in tree.find_all(exp.Join))
    return excludes or (outer and any(isinstance(i.expression, exp.Null) for i in tree.find_all(exp.Is)))


FEATURES: dict[str, Callable[[exp.Expression], bool]] = {
    "join": _occurs(exp.Join),
    "self_join": _joins_itself,
    "anti_join": _is_anti_join,
    "group_by": _occurs(exp.Group),
    "having": _occurs(exp.Having),
    "aggregate": lambda tree: any(_aggregates(tree)),
    "order_by": lambda tree: any(
        not isinstance(o.parent, (exp.Window, exp.GroupConcat)) for o in tree.find_all(exp.Order)
    ),
    "limit": _occurs(exp.Limit),
    "distinct": _occurs(exp.Distinct),
    "nesting": lambda tree: any(
        s.parent is not None and not isinstance(s.parent, exp.SetOperation) for s in tree.find_all(exp.Select)
    ),
    "cte": _occurs(exp.With),
    "set_operation": _occurs(exp.SetOperation),
    "window": _occurs(exp.Window),
    "like": _occurs(exp.Like, exp.RegexpLike),
    "null_test": lambda tree: any(isinstance(i.expression, exp.Null) for i in tree.find_all(exp.Is)),
    "case": _occurs(exp.Case, exp.If),
    "date": _occurs(
        exp.Year,
        exp.Month,
        exp.Day,
        exp.Quarter,
        exp.DateDiff,
        exp.DateAdd,
        exp.DateSub,
        exp.Extract,
        exp.TimestampDiff,
        exp.TimeToStr,
        exp.DayOfWeek,
        exp.LastDay,
        exp.Interval,
        exp.DateTrunc,
    ),
    "arithmetic": _occurs(exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.IntDiv),
}


def features(sql: str) -> tuple[str, ...]:
    """Name the SQL features a statement uses, in the order of FEATURES; none if it cannot be parsed."""
    tree = parse(sql)
    return tuple(name for name, occurs in FEATURES.items() if occurs(tree)) if tree is not None else ()


def hardness(sql: str) -> str:
    """Grade a statement easy, medium, hard or extra by the rules of Spider's `evaluation.py` (Yu et al. 2018).

    Common table expressions and derived tables count as nesting, which Spider's grammar does not have.
    """
    tree = parse(sql)
    if tree is None:
        return "extra"
    main = tree.find(exp.Select) or tree
    parts = _clauses(main)
    nested = len(list(tree.find_all(exp.Select))) - 1
    extras = _multiples(main)
    if nested == 0:
        if parts <= 1 and extras == 0:
            return "easy"
        if (extras <= 2 and parts <= 1) or (parts <= 2 and extras < 2):
            return "medium"
        if (extras > 2 and parts <= 2) or (parts == 3 and extras <= 2):
            return "hard"
        return "extra"
    return "hard" if nested == 1 and parts <= 1 and extras == 0 else "extra"


def _clauses(select: exp.Expression) -> int:
    """Count Spider's first kind of component: clauses, joins, OR and LIKE."""
    clauses = sum(select.args.get(name) is not None for name in ("where", "group", "order", "limit"))
    inside = [select.args.get(name) for name in ("where", "having")]
    connectives = sum(len(list(part.find_all(exp.Or, exp.Like))) for part in inside if part)
    return clauses + len(select.args.get("joins") or []) + connectives


def _multiples(select: exp.Expression) -> int:
    """Count Spider's other components: more than one aggregate, output column, condition or grouping column."""
    where = select.args.get("where")
    group = select.args.get("group")
    conditions = 1 + len(list(where.find_all(exp.And, exp.Or))) if where else 0
    return sum(
        (
            len(_aggregates(select)) > 1,
            len(select.args.get("expressions") or []) > 1,
            conditions > 1,
            len(group.expressions) > 1 if group else False,
        )
    )
