"""The aggregates that SQLite lacks, as Python classes: spread, GROUP_CONCAT, COUNT(DISTINCT a, b), bits.

>>> register(connection, failures.append)
>>> connection.execute("SELECT group_concat_sorted(';', 0, 'd', city, NULL, city) FROM offices")

GROUP_CONCAT is cut at group_concat_max_len's default of 1024 bytes.
"""

import math
import sqlite3
from collections.abc import Callable

from helpers.mysqlite import decimal
from helpers.mysqlite.error import failure

GROUP_CONCAT_MAX_LEN = 1024


class Moments:
    """Mean and variance in one pass (Welford), which MySQL uses too; also over a moving window."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def step(self, value: float | None) -> None:
        if value is not None:
            self.values.append(value)

    def inverse(self, value: float | None) -> None:
        if value is not None:
            self.values.remove(value)

    def squares(self) -> float:
        mean = total = 0.0
        for count, value in enumerate(self.values, 1):
            delta = value - mean
            mean += delta / count
            total += delta * (value - mean)
        return total

    def spread(self, root: bool, sample: bool) -> float | None:
        freedom = len(self.values) - sample
        if freedom <= 0:
            return None
        variance = self.squares() / freedom
        return math.sqrt(variance) if root else variance


def _spread(root: bool, sample: bool) -> type:
    def result(self: Moments) -> float | None:
        return self.spread(root, sample)

    return type("Spread", (Moments,), {"value": result, "finalize": result})


class GroupConcat:
    """GROUP_CONCAT: gather, order, drop repeats, join."""

    def __init__(self) -> None:
        self.rows: list[tuple] = []
        self.options: tuple = (",", 0, "")

    def step(
        self, separator: str, distinct: int, directions: str, value: str | None, key: str, *order: object
    ) -> None:
        self.options = (separator, distinct, directions)
        if value is not None:
            self.rows.append((order, key, value))

    def finalize(self) -> str | None:
        separator, distinct, directions = self.options
        for position in reversed(range(len(directions))):
            self.rows.sort(key=lambda row: _null_first(row[0][position]), reverse=directions[position] == "d")
        if distinct:
            if not directions:
                self.rows.sort(key=lambda row: row[1])
            self.rows = list({row[1]: row for row in reversed(self.rows)}.values())[::-1]
        joined = separator.join(row[2] for row in self.rows) if self.rows else None
        return joined and joined.encode()[:GROUP_CONCAT_MAX_LEN].decode("utf-8", "ignore")


def _null_first(value: object) -> tuple:
    return (value is not None, value if value is not None else 0)


class CountDistinct:
    """COUNT(DISTINCT a, b): rows that differ and hold no NULL."""

    def __init__(self) -> None:
        self.seen: set[tuple] = set()

    def step(self, *values: object) -> None:
        if None not in values:
            self.seen.add(values)

    def finalize(self) -> int:
        return len(self.seen)


def _bits(name: str) -> type:
    start = -1 if name == "bit_and" else 0
    fold = {"bit_and": int.__and__, "bit_or": int.__or__, "bit_xor": int.__xor__}[name]

    def __init__(self) -> None:
        self.bits = start

    def step(self, value: int | None) -> None:
        self.bits = self.bits if value is None else fold(self.bits, value)

    return type(name, (), {"__init__": __init__, "step": step, "finalize": lambda self: self.bits})


def register(connection: sqlite3.Connection, report: Callable) -> frozenset[str]:
    """Give a connection the aggregates; returns their names."""

    class SingleRow:
        """The value of a scalar subquery: error 1242 when there is a second row."""

        def __init__(self) -> None:
            self.rows: list = []

        def step(self, value: object) -> None:
            self.rows.append(value)
            if len(self.rows) > 1:
                error = failure(1242)
                report(error)
                raise error

        def finalize(self) -> object:
            return self.rows[0] if self.rows else None

    spreads = {
        "stddev_pop": _spread(True, False), "stddev_samp": _spread(True, True),
        "var_pop": _spread(False, False), "var_samp": _spread(False, True),
    }  # fmt: skip
    for name, class_ in spreads.items():
        connection.create_window_function(name, 1, class_)
    connection.create_window_function("decimal_sum", 1, decimal.Total)
    plain = {"group_concat_sorted": GroupConcat, "count_distinct": CountDistinct, "single_row": SingleRow}
    plain |= {name: _bits(name) for name in ("bit_and", "bit_or", "bit_xor")}
    for name, class_ in plain.items():
        connection.create_aggregate(name, -1, class_)
    return frozenset([*spreads, *plain, "decimal_sum"])
