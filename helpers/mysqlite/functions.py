"""The Python functions that SQLite calls for MySQL's: their registration, and those on doubles.

>>> register(connection, now="2005-06-01 12:00:00", pad_space=False, report=failures.append)
frozenset({'sort_key', 'now_text', ...})

Strings are in `strings`, dates in `calendar`, decimals in `decimal`.
"""

import math
import random
import sqlite3
from collections.abc import Callable
from datetime import datetime

from helpers.mysqlite import calendar, collation, decimal, patterns, strings
from helpers.mysqlite.date_formats import date_format, parse_date
from helpers.mysqlite.error import MySqlError, failure


def round_double(value: float, places: int) -> float:
    """Round a double, ties to even, as C's rint does for MySQL."""
    factor = 10.0 ** abs(places)
    return round(value * factor) / factor if places >= 0 else round(value / factor) * factor


def truncate_double(value: float, places: int) -> float:
    """Cut a double's decimals."""
    factor = 10.0 ** abs(places)
    return math.trunc(value * factor) / factor if places >= 0 else math.trunc(value / factor) * factor


def double_mod(left: float, right: float) -> float | None:
    """Take the remainder with the sign of the dividend."""
    return math.fmod(left, right) if right else None


def _domain(function: Callable[..., float]) -> Callable[..., float | None]:
    def guarded(*values: float) -> float | None:
        try:
            return function(*values)
        except (ValueError, ZeroDivisionError):
            return None
        except OverflowError:
            raise failure(1690, "DOUBLE", function.__name__) from None

    return guarded


def _power(base: float, exponent: float) -> float:
    return math.pow(base, exponent)


def _log(base: float, value: float) -> float:
    return math.log(value) / math.log(base)


_CALENDAR = {
    "to_date": calendar.date_text, "to_datetime": calendar.datetime_text, "to_time": calendar.time_text,
    "temporal_number": calendar.temporal_number, "date_part": calendar.part, "week_number": calendar.week,
    "year_week": calendar.year_week, "day_name": calendar.day_name, "month_name": calendar.month_name,
    "month_end": calendar.last_day, "from_days": calendar.from_days, "make_date": calendar.make_date,
    "from_unix": calendar.from_unix, "add_interval": calendar.add_interval,
    "time_between": calendar.difference,
    "days_between": calendar.days_between, "date_format": date_format, "parse_date": parse_date,
}  # fmt: skip
_MATHS = {
    "power": _domain(_power), "sqrt": _domain(math.sqrt), "exp": _domain(math.exp), "ln": _domain(math.log),
    "log_of": _domain(_log), "log2": _domain(math.log2), "log10": _domain(math.log10), "sin": math.sin,
    "cos": math.cos, "tan": math.tan, "asin": _domain(math.asin), "acos": _domain(math.acos),
    "atan": math.atan,
    "atan2": math.atan2, "cot": _domain(lambda x: 1 / math.tan(x)), "degrees": math.degrees,
    "radians": math.radians, "double_mod": double_mod, "round_double": round_double,
    "truncate_double": truncate_double, "double_floor": lambda x: float(math.floor(x)),
    "double_ceiling": lambda x: float(math.ceil(x)),
}  # fmt: skip


def register(
    connection: sqlite3.Connection, *, now: str, pad_space: bool, report: Callable
) -> frozenset[str]:
    """Give a connection the functions and the collation; `report` hears the MySqlError a function raises.

    Returns the names, for the authorizer. `now` is what NOW() returns; RAND() starts from the same seed
    each time.
    """
    moment, dice = datetime.fromisoformat(now), random.Random(0)
    functions = {
        name: _strict(function, report)
        for name, function in (
            _CALENDAR | _MATHS | strings.FUNCTIONS | patterns.FUNCTIONS | decimal.FUNCTIONS
        ).items()
    } | {name: _reported(function, report) for name, function in strings.NULLABLE.items()}
    functions["sort_key"] = _strict(collation.padded_key if pad_space else collation.key, report)
    functions["now_text"] = lambda: moment.isoformat(" ", "seconds")
    functions["random_double"] = dice.random
    for name, function in functions.items():
        connection.create_function(name, -1, function, deterministic=name != "random_double")
    connection.create_collation("mysql_ci", collation.padded_compare if pad_space else collation.compare)
    return frozenset(functions)


def _strict(function: Callable, report: Callable) -> Callable:
    """Return NULL where an argument is NULL."""
    guarded = _reported(function, report)
    return lambda *values: None if None in values else guarded(*values)


def _reported(function: Callable, report: Callable) -> Callable:
    """Pass a MySqlError to `report`: SQLite itself tells only that a function failed."""

    def call(*values: object) -> object:
        try:
            return function(*values)
        except MySqlError as error:
            report(error)
            raise

    return call
