"""MySQL's % specifiers: DATE_FORMAT and STR_TO_DATE, as Python functions that SQLite calls.

>>> date_format("2004-05-01", "%W %D %M %Y"), parse_date("May 1, 2004", "%M %d,%Y")
('Saturday 1st May 2004', '2004-05-01')

Names of months and days are English. STR_TO_DATE does not read the specifiers of weeks and days of the year.
"""

import re
from functools import lru_cache

from helpers.mysqlite.calendar import calendar_week, date_text, moment


def _ordinal(day: int) -> str:
    suffix = "th" if 11 <= day <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{suffix}"


_FORMATS = {
    "a": lambda d: d.strftime("%a"), "b": lambda d: d.strftime("%b"), "c": lambda d: str(d.month),
    "D": lambda d: _ordinal(d.day), "d": lambda d: f"{d.day:02}", "e": lambda d: str(d.day),
    "f": lambda d: f"{d.microsecond:06}", "H": lambda d: f"{d.hour:02}",
    "h": lambda d: f"{d.hour % 12 or 12:02}",
    "I": lambda d: f"{d.hour % 12 or 12:02}", "i": lambda d: f"{d.minute:02}",
    "j": lambda d: f"{d.timetuple().tm_yday:03}",
    "k": lambda d: str(d.hour), "l": lambda d: str(d.hour % 12 or 12), "M": lambda d: d.strftime("%B"),
    "m": lambda d: f"{d.month:02}", "p": lambda d: "AM" if d.hour < 12 else "PM",
    "r": lambda d: f"{d.hour % 12 or 12:02}:{d.minute:02}:{d.second:02} {'AM' if d.hour < 12 else 'PM'}",
    "S": lambda d: f"{d.second:02}", "s": lambda d: f"{d.second:02}", "T": lambda d: d.strftime("%H:%M:%S"),
    "U": lambda d: f"{calendar_week(d, 0)[1]:02}", "u": lambda d: f"{calendar_week(d, 1)[1]:02}",
    "V": lambda d: f"{calendar_week(d, 2)[1]:02}",
    "v": lambda d: f"{calendar_week(d, 3)[1]:02}", "W": lambda d: d.strftime("%A"),
    "w": lambda d: str(d.isoweekday() % 7),
    "X": lambda d: f"{calendar_week(d, 2)[0]:04}", "x": lambda d: f"{calendar_week(d, 3)[0]:04}",
    "Y": lambda d: f"{d.year:04}",
    "y": lambda d: f"{d.year % 100:02}",
}  # fmt: skip


@lru_cache(maxsize=16384)
def date_format(text: str, pattern: str) -> str | None:
    """Format a date by MySQL's % specifiers; any other character after % stands for itself."""
    found = moment(text)
    if found is None:
        return None
    return re.sub(r"%(.)", lambda m: _FORMATS[m[1]](found) if m[1] in _FORMATS else m[1], pattern, flags=re.S)


_READERS = {
    "Y": ("year", r"\d{4}"), "y": ("short_year", r"\d{2}"), "m": ("month", r"\d{1,2}"), "c": ("month",
    r"\d{1,2}"),
    "d": ("day", r"\d{1,2}"), "e": ("day", r"\d{1,2}"), "H": ("hour", r"\d{1,2}"), "k": ("hour", r"\d{1,2}"),
    "h": ("hour", r"\d{1,2}"), "I": ("hour", r"\d{1,2}"), "l": ("hour", r"\d{1,2}"), "i": ("minute",
    r"\d{1,2}"),
    "s": ("second", r"\d{1,2}"), "S": ("second", r"\d{1,2}"), "M": ("name", r"[A-Za-z]+"), "b": ("name",
    r"[A-Za-z]{3}"),
    "W": ("weekday", r"[A-Za-z]+"), "a": ("weekday", r"[A-Za-z]{3}"), "p": ("half", r"[AaPp][Mm]"),
}  # fmt: skip
_MONTH_NAMES = "jan feb mar apr may jun jul aug sep oct nov dec".split()


@lru_cache(maxsize=4096)
def parse_date(text: str, pattern: str) -> str | None:
    """Read a date by MySQL's % specifiers (STR_TO_DATE), a datetime where the pattern has a time."""
    pattern = pattern.replace("%T", "%H:%i:%s").replace("%r", "%h:%i:%s %p")
    pieces = re.split(r"(%.)", pattern)
    names, regex = [], ""
    for piece in pieces:
        if piece[:1] == "%" and piece[1:] in _READERS:
            names.append(_READERS[piece[1:]][0])
            regex += rf"\s*({_READERS[piece[1:]][1]})"
        else:
            regex += "".join(r"\s*" if c.isspace() else r"\s*" + re.escape(c) for c in piece)
    found = re.match(r"\s*" + regex, text)
    return _assembled(dict(zip(names, found.groups(), strict=True))) if found else None


def _assembled(parts: dict[str, str]) -> str | None:
    if "name" in parts:
        short = parts["name"][:3].lower()
        parts["month"] = str(_MONTH_NAMES.index(short) + 1) if short in _MONTH_NAMES else "13"
    if "short_year" in parts:
        parts["year"] = str(int(parts["short_year"]) + (2000 if int(parts["short_year"]) < 70 else 1900))
    hour = int(parts.get("hour", 0))
    if "half" in parts:
        hour = hour % 12 + (12 if parts["half"].lower() == "pm" else 0)
    timed = any(name in parts for name in ("hour", "minute", "second"))
    clock = f"{hour:02}:{int(parts.get('minute', 0)):02}:{int(parts.get('second', 0)):02}"
    if "year" not in parts and "day" not in parts and timed:
        return clock
    day = date_text(f"{parts.get('year', '0')}-{parts.get('month', '0')}-{parts.get('day', '0')}")
    return f"{day} {clock}" if day and timed else day
