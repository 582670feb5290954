"""Questions with what belongs to their database masked out, so that two of one kind look alike.

>>> known = vocabulary(database)
>>> mask("How many orders from France were placed after 2004-03-01?", known)
'how many <name> from <value> were placed after <value> ?'

Names are those of tables and columns, in singular or plural; values are the texts that the database holds, and
whatever has a digit in it, and months. After DAIL-SQL (Gao et al. 2023), whose exemplars are compared this way. A
synonym of a name ("clients") is not known, nor is a text of more than six words. Knows no SQL.
"""

import re
from dataclasses import dataclass

from helpers.database import Database
from helpers.wording import words

NAME, VALUE = "<name>", "<value>"
LONGEST = 6  # words of a value
VALUES = 2_000  # of one column
_TOKEN = re.compile(r"\d[\w.,/:-]*\w|\w+|[^\w\s]")
# May is a word that questions have in another sense.
_MONTHS = "january february march april june july august september october november december".split()


@dataclass(frozen=True)
class Vocabulary:
    """The names and values of a database, each a tuple of folded words."""

    names: frozenset[tuple[str, ...]]
    values: frozenset[tuple[str, ...]]


def vocabulary(database: Database) -> Vocabulary:
    """Collect the names of a database's schema and the values of its text columns, the first 2,000 of each."""
    columns = [(table, column) for table in database.schema.tables for column in table.columns]
    named = [*database.schema.names, *(column.name for _, column in columns)]
    texts = [
        str(value)
        for table, column in columns
        if re.match(r"(var)?char|text|enum|set\b", column.type)
        for value in database.values(table.name, column.name, VALUES)
    ]
    held = [tuple(map(_fold, _TOKEN.findall(text))) for text in texts if len(text) > 2]
    return Vocabulary(
        frozenset(tuple(map(_fold, words(name))) for name in named),
        frozenset([*(value for value in held if len(value) <= LONGEST), *((_fold(month),) for month in _MONTHS)]),
    )


def mask(question: str, known: Vocabulary) -> str:
    """Return the question's words in lower case, names and values masked, the longest first; no mask twice in a row."""
    tokens = _TOKEN.findall(question)
    folded = [_fold(token) for token in tokens]
    kept: list[str] = []
    position = 0
    while position < len(tokens):
        length, masked = _longest(folded[position:], known)
        if not kept or not masked or kept[-1] != masked:
            kept.append(masked or tokens[position].casefold())
        position += length
    return " ".join(kept)


def _longest(folded: list[str], known: Vocabulary) -> tuple[int, str]:
    """Return how many words from the first on are masked as one, and by what; (1, "") if none is."""
    for length in range(min(LONGEST, len(folded)), 0, -1):
        part = tuple(folded[:length])
        if part in known.values:
            return length, VALUE
        if part in known.names:
            return length, NAME
    return 1, VALUE if any(letter.isdigit() for letter in folded[0]) else ""


def _fold(word: str) -> str:
    """Put a word into lower case and, roughly, the singular."""
    word = word.casefold()
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    return word[:-1] if word.endswith("s") and len(word) > 3 else word
