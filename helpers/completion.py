"""What a completion is, and where it ends.

>>> end_of("SELECT ';' FROM t; That is all.", ("statement",))
(18, 'statement')
>>> end_of("Action: list_tables\\nObservation: made up", ("\\nObservation:",))
(19, 'stop')
>>> end_of("Here's the query you asked for", ("statement",)) is None
True

A generation always ends with the model's turn or when its tokens run out. A caller may also stop it at the
end of the first SQL statement ("statement") or before any given string. The statement rule is lexical: it
knows MySQL's quotes, comments and the words a query begins with, and does not parse. It looks from the first
SELECT or WITH on, so the apostrophe of a polite preamble is no quote; a preamble that says "with" may end at
a semicolon of its own.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass


class ModelError(Exception):
    """A model that cannot be loaded or reached; the message names it and says what to do."""


@dataclass(frozen=True)
class Completion:
    """One answer: its text with what it cost.

    `text` begins with the call's `prefill`, and leaves out end-of-turn tokens and the stop string, but keeps
    a statement's `;`. `prompt_tokens` and `completion_tokens` count this conversation alone, as if nothing
    were shared. `seconds` is the answer's share of the batch's wall time: the common beginning is divided
    evenly among all rows and every step among the rows it advanced, so the shares of a call add up to the
    call. Over HTTP it is the request's own time, and requests overlap. `finish` is "turn", "statement",
    "stop" or "length".
    """

    text: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    finish: str = "turn"


_BEGIN = re.compile(r"\b(?:select|with)\b", re.IGNORECASE)
_LEXEME = re.compile(
    r"""  '(?:[^'\\]|\\.|'')*(?:'|\Z)      # an unclosed quote runs to the end of what there is
        | "(?:[^"\\]|\\.|"")*(?:"|\Z)
        | `[^`]*(?:`|\Z)
        | --(?=\s)[^\n]*
        | \#[^\n]*
        | /\*.*?(?:\*/|\Z)
        | ;                               """,
    re.VERBOSE | re.DOTALL,
)


def stops(stop: str | Sequence[str]) -> tuple[str, ...]:
    """Normalise a `stop` argument: "turn" (implied, left out), "statement", a stop string, or several."""
    given = (stop,) if isinstance(stop, str) else tuple(stop)
    return tuple(rule for rule in given if rule != "turn")


def end_of(text: str, stop: tuple[str, ...]) -> tuple[int, str] | None:
    """Return where `text` ends by the earliest of the rules, and why; None while it has not ended."""
    ends = [(text.index(rule), "stop") for rule in stop if rule != "statement" and rule in text]
    if "statement" in stop and (end := statement_end(text)) is not None:
        ends.append((end, "statement"))
    return min(ends, default=None)


def statement_end(text: str) -> int | None:
    """Return the position after the `;` that ends the first statement, outside quotes and comments."""
    begin = _BEGIN.search(text)
    for lexeme in _LEXEME.finditer(text, begin.start() if begin else len(text)):
        if lexeme.group() == ";":
            return lexeme.end()
    return None
