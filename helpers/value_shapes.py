"""Shapes of composed questions that ask for computed values: one, one a class, shares, ranks, values over time.

>>> shape, gold, words = group(orders, rng)
>>> gold
'SELECT status, COUNT(*) AS orderCount FROM orders GROUP BY status'

See `row_shapes` for what a shape is.
"""

import random
import re

from helpers import ingredients
from helpers.ingredients import Question
from helpers.lexicon import Fact, Piece
from helpers.phrasing import choose, plural

CLASSES = (("high", "low"), ("yes", "no"), ("A", "B"), ("large", "small"), ("early", "late"), ("first", "second"))


def aggregate(fact: Fact, rng: random.Random) -> Question:
    """One value over all rows, or those under conditions."""
    measure = ingredients.counted(fact) if rng.random() < 0.45 else ingredients.measure(fact, rng)
    counted = measure.piece.sql == "COUNT(*)"
    where = ingredients.conditions(fact, rng, (1, 1, 1, 2, 2) if counted else (0, 1, 1, 1, 2))
    gold = fact.select(f"{measure.piece.sql} AS {measure.name}", [measure.piece], where=where)
    shape = "count" if counted else "aggregate" if where else "overall"
    return shape, gold, lambda: ingredients.rows_said(fact, where, rng) | {"value": measure.said(fact, rng)}


def share(fact: Fact, rng: random.Random) -> Question:
    """The percentage of rows that meet a condition, of all rows or by class."""
    that = rng.choice(fact.where)
    by = rng.choice(fact.classes) if rng.random() < 0.3 else None
    where = ingredients.conditions(fact, rng, (0, 0, 1), beside=[that])
    expression = f"100 * SUM(CASE WHEN {that.sql} THEN 1 ELSE 0 END) / COUNT(*) AS percentage"
    columns, tail = (f"{ingredients.listed([by])}, {expression}", f"GROUP BY {by.sql}") if by else (expression, "")
    gold = fact.select(columns, [that, by] if by else [that], where=where, tail=tail)

    def words() -> dict[str, str]:
        rows = ingredients.rows_said(fact, where, rng)
        return rows | {"those": rng.choice([rows["many"], "those"]), "that": choose(that.said, rng),
                       "class": choose(by.said, rng) if by else ""}

    return "share_by" if by else "share", gold, words


def split(fact: Fact, rng: random.Random) -> Question:
    """Rows called one thing or another by a condition, or a value for each."""
    that, (yes, no), measure = rng.choice(fact.where), rng.choice(CLASSES), ingredients.measure(fact, rng)
    where = ingredients.conditions(fact, rng, (0, 0, 1), beside=[that])
    case = f"CASE WHEN {that.sql} THEN '{yes}' ELSE '{no}' END"
    if rng.random() < 0.35:
        shape, columns, tail = "label", f"{ingredients.listed(fact.label)}, {case} AS class", ""
    else:
        shape, columns, tail = "split", f"{case} AS class, {ingredients.named(measure)}", f"GROUP BY {case}"
    gold = fact.select(columns, [that, measure.piece] if tail else [that], where=where, tail=tail)
    return shape, gold, lambda: ingredients.rows_said(fact, where, rng) | {
        "columns": ingredients.columns_said(fact.label, rng), "value": measure.said(fact, rng),
        "that": choose(that.said, rng), "yes": yes, "no": no}


def group(fact: Fact, rng: random.Random) -> Question | None:
    """A value for each class or entity: all of them, those beyond a limit, or the first few."""
    by = rng.choice(fact.entities if fact.entities and rng.random() < 0.5 else fact.classes)
    measure = ingredients.measure(fact, rng)
    where = ingredients.conditions(fact, rng, (0, 0, 1, 1), beside=[by])
    shown = by.shown or ingredients.listed([by])
    roll = rng.random()
    if roll < 0.25:
        return _having(fact, by, measure, where, rng)
    needs, tail, down = [by, measure.piece], f"GROUP BY {by.sql}", rng.random() < 0.75
    if roll < 0.4:
        tail += f" ORDER BY {measure.name}{' DESC' * down}, {by.sql} LIMIT {{top}}"
    gold = fact.select(f"{shown}, {ingredients.named(measure)}", needs, where=where, tail=tail)
    counts = measure.piece.sql == "COUNT(*)"
    shape = "leading" if roll < 0.4 else "group_count" if counts and rng.random() < 0.7 else "group"

    def words() -> dict[str, str]:
        word, value = choose(by.said, rng), measure.said(fact, rng)
        return ingredients.rows_said(fact, where, rng) | {
            "class": word, "classes": plural(word), "value": value,
            "column": choose(by.shown_said, rng) if by.shown else word,
            "result": rng.choice(["number", "count"]) if counts else value,
            "most": choose("[highest|largest]" if down else "[lowest|smallest]", rng),
            "tie": f"the number of the {word}" if by.shown else word}

    return shape, gold, words


