"""MySQL's date functions and intervals as SQLite SQL.

>>> DATES["year"](Value('t1."orderDate"', DATE)).sql
'CAST(SUBSTR(t1."orderDate", 1, 4) AS INTEGER)'

On a column of type DATE the parts are cut out of the ISO text by SQLite itself; strings and odd formats go
through `calendar`. NOW() and its kin are what the connection was opened with.
"""

from sqlglot import exp

from helpers.mysqlite import types
from helpers.mysqlite.calendar import UNITS, date_text
from helpers.mysqlite.literals import typed_literal
from helpers.mysqlite.names import Scope
from helpers.mysqlite.numbers import wrong_count
from helpers.mysqlite.operators import negate
from helpers.mysqlite.parse import syntax_error
from helpers.mysqlite.types import ASCII, DATE, DATETIME, DOUBLE, INT, TIME, Type, Value

_SLICES = {"YEAR": (1, 4), "MONTH": (6, 2), "DAY": (9, 2)}
_NOW = Value("now_text()", DATETIME)
_TODAY = Value("SUBSTR(now_text(), 1, 10)", DATE)
_CLOCK = Value("SUBSTR(now_text(), 12)", TIME)
NOW = {
    "now": _NOW, "sysdate": _NOW, "current_timestamp": _NOW, "localtime": _NOW, "localtimestamp": _NOW,
    "utc_timestamp": _NOW, "curdate": _TODAY, "current_date": _TODAY, "utc_date": _TODAY, "curtime": _CLOCK,
    "current_time": _CLOCK, "utc_time": _CLOCK,
}  # fmt: skip
_PART_NAMES = {
    "year": "YEAR", "quarter": "QUARTER", "month": "MONTH", "day": "DAY", "dayofmonth": "DAY", "hour": "HOUR",
    "minute": "MINUTE", "second": "SECOND", "microsecond": "MICROSECOND", "dayofweek": "DAYOFWEEK",
    "weekday": "WEEKDAY", "dayofyear": "DAYOFYEAR", "weekofyear": "WEEKOFYEAR", "to_days": "TO_DAYS",
    "to_seconds": "TO_SECONDS",
}  # fmt: skip
_UNIT_ALIASES = {f"SQL_TSI_{unit}": unit for unit in UNITS}


def moment(value: Value) -> str:
    """Write a value as the text of a date or datetime."""
    return types.text(value).sql


def part(value: Value, unit: str) -> Value:
    """Write a part of a date."""
    if value.kind in ("date", "datetime") and unit in _SLICES:
        start, length = _SLICES[unit]
        return Value(f"CAST(SUBSTR({value.sql}, {start}, {length}) AS INTEGER)", INT)
    if value.kind in ("date", "datetime") and unit == "QUARTER":
        return Value(f"((CAST(SUBSTR({value.sql}, 6, 2) AS INTEGER) + 2) / 3)", INT)
    return Value(f"date_part({moment(value)}, '{unit}')", INT)


def _unary(name: str, kind: Type):
    return lambda value: Value(f"{name}({moment(value)})", kind)


DATES = {name: (lambda value, unit=unit: part(value, unit)) for name, unit in _PART_NAMES.items()} | {
    "dayname": _unary("day_name", ASCII), "monthname": _unary("month_name", ASCII),
    "last_day": _unary("month_end", DATE),
    "date": lambda value: value if value.kind == "date" else Value(f"to_date({moment(value)})", DATE),
    "time": _unary("to_time", TIME), "timestamp": lambda value: cast_temporal(value, "DATETIME"),
    "from_days": lambda value: Value(f"from_days({types.scaled(value, 0)})", DATE),
}  # fmt: skip


def cast_temporal(value: Value, kind: str, is_literal: bool = False) -> Value:
    """Write CAST AS DATE, DATETIME or TIME, or the literal DATE '…', which raises 1525 if it is none."""
    if is_literal and kind != "TIME":
        return typed_literal(kind, value.literal)
    if kind == "TIME":
        return value if value.kind == "time" else Value(f"to_time({moment(value)})", TIME)
    if kind == "DATE":
        return value if value.kind == "date" else Value(f"to_date({moment(value)})", DATE)
    return value if value.kind == "datetime" else Value(f"to_datetime({moment(value)})", DATETIME)


def unit_of(node: exp.Expression) -> str:
    """Read a unit such as MONTH or SQL_TSI_DAY; anything else is a syntax error."""
    name = node.name.upper()
    name = _UNIT_ALIASES.get(name, name)
    if name not in UNITS:
        raise syntax_error(node.name)
    return name


def interval(base: exp.Expression, node: exp.Interval, sign: str, scope: Scope) -> Value:
    """Write `base ± INTERVAL n unit`."""
    if node.args.get("unit") is None:
        raise syntax_error(node)
    return _shifted(scope.value(base), scope.value(node.this), unit_of(node.args["unit"]), sign)


