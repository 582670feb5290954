"""Shapes of composed questions about two facts: parents with and without children, and values that two facts share.

>>> shape, gold, words = kin(family, rng)
>>> gold
'SELECT customerName FROM customers WHERE customerNumber NOT IN (SELECT customerNumber FROM orders WHERE …)'

See `row_shapes` for what a shape is.
"""

import random
from collections.abc import Sequence

from helpers import ingredients
from helpers.ingredients import Question
from helpers.lexicon import Fact, Family, Piece
from helpers.phrasing import choose, plural

NUMBERS = ((">", "more than"), (">=", "at least"), ("=", "exactly"))


def kin(family: Family, rng: random.Random) -> Question | None:
    """Parents that have none, some, so many of the children that meet a condition, or how many each has."""
    parent, child = family.parent, family.child
    key = parent.key.partition(".")[2]
    that = [piece for piece in ingredients.conditions(child, rng, (0, 1, 1, 1, 2)) if key not in piece.sql]
    where = [piece for piece in ingredients.conditions(parent, rng, (0, 0, 1), beside=that) if not piece.joins]
    shape = rng.choice([_none, _none, _some, _some, _zero, _several])
    question = shape(family, that, where, rng)
    if question is None:
        return None
    name, gold, columns, more = question
    return name, gold, lambda: ingredients.rows_said(parent, where, rng) | more | {
        "columns": ingredients.columns_said(columns, rng), "children": choose(child.many, rng),
        "that": ingredients.said(that, rng), "never": choose(family.never, rng)}


def _none(family: Family, that: list[Piece], where: list[Piece], rng: random.Random):
    """Parents without children: NOT IN, its NULLs left out where the foreign key may be NULL."""
    columns = _columns(family.parent, rng)
    possible = family.parent.name == "employees"
    known = [Piece(f"{family.foreign_key} IS NOT NULL", "")] if possible else []
    inner = family.child.select(family.foreign_key, where=[*that, *known])
    gold = _outer(family.parent, columns, where, f"NOT IN ({inner})")
    return "none" if that else "never", gold, columns, {}


def _some(family: Family, that: list[Piece], where: list[Piece], rng: random.Random):
    """Parents with children that meet a condition."""
    if not that:
        return None
    columns = _columns(family.parent, rng)
    inner = family.child.select(family.foreign_key, where=that)
    return "some", _outer(family.parent, columns, where, f"IN ({inner})"), columns, {}


def _zero(family: Family, that: list[Piece], where: list[Piece], rng: random.Random):
    """Every parent with its number of children, those with none included."""
    parent, child = family.parent, family.child
    if child.alias == parent.alias or any(piece.joins for piece in that):
        return None
    match = " AND ".join([f"{family.foreign_key} = {parent.key}", *(piece.sql for piece in that)])
    conditions = f"WHERE {' AND '.join(piece.sql for piece in where)}" if where else ""
    columns = f"{ingredients.listed(parent.label)}, COUNT({family.foreign_key}) AS {ingredients.count_name(child)}"
    gold = (f"SELECT {columns} FROM {parent.table} {parent.alias} LEFT JOIN {child.table} {child.alias} "
            f"ON {match} {conditions} GROUP BY {parent.key}")
    return "zero", " ".join(gold.split()), parent.label, {}


def _several(family: Family, that: list[Piece], where: list[Piece], rng: random.Random):
    """Parents with more than, at least or exactly so many children."""
    parent, child = family.parent, family.child
    slot = "few" if that else family.count
    if child.alias == parent.alias or any(piece.joins or slot in piece.slots for piece in [*that, *where]):
        return None
    operator, than = rng.choice(NUMBERS)
    conditions = f"WHERE {' AND '.join(piece.sql for piece in [*where, *that])}" if where or that else ""
    gold = (f"SELECT {ingredients.listed(parent.label)} FROM {parent.table} {parent.alias} "
            f"JOIN {child.table} {child.alias} ON {family.foreign_key} = {parent.key} {conditions} "
            f"GROUP BY {parent.key} HAVING COUNT(*) {operator} {{{slot}}}")
    return "several", " ".join(gold.split()), parent.label, {"than": than, "limit": f"{{{slot}}}"}


def _columns(parent: Fact, rng: random.Random) -> list[Piece]:
    own = [piece for piece in parent.columns if not piece.joins]
    return [*parent.label, *(rng.sample(own, 1) if rng.random() < 0.3 else [])]


def _outer(parent: Fact, columns: Sequence[Piece], where: Sequence[Piece], test: str) -> str:
    conditions = " AND ".join([*(piece.sql for piece in where), parent.key])
    return f"{parent.plain(f'{parent.select(ingredients.listed(columns))} WHERE {conditions}')} {test}"


def shared(name: str, places: Sequence[tuple[Fact, str]], rng: random.Random) -> Question | None:
    """Values that occur in one fact or, and, but not in another, or in the same under another condition."""
    (one, first), (other, second) = rng.choice(places), rng.choice(places)
    where = ingredients.conditions(one, rng, (1,), beside=[Piece(first, "")])
    that = ingredients.conditions(other, rng, (1,), beside=[Piece(second, ""), *where])
    if not where or not that:
        return None
    operator, words = rng.choice([("UNION", "[or|or also]"), ("INTERSECT", "[and also|and]"),
                                  ("EXCEPT", "[but not|but none]"), ("EXCEPT", "but not")])
    gold = f"{one.select(first, where=where)} {operator} {other.select(second, where=that)}"
    return "shared", gold, lambda: ingredients.rows_said(one, where, rng) | {
        "class": name, "classes": plural(name), "others": choose(other.many, rng),
        "that": ingredients.said(that, rng), "and": choose(words, rng)}