def _having(fact: Fact, by: Piece, measure, where: list[Piece], rng: random.Random) -> Question | None:
    """The classes whose value is beyond a limit."""
    slot = ingredients.threshold(fact, measure)
    if slot is None or any(slot in piece.slots for piece in where):
        return None
    operator, than = rng.choice([(">", "[more than|over|above]"), (">", "more than"), (">=", "[at least|no less than]"),
                                 ("<", "[less than|below]")])
    shown, valued = by.shown or ingredients.listed([by]), rng.random() < 0.5
    gold = fact.select(f"{shown}, {ingredients.named(measure)}" if valued else shown, [by, measure.piece], where=where,
                       tail=f"GROUP BY {by.sql} HAVING {measure.piece.sql} {operator} {{{slot}}}")
    counts = measure.piece.sql == "COUNT(*)"

    def words() -> dict[str, str]:
        word, value = choose(by.said, rng), measure.said(fact, rng)
        column = choose(by.shown_said, rng) if by.shown else word
        outputs = f"{column} and {'number' if counts else value}" if valued else column
        return ingredients.rows_said(fact, where, rng) | {
            "class": word, "classes": plural(word), "value": value, "than": choose(than, rng), "limit": f"{{{slot}}}",
            "show": f" {outputs[:1].upper()}{outputs[1:]}." if valued or by.shown else "",
            "terse": f": {outputs}" if valued or by.shown else ""}

    return "having_count" if counts else "having", gold, words


def window(fact: Fact, rng: random.Random) -> Question | None:
    """Rows ranked by a number, or the first few of each class."""
    number = ingredients.number(fact, rng)
    shown = {piece.sql for piece in fact.label}
    plain = [piece for piece in fact.classes if not re.search(r"[(,]", piece.sql) and piece.sql not in shown]
    if number is None or not plain:
        return None
    by = rng.choice(plain) if rng.random() < 0.7 else None
    where = ingredients.conditions(fact, rng, (0, 1, 1), beside=[number, *([by] if by else [])])
    columns, needs = [*([by] if by else []), *fact.label], [number, *([by] if by else [])]
    over = f"OVER ({f'PARTITION BY {by.sql} ' if by else ''}ORDER BY {number.sql} DESC"
    best, function = by is not None and rng.random() < 0.4, rng.choice(["RANK", "RANK", "DENSE_RANK"])
    if best:
        inner = fact.select(f"{ingredients.listed(columns)}, ROW_NUMBER() {over}, {fact.key}) AS place", needs,
                            where=where)
        names = re.sub(r"\b\w+\.", "", ingredients.listed(columns))
        gold = f"WITH ranked AS ({inner}) SELECT {names} FROM ranked WHERE place <= {{few}}"
    else:
        gold = fact.select(f"{ingredients.listed([*columns, number])}, {function}() {over}) AS place", needs,
                           where=where)
    shape = "best" if best else "rank_within" if by else "rank"
    return shape, gold, lambda: ingredients.rows_said(fact, where, rng) | {
        "columns": ingredients.columns_said(fact.label, rng), "number": choose(number.said, rng),
        "class": choose(by.said, rng) if by else "", "gaps": " without gaps" if function == "DENSE_RANK" else ""}


def period(fact: Fact, rng: random.Random) -> Question | None:
    """A value by month, quarter or year with its running total, or with its change."""
    times = [piece for piece in fact.classes if re.search(r"YEAR|MONTH|QUARTER", piece.sql)]
    if not times:
        return None
    by, measure, running = rng.choice(times), ingredients.measure(fact, rng), rng.random() < 0.5
    where = [piece for piece in ingredients.conditions(fact, rng, (0, 0, 1)) if "Date" not in piece.sql]
    inner = fact.select(f"{ingredients.listed([by])}, {ingredients.named(measure)}", [by, measure.piece], where=where,
                        tail=f"GROUP BY {by.sql}")
    order, name = ", ".join(name for _, name in by.columns), measure.name
    more = (f"SUM({name}) OVER (ORDER BY {order}) AS runningTotal" if running
            else f"{name} - LAG({name}) OVER (ORDER BY {order}) AS valueChange")
    gold = f"WITH periods AS ({inner}) SELECT {order}, {name}, {more} FROM periods"
    return "running" if running else "change", gold, lambda: ingredients.rows_said(fact, where, rng) | {
        "class": choose(by.said, rng), "value": measure.said(fact, rng)}
