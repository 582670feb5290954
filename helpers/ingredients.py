"""What composed questions are made of: conditions, measures, and the words for rows and columns.

>>> conditions(orders, rng, (1, 2))
[Piece(sql='o.status = {status}', said='[with the status {status}|…]', joins=(), …)]
>>> measure(orders, rng).piece.sql
'AVG(DATEDIFF(o.shippedDate, o.orderDate))'

Everything is drawn by the generator it is given. It knows the lexicon's pieces; shapes of questions are made of these
in `row_shapes`, `value_shapes` and `kin_shapes`.
"""

import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from helpers.lexicon import Fact, Piece
from helpers.phrasing import choose, enumerate_words

AGGREGATES = {"AVG": "[average|mean]", "MIN": "[lowest|smallest|minimum]", "MAX": "[highest|largest|maximum]",
              "SUM": "[total|combined]"}
UNSUMMED = re.compile(r"Price|MSRP|DATEDIFF")  # numbers whose sum over rows nobody asks for
THRESHOLDS = {  # slots of plausible values for what no condition of the lexicon compares
    "SUM(od.quantityOrdered)": "order_units", "SUM(od.quantityOrdered * od.priceEach)": "order_value",
    "DATEDIFF(o.shippedDate, o.orderDate)": "ship_days", "DATEDIFF(o.requiredDate, o.orderDate)": "promise_days",
}

Question = tuple[str, str, Callable[[], Mapping[str, str]]]  # the shape whose phrasings ask it, SQL, words drawn anew


@dataclass(frozen=True)
class Measure:
    """What is computed over a fact's rows: SQL, a name for it, and its words."""

    piece: Piece
    name: str
    number: Piece | None = None

    def said(self, fact: Fact, rng: random.Random) -> str:
        """Say it with the rows it is computed over: "average credit limit of customers", "number of orders"."""
        if self.piece.sql == "COUNT(*)":
            return f"number of {choose(fact.many, rng)}"
        return choose(self.piece.said, rng) + (f" of {choose(fact.many, rng)}" if self.number else "")


def conditions(fact: Fact, rng: random.Random, counts: Sequence[int], *, beside: Iterable[Piece] = ()) -> list[Piece]:
    """Draw conditions that share no slot and no column with each other or `beside`; far tables are drawn less often."""
    beside, wanted, chosen = list(beside), rng.choice(counts), []
    for piece in sorted(fact.where, key=lambda piece: rng.random() * (1 + 0.6 * len(piece.joins))):
        others = [*beside, *chosen]
        apart = all(not piece.slots & other.slots and piece.column not in other.sql for other in others)
        if apart and len(chosen) < wanted:
            chosen.append(piece)
    return chosen


def said(pieces: Iterable[Piece], rng: random.Random) -> str:
    """Say conditions one after the other."""
    return " ".join(choose(piece.said, rng) for piece in pieces)


def columns_said(pieces: Iterable[Piece], rng: random.Random) -> str:
    """Say pieces as a list of columns."""
    return enumerate_words([choose(piece.said, rng) for piece in pieces], rng)


def listed(pieces: Iterable[Piece]) -> str:
    """Write pieces as a list of columns; what is computed gets a name."""
    columns = (column for piece in pieces for column in piece.columns)
    return ", ".join(f"{sql} AS {name}" if name else sql for sql, name in columns)


def rows_said(fact: Fact, where: Sequence[Piece], rng: random.Random) -> dict[str, str]:
    """Return the words for a fact's rows under conditions."""
    return {"many": choose(fact.many, rng), "one": choose(fact.one, rng), "where": said(where, rng), "tie": fact.tie}


def count_name(fact: Fact) -> str:
    """Name the number of a fact's rows, as golds do."""
    return f"{fact.name.removesuffix('s')}Count"


def counted(fact: Fact) -> Measure:
    """Measure the number of rows."""
    return Measure(Piece("COUNT(*)", ""), count_name(fact))


def measure(fact: Fact, rng: random.Random) -> Measure:
    """Draw a total, an aggregate of a number, or the number of rows."""
    if fact.totals and rng.random() < 0.75:
        return Measure(rng.choice(fact.totals), "total")
    if not fact.numbers or rng.random() < 0.4:
        return counted(fact)
    number, function = rng.choice(fact.numbers), rng.choice(["AVG", "AVG", "MIN", "MAX", "SUM"])
    if function == "SUM" and UNSUMMED.search(number.sql) and "*" not in number.sql:
        function = "AVG"
    computed, words = f"{function}({number.sql})", f"{AGGREGATES[function]} {number.said}"
    if function == "AVG" and rng.random() < 0.15:
        computed, words = f"ROUND({computed}, 2)", f"{words} [rounded to two decimals|(two decimals)]"
    return Measure(Piece(computed, words, number.joins), "result", number)


def threshold(fact: Fact, measure: Measure) -> str | None:
    """Return a slot whose values are of the measure's size."""
    if measure.number is None:
        return THRESHOLDS.get(measure.piece.sql, "few")
    compared = re.compile(re.escape(measure.number.sql) + r" [<>] \{(\w+)\}$")
    found = (match for piece in fact.where if (match := compared.match(piece.sql)))
    return next((match.group(1) for match in found), THRESHOLDS.get(measure.number.sql))


def number(fact: Fact, rng: random.Random) -> Piece | None:
    """Draw one of the fact's numbers, or None where it has none."""
    return rng.choice(fact.numbers) if fact.numbers else None


def named(measure: Measure) -> str:
    """Write a measure with its name."""
    return f"{measure.piece.sql} AS {measure.name}"
