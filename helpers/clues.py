"""What a set of golds is sensitive to: constants they compare columns with, counts they ask for, their columns.

    clues(["SELECT name FROM products WHERE price > 100 AND name LIKE '%Ford%'"], schema)
    # Clues(values={("products", "price"): (99, 100, 101, ...), ("products", "name"): ("Ford", ...)}, ...)

A row that tells `>` from `>=` has the constant itself, one that tells a bound from its neighbour lies just
beside it. So each constant comes with its near values, in the family of the column it is compared with. A
constant compared with an aggregate is a clue for the columns inside it (a group of one row has that sum). Not
covered: constants compared with an expression over several columns of different families, and arithmetic
around a column.
"""

import datetime
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from sqlglot import exp

from helpers.columns import family, resolve
from helpers.schema import Schema
from helpers.sql import parse

COMPARISONS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Between, exp.In, exp.Like)


@dataclass(frozen=True)
class Clues:
    """Near values by (table, column), group sizes asked for, and all columns that occur."""

    values: dict[tuple[str, str], tuple]
    counts: tuple[int, ...]
    columns: tuple[tuple[str, str], ...]


def clues(statements: Iterable[str], schema: Schema) -> Clues:
    """Collect the clues of some statements, in a fixed order; statements that cannot be parsed give none."""
    values: dict[tuple[str, str], dict] = {}
    counts: dict[int, None] = {}
    columns: dict[tuple[str, str], None] = {}
    for statement in statements:
        tree = parse(statement)
        if tree is None:
            continue
        columns |= dict.fromkeys(filter(None, (resolve(column, schema) for column in tree.find_all(exp.Column))))
        for comparison in tree.find_all(*COMPARISONS):
            for literal in _constants(comparison):
                counts |= dict.fromkeys(_sizes(comparison, literal))
                for table, column in _compared(comparison, schema):
                    kind = family(schema.table(table).column(column).type)
                    values.setdefault((table, column), {}).update(dict.fromkeys(_near(literal, kind)))
    return Clues({key: tuple(found) for key, found in values.items()}, tuple(counts), tuple(columns))


def _constants(comparison: exp.Expression) -> Iterator[exp.Literal]:
    """Yield the literals a comparison names itself, not those of a subquery in it."""
    for literal in comparison.find_all(exp.Literal):
        if literal.find_ancestor(*COMPARISONS) is comparison and not isinstance(literal.parent, exp.Interval):
            yield literal


def _compared(comparison: exp.Expression, schema: Schema) -> Iterator[tuple[str, str]]:
    for column in comparison.find_all(exp.Column):
        if column.find_ancestor(*COMPARISONS) is comparison:
            meant = resolve(column, schema)
            if meant is not None:
                yield meant


def _sizes(comparison: exp.Expression, literal: exp.Literal) -> Iterator[int]:
    if comparison.find(exp.Count) is not None and literal.name.isdigit() and int(literal.name) < 1_000:
        yield from (size for size in (int(literal.name), int(literal.name) - 1, int(literal.name) + 1) if size > 0)


def _near(literal: exp.Literal, kind: str) -> Iterator:
    """Yield a constant and the values just beside it, in a column's family."""
    text = literal.name
    if kind == "text":
        core = text.strip("%")
        yield from (text.replace("%", ""), core, f"x{core}", f"{core}x", f"x{core}x", core[:-1], f"{core}s")
    elif kind == "number":
        try:
            number = Decimal(text)
        except InvalidOperation:
            return
        yield from (
            number,
            number - 1,
            number + 1,
            number + Decimal("0.01"),
            number - Decimal("0.01"),
            number * 2,
        )
    else:
        yield from _near_dates(text)


def _near_dates(text: str) -> Iterator[str]:
    """Yield the days around a date, or around the ends of a year or a month number."""
    try:
        days = [datetime.date.fromisoformat(text[:10])]
    except ValueError:
        if not text.isdigit():
            return
        year, month = (int(text), 1) if 1900 < int(text) < 2100 else (2004, int(text) if 1 <= int(text) <= 12 else 1)
        days = [datetime.date(year, month, 1), datetime.date(year, month, 28), datetime.date(year, 12, 31)]
    for day in days:
        yield from ((day + datetime.timedelta(step)).isoformat() for step in (0, -1, 1, 365, -365))
