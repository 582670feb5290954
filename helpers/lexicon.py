"""How people speak of a database: what rows, columns, numbers and conditions are called, and the SQL each stands for.

>>> facts = read(FOLDER / "lexicon.yaml").facts
>>> orders = facts["orders"]
>>> late = orders.where[12]
>>> late.sql, late.said
('o.shippedDate > o.requiredDate', '[shipped after the required date|that were shipped late …]')
>>> orders.select("COUNT(*)", where=[late])
'SELECT COUNT(*) FROM orders WHERE shippedDate > requiredDate'

A fact is a table seen as the subject of questions. A piece is a fragment of SQL, what it is called ([a|b] is a choice)
and the tables it needs besides the fact's own, all of them reached by foreign keys upwards, so that a fact's rows are
never multiplied. `composition` makes questions out of this; nothing here knows what is asked.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from helpers import slots
from helpers.slots import TemplateError

KINDS = ("columns", "numbers", "totals", "classes", "entities", "named", "where")


@dataclass(frozen=True)
class Piece:
    """A fragment of SQL and what it is called; `joins` names what it needs beside the fact's table.

    An entity (a customer, say) is grouped by `sql`, its key, and shown by `shown`, which `shown_said` calls.
    """

    sql: str
    said: str
    joins: tuple[str, ...] = ()
    shown: str = ""
    shown_said: str = ""

    @property
    def slots(self) -> set[str]:
        return {slots.base(name) for name in slots.names(self.sql)}

    @property
    def columns(self) -> list[tuple[str, str]]:
        """Its columns, each with a name if it is computed: ("YEAR(o.orderDate)", "yearNumber"), ("o.status", "")."""
        calls = re.split(r"(?<=\)), ", self.sql)
        if len(calls) > 1:
            return [(call, f"{call.partition('(')[0].lower()}Number") for call in calls]
        if re.fullmatch(r"[\w.]+(, [\w.]+)*", self.sql):
            return [(self.sql, "")]
        words = re.sub(r"\(.*?\)|'s", "", re.sub(r"\[([^|\]]*)[^\]]*\]", r"\1", self.said))
        first, *others = words.split()[:4]
        return [(self.sql, first.lower() + "".join(word.capitalize() for word in others))]

    @property
    def column(self) -> str:
        """The column that a condition is about: all conditions begin with one."""
        return self.sql.split()[0]


@dataclass(frozen=True)
class Fact:
    """A table as the subject of questions, with every piece that can be said of its rows."""

    name: str
    table: str
    alias: str
    key: str
    one: str
    many: str
    tie: str
    label: tuple[Piece, ...]
    joins: Mapping[str, str]
    pieces: Mapping[str, tuple[Piece, ...]] = field(repr=False)

    def __getattr__(self, kind: str) -> tuple[Piece, ...]:
        if kind in KINDS:
            return self.pieces[kind]
        raise AttributeError(kind)

    def select(self, columns: str, needs: Iterable[Piece] = (), *, where: Sequence[Piece] = (), tail: str = "") -> str:
        """Write a SELECT over the fact with the joins that the pieces need; aliases only where there is a join."""
        needed = {join for piece in (*needs, *where) for join in piece.joins}
        source = " ".join([f"FROM {self.table} {self.alias}", *(self.joins[j] for j in self.joins if j in needed)])
        conditions = "WHERE " + " AND ".join(piece.sql for piece in where) if where else ""
        text = " ".join(f"SELECT {columns} {source} {conditions} {tail}".split())
        return text if needed else self.plain(text)

    def plain(self, text: str) -> str:
        """Drop the fact's alias from a statement that reads no other table."""
        return re.sub(rf"\b{self.alias}\.", "", text.replace(f"FROM {self.table} {self.alias}", f"FROM {self.table}"))


@dataclass(frozen=True)
class Family:
    """Rows of one fact that belong to rows of another, and what having some or none of them is called."""

    parent: Fact
    child: Fact
    foreign_key: str
    never: str
    count: str


@dataclass(frozen=True)
class Lexicon:
    """A lexicon file: the facts, the families among them, values that two facts share, and phrasings by shape."""

    facts: Mapping[str, Fact]
    families: tuple[Family, ...]
    shared: Mapping[str, tuple[tuple[Fact, str], ...]]
    ask: Mapping[str, tuple[str, ...]]


def read(path: Path) -> Lexicon:
    """Read a lexicon file; raises TemplateError for one that cannot be read or names an unknown fact or join."""
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        facts = {name: _fact(name, entry, content["joins"].get(name, {})) for name, entry in content["facts"].items()}
        families = tuple(
            Family(facts[f["parent"]], facts[f["child"]], f["foreign_key"], f["never"], f["count"])
            for f in content["families"]
        )
        shared = {said: tuple((facts[name], column) for name, column in places.items())
                  for said, places in content["shared"].items()}
        ask = {shape: tuple(line.strip() for line in lines.splitlines() if line.strip())
               for shape, lines in content["ask"].items()}
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise TemplateError(f"{path} is no lexicon ({error}): see helpers/lexicon.py for its form.") from error
    return Lexicon(facts, families, shared, ask)


def _fact(name: str, entry: Mapping, joins: Mapping[str, str]) -> Fact:
    table, alias = entry["from"].split()
    unknown = {join for path in entry.get("via", {}) for join in path.split()} - joins.keys()
    if unknown:
        raise TemplateError(f"Fact {name} has pieces via {', '.join(sorted(unknown))}: add the joins.")
    return Fact(name, table, alias, entry["key"], entry["one"], entry["many"], entry["tie"],
                tuple(Piece(sql, said) for sql, said in entry["label"].items()), joins,
                {kind: tuple(_pieces(entry, kind)) for kind in KINDS})


def _pieces(entry: Mapping, kind: str) -> Iterable[Piece]:
    """Yield a fact's own pieces of a kind and those it reaches by joins."""
    for path, holder in {"": entry, **entry.get("via", {})}.items():
        for sql, said in holder.get(kind, {}).items():
            more = dict(said) if isinstance(said, Mapping) else {"said": said}
            yield Piece(sql, joins=tuple(path.split()), **more)