def _shifted(value: Value, amount: Value, unit: str, sign: str) -> Value:
    """Write a date plus or minus an amount of a unit; '1-6' YEAR_MONTH and the like stay text."""
    if "_" not in unit and amount.kind != "text":
        amount = Value(types.real(amount), DOUBLE, amount.literal) if amount.kind == "decimal" else amount
        shift = (amount if sign == "+" else negate(types.numeric(amount))).sql
    else:
        shift = types.text(amount).sql if sign == "+" else f"('-' || {types.text(amount).sql})"
    fine = any(word in unit for word in ("HOUR", "MINUTE", "SECOND"))
    kind = {"datetime": DATETIME, "date": DATETIME if fine else DATE}.get(value.kind, ASCII)
    if isinstance(value.literal, str) and value.kind == "text" and date_text(value.literal):
        kind = DATETIME if fine or len(value.literal) > 10 else DATE
    return Value(f"add_interval({moment(value)}, {shift}, '{unit}')", kind)


def _add_date(name: str, arguments: list[exp.Expression], scope: Scope) -> Value:
    sign = "+" if name in ("date_add", "adddate") else "-"
    base, step = _exactly(name, arguments, 2)
    if isinstance(step, exp.Interval):
        return interval(base, step, sign, scope)
    if name in ("date_add", "date_sub"):
        raise syntax_error(step)
    return _shifted(scope.value(base), scope.value(step), "DAY", sign)


def _difference(name: str, arguments: list[exp.Expression], scope: Scope) -> Value:
    if name == "datediff":
        first, second = (scope.value(a) for a in _exactly(name, arguments, 2))
        if first.kind == second.kind == "date":
            return Value(f"CAST(JULIANDAY({first.sql}) - JULIANDAY({second.sql}) AS INTEGER)", INT)
        return Value(f"days_between({moment(first)}, {moment(second)})", INT)
    unit, first, second = _exactly(name, arguments, 3)
    if name == "timestampadd":
        return _shifted(scope.value(second), scope.value(first), unit_of(unit), "+")
    return Value(
        f"time_between('{unit_of(unit)}', {moment(scope.value(first))}, {moment(scope.value(second))})", INT
    )


def _formatted(name: str, arguments: list[exp.Expression], scope: Scope) -> Value:
    subject, pattern = (scope.value(a) for a in _exactly(name, arguments, 2))
    if name == "date_format":
        return Value(f"date_format({moment(subject)}, {types.text(pattern).sql})", ASCII)
    kind = DATE
    if isinstance(pattern.literal, str):
        timed = any(f"%{c}" in pattern.literal for c in "HhIikLlrSsTfp")
        dated = any(f"%{c}" in pattern.literal for c in "YymcdeMbD")
        kind = (DATETIME if dated else TIME) if timed else DATE
    return Value(f"parse_date({types.text(subject).sql}, {types.text(pattern).sql})", kind)


def _week(name: str, arguments: list[exp.Expression], scope: Scope) -> Value:
    if not 1 <= len(arguments) <= 2:
        raise wrong_count(name)
    values = [scope.value(a) for a in arguments]
    mode = types.scaled(values[1], 0) if len(values) > 1 else "0"
    return Value(f"{'week_number' if name == 'week' else 'year_week'}({moment(values[0])}, {mode})", INT)


def _other(name: str, arguments: list[exp.Expression], scope: Scope) -> Value:
    values = [scope.value(a) for a in arguments]
    if name == "makedate":
        year, day = (types.scaled(v, 0) for v in _exactly(name, values, 2))
        return Value(f"make_date({year}, {day})", DATE)
    if name == "unix_timestamp":
        return part(values[0] if values else _NOW, "UNIX_TIMESTAMP")
    made = Value(f"from_unix({types.real(values[0])})", DATETIME)
    return made if len(values) == 1 else Value(f"date_format({made.sql}, {values[1].sql})", ASCII)


FUNCTIONS = {
    **dict.fromkeys(("date_add", "date_sub", "adddate", "subdate"), _add_date),
    **dict.fromkeys(("datediff", "timestampdiff", "timestampadd"), _difference),
    **dict.fromkeys(("date_format", "str_to_date"), _formatted),
    **dict.fromkeys(("week", "yearweek"), _week),
    **dict.fromkeys(("makedate", "unix_timestamp", "from_unixtime"), _other),
}


def _exactly(name: str, arguments: list, count: int) -> list:
    if len(arguments) != count:
        raise wrong_count(name)
    return arguments


def call(node: exp.Anonymous, scope: Scope) -> Value | None:
    """Write a date function, or return None where the name is not one."""
    name = node.name.lower()
    if name in NOW:
        return NOW[name]
    if name in DATES:
        return DATES[name](scope.value(_exactly(node.name, node.expressions, 1)[0]))
    return FUNCTIONS[name](name, node.expressions, scope) if name in FUNCTIONS else None


def _extract(node: exp.Extract, scope: Scope) -> Value:
    unit = node.this.name.upper()
    value = scope.value(node.expression)
    return (
        Value(f"week_number({moment(value)}, 0)", INT) if unit == "WEEK" else part(value, unit_of(node.this))
    )


def _now(name: str):
    return lambda node, scope: NOW[name]


HANDLERS = {
    exp.Extract: _extract, exp.CurrentDate: _now("curdate"), exp.CurrentTime: _now("curtime"),
    exp.CurrentTimestamp: _now("now"), exp.Localtime: _now("now"), exp.Localtimestamp: _now("now"),
    "interval": interval,
}  # fmt: skip
