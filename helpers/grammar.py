"""Hold a model to MySQL: while it writes, only the tokens that go on with a SELECT over the schema's names are left.

>>> model = models.load("bundled")
>>> models.generate(model, asked, max_new_tokens=160, stop="statement", constraint=constraint(model, schema))
[Completion(text='SELECT COUNT(*) AS orderCount FROM orders;', …)]

The grammar is `mysql_select.lark`; llguidance turns it into masks over the model's tokens. One statement that ends in
`;`, no comments, the functions of `guard_words`, tables and columns as the schema spells them. No context-free grammar
ties a name to its definition, so after SELECT, ON, WHERE, BY and HAVING the names that the statement has made so far
are read from its text and the grammar is made anew with them (it is kept, since questions share most of them; a new
one costs about 50 ms):

- ON, WHERE: columns of the tables named so far, alone or after the right alias; no aggregates.
- GROUP BY, HAVING, ORDER BY: these, and the names made by AS.
- A select list, which comes before its tables: any column of the schema, after any alias of up to four letters; after
  a table's name, that table's. With a CTE before it, also the names made by AS.
- With `linking` a comment names the tables first, and then FROM and JOIN may read no others, nor by other aliases, and
  a select list has their columns only: an unknown column can hardly be written any more.
- Before `FROM (`, whose derived table is still to be written: any name, but only where one column is summarised, as in
  AVG(v.total) or ROUND(AVG(total), 2). With any name anywhere, an untuned model invents columns and nests without end.

Not tied, so still the database's to refuse: an alias or a column in a select list that no later FROM brings, names
that leave their scope (a subquery's alias used outside it), which columns a CTE or derived table has, ambiguous names,
types, the number of a function's arguments, ONLY_FULL_GROUP_BY. Cannot be written at all: a subquery in a select list
that reads the query around it, recursive CTEs, LATERAL, named windows, FULLTEXT, JSON, joins by comma, backslashes in
strings, computed columns named without AS. It knows no data.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from string import Template
from typing import Any

from helpers import guard_words
from helpers.completion import ModelError
from helpers.models import Model
from helpers.mysqlite.words import RESERVED
from helpers.schema import Schema

KEPT = 64  # grammars, of about 2 MB each; the oldest goes first
LARK = Path(__file__).with_name("mysql_select.lark")
PLACES = ("_listed", "_row", "_tail")
UNITS = "MICROSECOND SECOND MINUTE HOUR DAY WEEK MONTH QUARTER YEAR YEAR_MONTH".split()
# What has a rule of its own in the grammar, or arguments that are no expressions
SPECIAL = frozenset(
    """CAST CHAR CONVERT COUNT EXTRACT GET_FORMAT GROUPING GROUP_CONCAT INSERT JSON_ARRAYAGG JSON_OBJECTAGG MATCH
    POSITION RAND ROW TIMESTAMPADD TIMESTAMPDIFF""".split()
)
SCALAR = guard_words.CONTROL + guard_words.NUMERIC + guard_words.DATE_AND_TIME + guard_words.STRING

_STRING = re.compile(r"""'(?:[^']|'')*'?|"[^"]*"?""")
_WORD = re.compile(r"`[^`]*`|\w+|[(),.]")
_COMMENT = re.compile(r"\A\s*/\*(.*?)\*/", re.DOTALL)
_NAMES_FOLLOW = re.compile(r"\b(?:SELECT|ON|WHERE|BY|HAVING)\s*\Z", re.IGNORECASE)


@dataclass(frozen=True)
class Names:
    """What a statement has named so far: sources as (name, table), "" for a CTE or derived table; results of AS.

    What the comment before it has named is `linked`, as (name, table) too.
    """

    sources: frozenset[tuple[str, str]] = frozenset()
    made: frozenset[str] = frozenset()
    ctes: frozenset[str] = frozenset()
    linked: frozenset[tuple[str, str]] = frozenset()


