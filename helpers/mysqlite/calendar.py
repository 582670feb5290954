"""MySQL's dates and times on ISO text, as Python functions that SQLite calls.

>>> date_text("2004-5-1"), add_interval("2004-01-31", 1, "MONTH"), part("2004-05-01", "QUARTER")
('2004-05-01', '2004-02-29', 2)

A date is `YYYY-MM-DD`, a datetime `YYYY-MM-DD HH:MM:SS[.ffffff]`. What MySQL cannot read as a date is NULL,
as it is there (with a warning). Zero dates ('0000-00-00'), time zones and MySQL's 838-hour TIME range are not
covered.
"""

import re
from calendar import monthrange
from datetime import date, datetime, timedelta
from functools import lru_cache

_DATE = re.compile(
    r"\s*(\d{4}|\d{2})[^\w\s](\d{1,2})[^\w\s](\d{1,2})"
    r"(?:[T ]+(\d{1,2}):(\d{1,2})(?::(\d{1,2})(\.\d{1,6})?\d*)?)?"
)
_DIGITS = re.compile(r"\s*(\d{4})(\d{2})(\d{2})(?:(\d{2})(\d{2})(\d{2}))?(?!\d)")
_UNITS = {"MICROSECOND": 1e-6, "SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86400, "WEEK": 604800}
_MONTHS = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}
_COMPOUND = {
    "YEAR_MONTH": ("YEAR", "MONTH"), "DAY_HOUR": ("DAY", "HOUR"), "DAY_MINUTE": ("DAY", "HOUR", "MINUTE"),
    "DAY_SECOND": ("DAY", "HOUR", "MINUTE", "SECOND"), "HOUR_MINUTE": ("HOUR", "MINUTE"),
    "HOUR_SECOND": ("HOUR", "MINUTE", "SECOND"), "MINUTE_SECOND": ("MINUTE", "SECOND"),
    "SECOND_MICROSECOND": ("SECOND", "MICROSECOND"),
}  # fmt: skip
UNITS = frozenset([*_UNITS, *_MONTHS, *_COMPOUND])


@lru_cache(maxsize=16384)
def moment(text: str) -> datetime | None:
    """Read a date or datetime in any of the spellings MySQL takes; None where it is not one."""
    found = _DATE.match(text) or _DIGITS.match(text)
    if not found:
        return None
    year, month, day, hour, minute, second, *fraction = found.groups() + (None,)
    full_year = int(year) + (0 if len(year) == 4 else 2000 if int(year) < 70 else 1900)
    micro = round(float(fraction[0] or 0) * 1e6) if fraction else 0
    try:
        return datetime(
            full_year, int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), micro
        )
    except ValueError:
        return None


def is_moment(text: str) -> bool:
    """Tell whether a string is a date or datetime and nothing more."""
    found = _DATE.match(text) or _DIGITS.match(text)
    return found is not None and not text[found.end() :].strip() and moment(text) is not None


def date_text(text: str) -> str | None:
    """Write what MySQL reads as a date in ISO form, its time dropped."""
    found = moment(text)
    return found.date().isoformat() if found else None


def datetime_text(text: str) -> str | None:
    """Write what MySQL reads as a datetime in ISO form."""
    found = moment(text)
    return _written(found) if found else None


def time_text(text: str) -> str | None:
    """Write the time of a datetime, or a time as it is."""
    if re.match(r"\s*-?\d{1,3}:\d", text):
        parts = (text.strip().split(".")[0] + ":00:00").split(":")[:3]
        return ":".join(p.zfill(2) for p in parts)
    found = moment(text)
    return _written(found)[11:] if found else None


def temporal_number(text: str) -> int | None:
    """Write a datetime as the number YYYYMMDDhhmmss, a time as hhmmss."""
    digits = re.sub(r"\..*|\D", "", text)
    return int(digits) if digits else None


def _written(value: datetime) -> str:
    return value.isoformat(" ")


