"""The values of a template's slots: drawn from a database, written as SQL literals, said as a person would.

>>> month = fill("month", {"query": "SELECT DISTINCT YEAR(orderDate), MONTH(orderDate) FROM orders", "as": "month"}, db)
>>> drawn = draw(["month"], {"month": month}, rng)
>>> write("orderDate >= {month.first} AND orderDate < {month.next}", drawn)
"orderDate >= '2004-05-01' AND orderDate < '2004-06-01'"
>>> say("orders placed in {month}", drawn, rng)
'orders placed in May 2004'

A slot's definition is a mapping. `query` gives its values, and its columns' names are the slot's fields; `integers:
[low, high]` is a range, `values` a list of texts. `quantiles: [0.1, 0.9]` with `round: 100` turns a numeric query into
the round numbers between those quantiles. `as: date | month | quarter` says how values are spoken (a month or quarter
is queried as year and number); `said` maps a value to the ways of saying it. {country} and {country2} are two different
values of the slot country, in ascending order where values are numbers or dates. Knows no templates, only the braces in
a text.
"""

import calendar
import datetime
import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

_SLOT = re.compile(r"\{([a-z_]+\d?)(?:\.(\w+))?\}")
_WORDS = dict(enumerate("two three four five six seven eight nine ten eleven twelve".split(), 2)) | {
    15: "fifteen", 20: "twenty", 30: "thirty", 40: "forty", 50: "fifty", 100: "a hundred", 1000: "a thousand"}
_ORDINALS = ("first", "second", "third", "fourth")


class TemplateError(Exception):
    """Name the template or slot and what is wrong with it."""


@dataclass(frozen=True)
class Slot:
    """A slot's candidate values, as rows of fields; `kind` is text, number, date, month or quarter."""

    kind: str
    rows: tuple[Mapping[str, object], ...]
    said: Mapping[str, list[str]] = field(default_factory=dict)


def fill(name: str, spec: Mapping, database) -> Slot:
    """Draw a slot's candidate values from a database; raises TemplateError where it finds none."""
    said = {str(value): ways for value, ways in spec.get("said", {}).items()}
    if "integers" in spec:
        low, high = spec["integers"]
        return Slot("number", tuple({"value": n} for n in range(low, high + 1, spec.get("step", 1))), said)
    if "values" in spec:
        return Slot("text", tuple({"value": value} for value in spec["values"]), said)
    if "query" not in spec:
        raise TemplateError(f"Slot {name} has neither `query`, `integers` nor `values`.")
    result = database.execute(spec["query"])
    if result.error:
        raise TemplateError(f"Slot {name}: its query fails ({result.error}).")
    rows = sorted({row for row in result.rows if None not in row})
    if "quantiles" in spec:
        values = _round_numbers([row[0] for row in result.rows if row[0] is not None], spec)
        found = Slot("number", tuple({"value": value} for value in values), said)
    else:
        shape = _SHAPES.get(spec.get("as", "text"), lambda *values: dict(zip(result.columns, values, strict=True)))
        found = Slot(spec.get("as", "text"), tuple(shape(*row) for row in rows), said)
    if not found.rows:
        raise TemplateError(f"Slot {name} finds no value in {database.source}: mend its query.")
    return found


def names(text: str) -> list[str]:
    """Name the slots of a text, each once, in order: "{country} and {rep.lastName}" has country and rep."""
    return list(dict.fromkeys(match.group(1) for match in _SLOT.finditer(text)))


def base(name: str) -> str:
    """Return the slot of which `country2` is a second value."""
    return name.rstrip("0123456789")


def draw(wanted: Iterable[str], slots: Mapping[str, Slot], rng: random.Random) -> dict[str, tuple[Slot, Mapping]]:
    """Draw a value for each name; names of one slot get different values, numbers and dates in ascending order."""
    drawn = {}
    groups: dict[str, list[str]] = {}
    for name in wanted:
        groups.setdefault(base(name), []).append(name)
    for slot_name, members in groups.items():
        slot = slots[slot_name]
        if len(slot.rows) < len(members):
            raise TemplateError(f"Slot {slot_name} has {len(slot.rows)} values, but {len(members)} are needed.")
        places = rng.sample(range(len(slot.rows)), len(members))
        ordered = places if slot.kind == "text" else sorted(places)
        drawn |= {name: (slot, slot.rows[place]) for name, place in zip(sorted(members), ordered, strict=True)}
    return drawn