@dataclass(eq=False)
class Matcher:
    """One statement in the making, as `models.generate` asks for it."""

    grammar: "Grammar"
    tokens: list[int]
    names: Names = Names()
    parser: Any = field(init=False)

    def __post_init__(self):
        self.parser = self.grammar.parser(self.names)
        if not self.parser.consume_tokens(self.tokens):
            written = self.grammar.vocabulary.decode_str(self.tokens)
            raise ModelError(f"No SELECT begins with the prefill {written!r}: use SELECT, or none.")

    def restrict(self, logits) -> None:
        """Set the logits (vocabulary,) of all tokens that cannot come next to -inf, in place.

        Once the statement is complete only the tokens that end the model's turn are left.
        """
        import numpy
        import torch

        allowed = torch.zeros(len(logits), dtype=torch.bool)
        if self.parser.is_stopped():
            allowed[sorted(self.grammar.stop_ids)] = True
        else:
            bits = numpy.unpackbits(numpy.frombuffer(self.parser.compute_bitmask(), numpy.uint8), bitorder="little")
            known = min(len(logits), self.grammar.vocabulary.vocab_size)
            allowed[:known] = torch.from_numpy(bits[:known]).bool()
        logits.masked_fill_(~allowed.to(logits.device), float("-inf"))

    def accept(self, token: int) -> None:
        """Go on by one token; what follows a complete statement changes nothing."""
        if self.parser.is_stopped():
            return
        self.tokens = [*self.tokens, token]
        self.parser.consume_token(token)
        text = self.grammar.vocabulary.decode_str(self.tokens)
        if _NAMES_FOLLOW.search(text) and (found := names(text, self.grammar.schema)) != self.names:
            self._know(found)

    def _know(self, found: Names) -> None:
        """Go over to the grammar of the names found, unless what is written does not fit it."""
        parser = self.grammar.parser(found)
        if parser.consume_tokens(self.tokens):
            self.names, self.parser = found, parser


@dataclass(eq=False)
class Grammar:
    """A schema's grammar over a model's tokens, compiled once for each set of names met lately."""

    schema: Schema
    vocabulary: Any
    stop_ids: frozenset[int]
    linking: bool = False
    compiled: dict[Names, Any] = field(default_factory=dict)

    def parser(self, names: Names):
        """Return a parser at the beginning of a statement that knows these names."""
        import llguidance

        if names not in self.compiled:
            if len(self.compiled) >= KEPT:
                del self.compiled[next(iter(self.compiled))]
            text = llguidance.LLMatcher.grammar_from_lark(lark(self.schema, names, linking=self.linking))
            made = llguidance.LLMatcher(self.vocabulary, text, log_level=0)
            if made.is_error():
                raise ModelError(f"The schema's names make no grammar ({made.get_error()}): use decoding: free.")
            self.compiled[names] = made
        return self.compiled[names].deep_copy()


def constraint(model: Model, schema: Schema, *, prefill: str = "", linking: bool = False) -> Callable[[], Matcher]:
    """Return what `models.generate` takes as its `constraint`; `prefill` is what the answers begin with.

    With `linking` they begin with the comment that names their tables, see `prompts.Context`.

    Raises ModelError for a model that is not run by transformers or has no fast tokenizer, and for a prefill with
    which no statement begins.
    """
    if not getattr(model.tokenizer, "is_fast", False):
        raise ModelError(f"{model.id} cannot be held to a grammar: use transformers and a fast tokenizer.")
    vocabulary = _vocabulary(model.tokenizer)
    grammar = Grammar(schema, vocabulary, model.stop_ids, linking)
    begun = vocabulary.tokenize_str(prefill)
    Matcher(grammar, begun)
    return lambda: Matcher(grammar, begun)


@lru_cache(maxsize=4)
def _vocabulary(tokenizer):
    """Read the tokenizer into llguidance, which takes seconds."""
    import llguidance.hf

    return llguidance.hf.from_tokenizer(tokenizer)