def part(text: str, unit: str) -> int | None:
    """Take a part of a date: YEAR, QUARTER, MONTH, DAY, HOUR, MINUTE, SECOND and the like."""
    if re.match(r"\s*-?\d{1,3}:\d", text) and unit in ("HOUR", "MINUTE", "SECOND"):
        return int(time_text(text).split(":")[("HOUR", "MINUTE", "SECOND").index(unit)])
    found = moment(text)
    return _PARTS[unit](found) if found else None


_PARTS = {
    "YEAR": lambda d: d.year, "QUARTER": lambda d: (d.month + 2) // 3, "MONTH": lambda d: d.month,
    "DAY": lambda d: d.day, "HOUR": lambda d: d.hour, "MINUTE": lambda d: d.minute,
    "SECOND": lambda d: d.second,
    "MICROSECOND": lambda d: d.microsecond, "DAYOFWEEK": lambda d: d.isoweekday() % 7 + 1,
    "WEEKDAY": lambda d: d.weekday(), "DAYOFYEAR": lambda d: d.timetuple().tm_yday,
    "WEEK": lambda d: calendar_week(d, 0)[1], "WEEKOFYEAR": lambda d: d.isocalendar()[1],
    "TO_DAYS": lambda d: d.toordinal() + 365, "YEAR_MONTH": lambda d: d.year * 100 + d.month,
    "DAY_HOUR": lambda d: d.day * 100 + d.hour, "HOUR_MINUTE": lambda d: d.hour * 100 + d.minute,
    "DAY_MINUTE": lambda d: d.day * 10000 + d.hour * 100 + d.minute,
    "DAY_SECOND": lambda d: d.day * 1000000 + d.hour * 10000 + d.minute * 100 + d.second,
    "HOUR_SECOND": lambda d: d.hour * 10000 + d.minute * 100 + d.second,
    "MINUTE_SECOND": lambda d: d.minute * 100 + d.second,
    "UNIX_TIMESTAMP": lambda d: int((d - datetime(1970, 1, 1)).total_seconds()),
    "TO_SECONDS": lambda d: (d.toordinal() + 365) * 86400 + d.hour * 3600 + d.minute * 60 + d.second,
}  # fmt: skip
PARTS = frozenset(_PARTS)


def calendar_week(day: datetime, mode: int) -> tuple[int, int]:
    """Return (year, week) of a day under MySQL's mode 0-7 (calc_week in its my_time.cc)."""
    monday, year_form, first_weekday = bool(mode & 1), bool(mode & 2), bool(mode & 4)
    if not monday:
        first_weekday = not first_weekday
    first = date(day.year, 1, 1)
    weekday = first.weekday() if monday else (first.weekday() + 1) % 7
    days, year = day.timetuple().tm_yday - 1, day.year
    if day.month == 1 and day.day <= 7 - weekday:
        late = (first_weekday and weekday != 0) or (not first_weekday and weekday >= 4)
        if not year_form and late:
            return year, 0
        if late:
            year -= 1
            length = (first - date(year, 1, 1)).days
            weekday, days = (weekday + 53 * 7 - length) % 7, days + length
    late = (first_weekday and weekday != 0) or (not first_weekday and weekday >= 4)
    days = days - (7 - weekday) if late else days + weekday
    if year_form and days >= 52 * 7:
        weekday = (weekday + (366 if monthrange(year, 2)[1] == 29 else 365)) % 7
        if (not first_weekday and weekday < 4) or (first_weekday and weekday == 0):
            return year + 1, 1
    return year, days // 7 + 1


def week(text: str, mode: int) -> int | None:
    """Number the week of a date under MySQL's mode 0-7."""
    found = moment(text)
    return calendar_week(found, mode & 7)[1] if found else None


def year_week(text: str, mode: int) -> int | None:
    """Number year and week as YYYYWW under MySQL's mode 0-7."""
    found = moment(text)
    if not found:
        return None
    year, number = calendar_week(found, mode & 7 | 2)
    return year * 100 + number


