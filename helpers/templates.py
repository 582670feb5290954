"""Templates of questions and SQL, read from a folder of YAML files, families expanded and checked.

>>> pool = read(Path("data/classicmodels/templates"))
>>> pool.templates[0].sql, pool.templates[0].phrasings[0]
('SELECT city FROM customers WHERE country = {country}', 'In which [cities|towns] in {country} do we have customers?')

The files hold, in any order and any number:

    profile: {easy: 0.25, join: 0.48}          # the wanted shares of difficulties and features (sql.FEATURES)
    slots:                                     # where the values of {country} come from, see `slots`
      country: {query: SELECT DISTINCT country FROM customers}
    pieces:                                    # lists of named text fragments
      price: [{name: list, sql: MSRP, said: "[MSRP|list price]"}, {name: buy, sql: buyPrice, said: buy price}]
    templates:
      top_price:
        each: {m: price}                       # one template for each member; {m.sql} is its fragment
        sql: SELECT productName FROM products ORDER BY {m.sql} DESC, productCode LIMIT {top}
        weight: 0.5                            # its share against the others', 1 if nothing is said
        ask: |                                 # a phrasing a line; [a|b] is a choice, [a|] an option
          [Which|What] {top} products have the highest {m.said}?

A template with fewer than four phrasings, an unknown slot, or a phrasing that leaves out a slot is a TemplateError
naming it. Whether the SQL runs, and whether the question asks for what it returns, is not known here.
"""

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from helpers import slots
from helpers.slots import TemplateError

KINDS = ("profile", "slots", "pieces", "templates")
PHRASINGS = 4

_PIECE = re.compile(r"\{(\w+)(?:\.(\w+))?\}")


@dataclass(frozen=True)
class Template:
    """A statement with slots and the phrasings that ask for it; `weight` is its share against the others'.

    `accept` are texts of the statement and what may stand in their place, where a phrasing leaves it open. A
    `composed` one comes from a lexicon, and may turn out to find nothing.
    """

    name: str
    sql: str
    phrasings: tuple[str, ...]
    weight: float = 1.0
    accept: tuple[tuple[str, str], ...] = ()
    composed: bool = False


@dataclass(frozen=True)
class Pool:
    """What a templates folder holds: the slots' definitions, the templates, the profile that is wanted."""

    slots: Mapping[str, Mapping]
    templates: tuple[Template, ...]
    profile: Mapping[str, float]


def read(folder: Path) -> Pool:
    """Read a folder of YAML files, families of templates expanded.

    Raises TemplateError for a file that is no such YAML, a name given twice, or a template with a fault.
    """
    parts: dict[str, dict] = {kind: {} for kind in KINDS}
    for path in sorted(Path(folder).glob("*.yaml")):
        for kind, entries in _content(path).items():
            twice = parts[kind].keys() & entries.keys()
            if twice:
                raise TemplateError(f"{path.name}: {kind} {', '.join(sorted(twice))} occur twice; rename one.")
            parts[kind].update(entries)
    if not parts["templates"]:
        raise TemplateError(f"{folder} holds no templates: give a folder of YAML files with `templates`.")
    expanded = tuple(t for name, entry in parts["templates"].items() for t in _expand(name, entry, parts["pieces"]))
    for template in expanded:
        _check(template, parts["slots"])
    return Pool(parts["slots"], expanded, parts["profile"])


def _content(path: Path) -> dict[str, dict]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise TemplateError(f"{path.name} is not YAML: {error}.") from error
    if not isinstance(content, dict) or content.keys() - set(KINDS):
        raise TemplateError(f"{path.name}: only {', '.join(KINDS)} stand at the top of a template file.")
    return content


def _expand(name: str, entry: Mapping, pieces: Mapping[str, list]) -> Iterator[Template]:
    """Yield the templates of an entry: one for each combination of the pieces in its `each`."""
    if "sql" not in entry or "ask" not in entry:
        raise TemplateError(f"Template {name} lacks `sql` or `ask`.")
    names = entry.get("each", {})
    unknown = [listed for listed in names.values() if listed not in pieces]
    if unknown:
        raise TemplateError(f"Template {name}: there is no list of pieces {', '.join(unknown)}.")
    weight = entry.get("weight", 1.0)
    for chosen in itertools.product(*(pieces[listed] for listed in names.values())):
        members = dict(zip(names, chosen, strict=True))
        label = "-".join([name, *(str(member.get("name", "")) for member in chosen)])
        lines = [line.strip() for line in entry["ask"].splitlines() if line.strip()]
        gold = " ".join(_substitute(entry["sql"], members, label).split())
        phrasings = tuple(_substitute(line, members, label) for line in lines)
        yield Template(label, gold, phrasings, weight, tuple(entry.get("accept", {}).items()))


def _substitute(text: str, members: Mapping[str, Mapping], label: str) -> str:
    """Replace {m.sql} by that text of the member m, which may itself hold slots and choices."""
    def text_of(match: re.Match) -> str:
        variable, key = match.groups()
        if variable not in members:
            return match.group()
        if key not in members[variable]:
            raise TemplateError(f"Template {label}: its piece {variable} has no `{key}`.")
        return str(members[variable][key])
    return _PIECE.sub(text_of, text)


def _check(template: Template, definitions: Mapping[str, Mapping]) -> None:
    if len(set(template.phrasings)) < PHRASINGS:
        raise TemplateError(f"Template {template.name} has fewer than {PHRASINGS} phrasings; add some.")
    used = set(slots.names(template.sql))
    unknown = sorted(name for name in used if slots.base(name) not in definitions)
    if unknown:
        raise TemplateError(f"Template {template.name}: no slot {', '.join(unknown)} is defined.")
    for phrasing in template.phrasings:
        if set(slots.names(phrasing)) != used:
            raise TemplateError(f"Template {template.name}: {phrasing!r} does not name the slots of its SQL, "
                                f"{sorted(used)}.")