def names(text: str, schema: Schema) -> Names:
    """Read what a statement, or its beginning, has named: tables and their aliases, CTEs, results of AS."""
    comment = _COMMENT.match(text)
    text = text[comment.end() :] if comment else text
    words = [word.strip("`") for word in _WORD.findall(_STRING.sub(" ", text))] + ["", ""]
    sources, made, ctes, opened = set(), set(), set(), []
    for at, word in enumerate(words[:-2]):
        before = words[at - 1].upper() if at else ""
        if word == "(":
            opened.append((before, words[at - 2]))
        elif word == ")" and opened:
            before, name = opened.pop()
            if before == "AS":
                ctes.add(name)
            elif before in ("FROM", "JOIN") and (alias := _alias(words, at)):
                sources.add((alias, ""))
        elif before == "AS":
            made.add(word)
        elif before in ("FROM", "JOIN") and (word in schema.names or word in ctes):
            sources.add((_alias(words, at) or word, "" if word in ctes else word))
    links = comment.group(1).split(",") if comment else []
    linked = [[word.strip("`") for word in _WORD.findall(link)] for link in links]
    return Names(frozenset(sources), frozenset(made - {alias for alias, _ in sources}), frozenset(ctes),
                 frozenset((link[-1], link[0]) for link in linked if link))


def _alias(words: list[str], at: int) -> str:
    """Return the alias that follows the source which ends at that word, or ""."""
    word = words[at + 2] if words[at + 1].upper() == "AS" else words[at + 1]
    return word if re.fullmatch(r"\w+", word) and word.lower() not in RESERVED else ""


def lark(schema: Schema, names: Names = Names(), *, linking: bool = False) -> str:
    """Write the grammar of a schema for a statement that has made these names, and with `linking` its comment."""
    columns = {column.name for table in schema.tables for column in table.columns}
    of = {table.name: {column.name for column in table.columns} for table in schema.tables}
    given = columns | names.made  # of a CTE or derived table: nothing more is known
    in_row = set().union(*(of.get(table, given) for _, table in names.sources)) or columns
    linked = set().union(*(of.get(table, ()) for _, table in names.linked))
    in_list = given if names.ctes else linked or columns
    sources = [_qualified(name, of.get(table, given)) for name, table in sorted(names.sources)]
    links = sorted(names.linked) or [(table, table) for table in sorted(of)]
    tables = [_qualified(name, of.get(table, given)) for name, table in [*links, *((c, c) for c in sorted(names.ctes))]]
    readable = names.ctes if names.linked else of.keys() | names.ctes
    any_alias = "" if names.linked and not names.ctes else rf"| SHORT /\.({_names(in_list)})/"
    head, once, tail = _sections()
    return Template(head + once + tail).substitute(
        begin="LINK_OPEN link (COMMA link)* LINK_CLOSE" if linking else "",
        units=_any(UNITS),
        functions=_any(set(SCALAR.split()) - SPECIAL),
        aggregates=_any(set(guard_words.AGGREGATE.split()) - SPECIAL),
        rankings=_any(guard_words.WINDOW.split()),
        reserved=_any(RESERVED),
        tables=_names(of.keys() | names.ctes),
        source=" | ".join(["LINKED"] * bool(names.linked) + ["TABLE AS_ALIAS?"] * bool(readable)),
        readable=_names(readable or of),
        linked="|".join(_read(name, table) for name, table in links),
        columns=_names(columns),
        any_alias=any_alias,
        listed="|".join([_names(in_list), *tables]),
        row="|".join([_names(in_row), *sources]),
        tail="|".join([_names(in_row | names.made), *sources]),
    )


@cache
def _sections() -> tuple[str, str, str]:
    """Return the grammar before, in and after the part that is repeated for each place, which it is here."""
    ascii_only = re.sub(r'"(\w+)"i', r"/(?i-u:\1)/", LARK.read_text(encoding="utf-8"))  # else the long s is an S
    head, each, tail = re.split(r"^// ----$", ascii_only, flags=re.MULTILINE)
    return head, "".join(each.replace("@", place) for place in PLACES), tail


def _qualified(name: str, columns: Iterable[str]) -> str:
    return rf"{_names([name])}\.({_names(columns)})"


def _read(name: str, table: str) -> str:
    """Return a regular expression for a table as FROM reads it under its own name or an alias."""
    return _names([table]) if name == table else rf"{_names([table])}[ \t\n]+((?i-u:AS)[ \t\n]+)?{name}"


def _names(names: Iterable[str]) -> str:
    """Return a regular expression for any of the names, in backticks where MySQL needs them."""
    plain = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
    return _any(n if plain.fullmatch(n) and n.lower() not in RESERVED else f"`{n}`" for n in names)


def _any(words: Iterable[str]) -> str:
    return "|".join(re.escape(word).replace("/", r"\/") for word in sorted(words))