def day_name(text: str) -> str | None:
    """Name the day of the week in English."""
    found = moment(text)
    return found.strftime("%A") if found else None


def month_name(text: str) -> str | None:
    """Name the month in English."""
    found = moment(text)
    return found.strftime("%B") if found else None


def last_day(text: str) -> str | None:
    """Return the last day of the date's month."""
    found = moment(text)
    return found.replace(day=monthrange(found.year, found.month)[1]).date().isoformat() if found else None


def from_days(days: int) -> str | None:
    """Return the date of a day number (the inverse of TO_DAYS)."""
    return date.fromordinal(days - 365).isoformat() if days > 365 else None


def make_date(year: int, day: int) -> str | None:
    """Return the date of a year's n-th day."""
    return (date(year, 1, 1) + timedelta(days=day - 1)).isoformat() if day > 0 and 0 < year < 10000 else None


def from_unix(seconds: float) -> str | None:
    """Return the datetime of seconds since 1970, in UTC."""
    return _written(datetime(1970, 1, 1) + timedelta(seconds=seconds)) if seconds >= 0 else None


def add_interval(text: str, amount: object, unit: str) -> str | None:
    """Add an interval; a date stays one unless the unit is finer than a day; the day is cut to the month."""
    found = moment(text)
    if found is None:
        return None
    months, seconds = _interval(amount, unit)
    try:
        if months:
            index = found.year * 12 + found.month - 1 + months
            year, month = index // 12, index % 12 + 1
            found = found.replace(year=year, month=month, day=min(found.day, monthrange(year, month)[1]))
        found += timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        return None
    timeless = len(text.strip()) <= 10 and not _is_fine(unit)
    return found.date().isoformat() if timeless else _written(found)


def _is_fine(unit: str) -> bool:
    return any(word in unit for word in ("HOUR", "MINUTE", "SECOND"))


def _interval(amount: object, unit: str) -> tuple[int, float]:
    """Split an amount into months and seconds; '1-6' or '1 12:30' for compound units."""
    if unit in _COMPOUND:
        negative = (-1) ** len(re.match(r"\s*(-*)", str(amount))[1])
        numbers = [negative * int(n) for n in re.findall(r"\d+", str(amount))]
        units = _COMPOUND[unit][-len(numbers) :] if numbers else ()
        parts = [_interval(n, u) for n, u in zip(numbers, units, strict=False)]
        return sum(p[0] for p in parts), sum(p[1] for p in parts)
    number = _number(str(amount))
    if unit == "SECOND":
        return 0, number
    whole = int(number + (0.5 if number >= 0 else -0.5))
    return (whole * _MONTHS[unit], 0) if unit in _MONTHS else (0, whole * _UNITS[unit])


def _number(text: str) -> float:
    """Read an amount; two signs, as '--1' from subtracting '-1', cancel out."""
    found = re.match(r"\s*(-*)\s*(\d*\.?\d*)", text)
    return float(found[2] or 0) * (-1) ** len(found[1])


def difference(unit: str, first: str, second: str) -> int | None:
    """Count whole units from the first moment to the second (TIMESTAMPDIFF)."""
    start, end = moment(first), moment(second)
    if start is None or end is None:
        return None
    if unit in _UNITS:
        return int((end - start) / timedelta(seconds=_UNITS[unit]))
    negative = end < start
    if negative:
        start, end = end, start
    months = (end.year - start.year) * 12 + end.month - start.month
    months -= (end.day, end.time()) < (start.day, start.time())
    return (-1 if negative else 1) * (months // _MONTHS[unit])


def days_between(first: str, second: str) -> int | None:
    """Count the days from the second date to the first (DATEDIFF)."""
    end, start = moment(first), moment(second)
    return (end.date() - start.date()).days if start and end else None