def write(text: str, drawn: Mapping[str, tuple[Slot, Mapping]]) -> str:
    """Put the values into SQL: as literals, or as they are where the slot stands inside quotes ('%{word}%')."""
    def literal(match: re.Match) -> str:
        value = _field(match, drawn)
        if isinstance(value, (int, Decimal)):
            return str(value)
        escaped = str(value).replace("'", "''")
        return escaped if text[:match.start()].count("'") % 2 else f"'{escaped}'"
    return _SLOT.sub(literal, text)


def say(text: str, drawn: Mapping[str, tuple[Slot, Mapping]], rng: random.Random) -> str:
    """Put the values into a question, each in one of the ways a person would say it."""
    spoken = {name: _spoken(slot, row, rng) for name, (slot, row) in drawn.items()}

    def words(match: re.Match) -> str:
        after_sign = re.search(r"[<>=/] $", text[:match.start()])
        return str(_field(match, drawn)) if match.group(2) or after_sign else spoken[match.group(1)]
    said = _SLOT.sub(words, text)
    return said.replace(" the the ", " the ").replace("..", ".")


def _field(match: re.Match, drawn: Mapping[str, tuple[Slot, Mapping]]) -> object:
    name, key = match.groups()
    row = drawn[name][1]
    if key and key not in row:
        raise TemplateError(f"Slot {name} has no field {key}; it has {', '.join(row)}.")
    return row[key] if key else next(iter(row.values()))


def _spoken(slot: Slot, row: Mapping, rng: random.Random) -> str:
    plain = " ".join(str(value) for value in row.values())
    if slot.said.get(plain):
        return rng.choice(slot.said[plain])
    return _SPOKEN[slot.kind](row, rng) if slot.kind in _SPOKEN else plain


def _say_number(row: Mapping, rng: random.Random) -> str:
    value = row["value"]
    word = _WORDS.get(value)
    return word if word and rng.random() < 0.35 else f"{value:,}" if rng.random() < 0.5 else str(value)


def _say_date(row: Mapping, rng: random.Random) -> str:
    day = datetime.date.fromisoformat(row["day"])
    month = calendar.month_name[day.month]
    return rng.choice([row["day"], f"{month} {day.day}, {day.year}", f"{day.day} {month} {day.year}"])


def _say_month(row: Mapping, rng: random.Random) -> str:
    name = calendar.month_name[row["month"]]
    return rng.choice([f"{name} {row['year']}"] * 3 + [f"{name} of {row['year']}", f"{row['year']}-{row['month']:02d}"])


def _say_quarter(row: Mapping, rng: random.Random) -> str:
    year, quarter = row["year"], row["quarter"]
    ordinal = _ORDINALS[quarter - 1]
    return rng.choice([f"Q{quarter} {year}", f"Q{quarter} of {year}", f"the {ordinal} quarter of {year}"])


_SPOKEN = {"number": _say_number, "date": _say_date, "month": _say_month, "quarter": _say_quarter}


def _span(year: int, month: int, *, months: int) -> dict[str, str]:
    first = datetime.date(year, month, 1)
    end = year * 12 + month - 1 + months
    after = datetime.date(end // 12, end % 12 + 1, 1)
    last = after - datetime.timedelta(days=1)
    return {"first": first.isoformat(), "last": last.isoformat(), "next": after.isoformat()}


_SHAPES = {
    "date": lambda day: {"day": day},
    "month": lambda year, month: {"year": year, "month": month, **_span(year, month, months=1)},
    "quarter": lambda year, number: {"year": year, "quarter": number, **_span(year, 3 * number - 2, months=3)},
}


def _round_numbers(values: list, spec: Mapping) -> list:
    """Return the multiples of `round` between two quantiles of the values."""
    ordered, step = sorted(values), Decimal(str(spec.get("round", 1)))
    if not ordered:
        return []
    low, high = (Decimal(str(ordered[int(q * (len(ordered) - 1))])) for q in spec["quantiles"])
    first, last = int(-(-low // step)), int(high // step)
    multiples = [step * n for n in range(first, last + 1)]
    return [int(value) if value == int(value) else value for value in multiples]
