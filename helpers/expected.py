"""What a gold statement allows as an answer: its rows, which of them tie, which others its LIMIT could keep.

    expect("SELECT name FROM products ORDER BY price DESC LIMIT 3", database)
    # Expected(columns=("name",), rows=[...3], ties=(0, 1, 1), spare=((1, ("another of that price",)),))

A gold's own result shows one order among many where sort keys tie, and one choice among many where the tie
falls on the LIMIT. Both are proved, not guessed: the same statement is run once more with its sort keys as
further columns and without its LIMIT, and believed only if it holds the gold's rows in the gold's order.
Where that proof fails (DISTINCT or a set operation ordered by something it does not return, a result over the
row cap) every row keeps its place.

Not covered: a LIMIT inside a subquery, and functions that differ from call to call.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from sqlglot import exp

from helpers.comparison import Expected, tie_groups
from helpers.sql import parse

KEY = "sort_key_{}"


class GoldFailed(ValueError):
    """A gold statement does not run: a mistake in the examples, not in a prediction."""


@dataclass(frozen=True)
class Plan:
    """How to learn a statement's order: `sql` has no LIMIT and may return more, `keys` index its sort keys."""

    sql: str
    keys: tuple[int, ...]
    limit: int | None
    offset: int


def expect(sql: str, database, *, optional: tuple[str, ...] = ()) -> Expected:
    """Run a gold and return all it allows; GoldFailed if it does not run."""
    result = database.execute(sql)
    if result.error:
        raise GoldFailed(f"A gold statement fails ({result.error}): {sql}. Mend or drop it with 02_curate.")
    rows, says_order = list(result.rows), "order by" in sql.lower()
    plain = Expected(tuple(result.columns), rows, result.truncated, (), (), says_order, tuple(optional))
    plan = plan_order(sql)
    if plan is None or result.truncated or not rows:
        return plain
    return _proved(plain, plan, database) or _with(plain, tuple(range(len(rows))) if _is_ordered(sql) else (), ())


def accepted(example, database) -> tuple[Expected, ...]:
    """Return what an example's gold and alternatives allow; GoldFailed, naming the example, if one fails."""
    try:
        return tuple(
            expect(sql, database, optional=example.optional_columns) for sql in (example.sql, *example.alternatives)
        )
    except GoldFailed as failure:
        raise GoldFailed(f"Example {example.id}, {database.source}: {failure}") from failure


def _with(plain: Expected, ties: tuple, spare: tuple) -> Expected:
    return Expected(plain.columns, plain.rows, plain.truncated, ties, spare, plain.ordered, plain.optional)


def _proved(plain: Expected, plan: Plan, database) -> Expected | None:
    """Tell ties and spare rows from the keyed run; None where it does not hold the gold's result in order."""
    keyed = database.execute(plan.sql)
    width, count = len(plain.columns), len(plain.rows)
    if keyed.error or keyed.truncated or len(keyed.rows) < plan.offset + count:
        return None
    groups = tie_groups([tuple(row[at] for at in plan.keys) for row in keyed.rows])
    everything = [(group, row[:width]) for group, row in zip(groups, keyed.rows, strict=True)]
    kept = everything[plan.offset : plan.offset + count]
    ends = {kept[0][0], kept[-1][0]}
    spare = [pair for pair in everything[: plan.offset] + everything[plan.offset + count :] if pair[0] in ends]
    if plan.limit is None and not plan.offset and spare:
        return None
    ties = tuple(group for group, _ in kept)
    return _with(plain, ties, tuple(spare)) if _is_choice_of(plain.rows, ties, kept + spare) else None


def _is_choice_of(rows: list[tuple], ties: tuple[int, ...], pool: list[tuple[int, tuple]]) -> bool:
    """Tell whether the gold's own rows, in their order, are one of the answers that the pool allows."""
    left: dict = {}
    for pair in pool:
        left[pair] = left.get(pair, 0) + 1
    for pair in zip(ties, rows, strict=True):
        if not left.get(pair):
            return False
        left[pair] -= 1
    return True


def _is_ordered(sql: str) -> bool:
    tree = parse(sql)
    return tree is not None and tree.args.get("order") is not None


@lru_cache(maxsize=20_000)
def plan_order(sql: str) -> Plan | None:
    """Write the keyed statement of a gold; None if its order is free, or it cannot be written."""
    tree = parse(sql)
    if not isinstance(tree, exp.Query) or isinstance(tree, exp.Subquery):
        return None
    order, limit, offset = (tree.args.get(name) for name in ("order", "limit", "offset"))
    if order is None and limit is None:
        return None
    bounds = [_number(limit), _number(offset)]
    if "?" in bounds:
        return None
    tree = tree.copy()
    tree.set("limit", None)
    tree.set("offset", None)
    keys = _find_keys(tree) if order is not None else ()
    return None if keys is None else Plan(tree.sql(dialect="mysql"), keys, bounds[0], bounds[1] or 0)


def _number(clause) -> int | None | str:
    if clause is None:
        return None
    value = clause.expression
    return int(value.name) if isinstance(value, exp.Literal) and value.name.isdigit() else "?"


def _find_keys(tree: exp.Query) -> tuple[int, ...] | None:
    """Return the index of each sort key, appended to the output if need be; None if that changes the result."""
    keys = [part.this for part in tree.args["order"].expressions]
    positions = [_position(key, tree) for key in keys]
    if None not in positions:
        return tuple(positions)
    if not isinstance(tree, exp.Select) or tree.args.get("distinct"):
        return None
    outputs = {projection.alias_or_name.lower(): projection.unalias() for projection in tree.expressions}
    for number, key in enumerate(keys):
        key = tree.selects[int(key.name) - 1].unalias() if isinstance(key, exp.Literal) else key
        written = key.copy().transform(_written_out, outputs)
        tree.append("expressions", exp.alias_(written, KEY.format(number), quoted=True))
    return tuple(range(-len(keys), 0))


def _position(key: exp.Expression, tree: exp.Query) -> int | None:
    """Find a sort key among the output columns: by number, by name, or as the same expression."""
    outputs = tree.selects
    if any(projection.is_star for projection in outputs):
        return None
    if isinstance(key, exp.Literal):
        return int(key.name) - 1 if key.is_int and int(key.name) <= len(outputs) else None
    names = [projection.alias_or_name.lower() for projection in outputs]
    if isinstance(key, exp.Column) and not key.table and names.count(key.name.lower()) == 1:
        return names.index(key.name.lower())
    same = [at for at, projection in enumerate(outputs) if projection.unalias() == key]
    return same[0] if same and isinstance(tree, exp.Select) else None


def _written_out(node: exp.Expression, outputs: dict) -> exp.Expression:
    """Put an output's own expression where ORDER BY uses its alias, as MySQL resolves it."""
    bare = isinstance(node, exp.Column) and not node.table and not node.find_ancestor(exp.AggFunc)
    if bare and node.name.lower() in outputs:
        return outputs[node.name.lower()].copy()
    return node


_DISTINCT = re.compile(r"""('(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`[^`]*`)|\bdistinct\b\s*""", re.IGNORECASE)


def without_distinct(sql: str) -> str:
    """Drop every DISTINCT outside quotes, as the official test-suite scripts do before they execute."""
    return _DISTINCT.sub(lambda match: match.group(1) or "", sql)
