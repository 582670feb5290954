"""Shapes of composed questions that ask for rows: listed, looked up, the first few, the extreme, those above average.

>>> shape, gold, words = lookup(customers, rng)
>>> gold, words()
('SELECT phone FROM customers WHERE customerName = {customer}', {'columns': 'phone number', 'named': '{customer}'})

A shape is a function of a fact and a random generator. It returns the name of its phrasings in the lexicon, SQL in
house style, and a function that draws words for one more phrasing; or None where the draw makes no question.
"""

import random
import re

from helpers import ingredients
from helpers.ingredients import Question
from helpers.lexicon import Fact, Piece
from helpers.phrasing import choose, enumerate_words, plural

MORE, LESS = "[above|higher than|over|greater than]", "[below|lower than|under|less than]"


def rows(fact: Fact, rng: random.Random) -> Question:
    """Columns of the rows under some conditions, now and then in an order."""
    size, own = rng.choice([1, 1, 2, 2, 3]), rng.random() < 0.6
    columns = [*fact.label, *rng.sample(fact.columns, size - 1)] if own else rng.sample(fact.columns, size)
    where = ingredients.conditions(fact, rng, (1, 1, 1, 2, 2, 0))
    by, down = rng.choice(columns) if rng.random() < 0.16 else None, rng.random() < 0.5
    if by and ", " in by.sql:
        by = None
    tail = f"ORDER BY {by.sql}{' DESC' * down}" if by else ""
    gold = fact.select(ingredients.listed(columns), columns, where=where, tail=tail)
    manner = "[, in descending order of|, sorted descending by]" if down else "[, sorted by|, ordered by|, in order of]"

    def words() -> dict[str, str]:
        named = {piece.sql: choose(piece.said, rng) for piece in columns}
        order = f"{choose(manner, rng)} {named[by.sql]}" if by else ""
        columns_said = enumerate_words(list(named.values()), rng)
        return ingredients.rows_said(fact, where, rng) | {"columns": columns_said, "order": order}

    part_of_key = fact.key.startswith(f"{fact.label[0].sql}, ")  # which names no row, so nobody means it unsaid
    return "name" if columns == list(fact.label) and not part_of_key else "list", gold, words


def lookup(fact: Fact, rng: random.Random) -> Question | None:
    """Columns of one row that is named."""
    if not fact.named:
        return None
    named = rng.choice(fact.named)
    others = [piece for piece in fact.columns if piece.sql not in named.sql]
    columns = rng.sample(others, rng.choice([1, 1, 1, 2, 3]))
    gold = fact.select(ingredients.listed(columns), columns, where=[named])
    return "lookup", gold, lambda: {"columns": ingredients.columns_said(columns, rng), "named": choose(named.said, rng)}


def top(fact: Fact, rng: random.Random) -> Question | None:
    """The first few rows by a number, in a total order."""
    number = ingredients.number(fact, rng)
    if number is None:
        return None
    down = "shippedDate" in number.sql or rng.random() < 0.7  # NULLs, which come first upwards, answer nothing
    columns = [*fact.label, *([number] if rng.random() < 0.6 else [])]
    where = ingredients.conditions(fact, rng, (0, 0, 1, 1), beside=[number])
    gold = fact.select(ingredients.listed(columns), [number], where=where,
                       tail=f"ORDER BY {number.sql}{' DESC' * down}, {fact.key} LIMIT {{top}}")
    most = "[highest|largest]" if down else "[lowest|smallest]"
    return "top", gold, lambda: ingredients.rows_said(fact, where, rng) | {
        "columns": ingredients.columns_said(columns, rng), "number": choose(number.said, rng),
        "most": choose(most, rng)}


def extreme(fact: Fact, rng: random.Random) -> Question | None:
    """The rows that have the highest or lowest number."""
    number = ingredients.number(fact, rng)
    if number is None:
        return None
    function = rng.choice(["MAX", "MAX", "MIN"])
    columns = [*fact.label, *([number] if rng.random() < 0.4 else [])]
    where = [piece for piece in ingredients.conditions(fact, rng, (0, 0, 1), beside=[number]) if not piece.joins]
    inner = fact.select(f"{function}({number.sql})", where=where)
    gold = fact.plain(fact.select(ingredients.listed(columns), where=[*where, Piece(f"{number.sql} = ({inner})", "")]))
    return "extreme", gold, lambda: ingredients.rows_said(fact, where, rng) | {
        "columns": ingredients.columns_said(columns, rng), "number": choose(number.said, rng),
        "most": choose(ingredients.AGGREGATES[function], rng)}


def versus(fact: Fact, rng: random.Random) -> Question | None:
    """Rows, or how many, whose number is above or below the average, or that of a row that is named."""
    number = ingredients.number(fact, rng)
    if number is None:
        return None
    up, named = rng.random() < 0.65, rng.choice(fact.named) if fact.named and rng.random() < 0.35 else None
    where = ingredients.conditions(fact, rng, (0, 0, 1), beside=[number, *([named] if named else [])])
    inner = fact.select(number.sql if named else f"AVG({number.sql})", where=[named] if named else [])
    condition = Piece(f"{number.sql} {'>' if up else '<'} ({inner})", "")
    counted, columns = rng.random() < 0.25, [*fact.label, *([number] if rng.random() < 0.3 else [])]
    asked = f"COUNT(*) AS {ingredients.count_name(fact)}" if counted else ingredients.listed(columns)
    gold = fact.select(asked, where=[*where, condition])

    def words() -> dict[str, str]:
        other = f"[that of|the one of] {named.said}" if named else "[the average|the mean|the overall average]"
        return ingredients.rows_said(fact, where, rng) | {
            "columns": ingredients.columns_said(columns, rng), "number": choose(number.said, rng),
            "than": choose(MORE if up else LESS, rng), "other": choose(other, rng)}

    return "versus_count" if counted else "versus", gold, words


def distinct(fact: Fact, rng: random.Random) -> Question | None:
    """The different values of a class, or how many there are."""
    entities = [Piece(piece.shown, piece.said, piece.joins) for piece in fact.entities if ", " not in piece.shown]
    chosen = rng.choice([*fact.classes, *entities])
    if re.search(r"[(,]", chosen.sql):
        return None
    counted, where = rng.random() < 0.3, ingredients.conditions(fact, rng, (0, 1, 1, 1), beside=[chosen])
    columns = f"COUNT(DISTINCT {chosen.sql}) AS valueCount" if counted else f"DISTINCT {chosen.sql}"
    gold = fact.select(columns, [chosen], where=where)
    return "distinct_count" if counted else "distinct", gold, lambda: ingredients.rows_said(fact, where, rng) | {
        "classes": plural(choose(chosen.said, rng))}
