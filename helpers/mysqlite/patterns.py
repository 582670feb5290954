"""LIKE and regular expressions as MySQL understands them, as Python functions that SQLite calls.

>>> text_like("Tønsberg", "ton%", "\\", 0), text_regexp("S18_1749", "^s[0-9]+_", 0)
(1, 1)

MySQL 8 has ICU's regular expressions, here are Python's, with POSIX classes such as [[:digit:]] added; the
two agree on what queries commonly use, not on Unicode classes and possessive quantifiers before Python 3.11.
"""

import re
from functools import lru_cache

from helpers.mysqlite import collation
from helpers.mysqlite.error import failure


@lru_cache(maxsize=4096)
def fold_character(character: str) -> str:
    """Fold one character so that equal ones of the collation are the same, one for one."""
    folded = collation.key(character)
    return folded if len(folded) == 1 else character


@lru_cache(maxsize=1024)
def _like_pattern(pattern: str, escape: str, binary: int) -> re.Pattern:
    regex, position = "", 0
    while position < len(pattern):
        character = pattern[position]
        if character == escape and position + 1 < len(pattern):
            position += 1
            regex += re.escape(pattern[position] if binary else fold_character(pattern[position]))
        else:
            folded = character if binary else fold_character(character)
            regex += {"%": ".*", "_": "."}.get(character) or re.escape(folded)
        position += 1
    return re.compile(regex, re.DOTALL)


def text_like(text: str, pattern: str, escape: str, binary: int) -> int:
    """Match a LIKE pattern, ignoring case and accents unless `binary`."""
    subject = text if binary else "".join(map(fold_character, text))
    return int(_like_pattern(pattern, escape, binary).fullmatch(subject) is not None)


@lru_cache(maxsize=1024)
def _regex(pattern: str, binary: int) -> re.Pattern:
    classes = {"alpha": "a-zA-Z", "digit": "0-9", "alnum": "a-zA-Z0-9", "space": r"\s", "upper": "A-Z",
               "lower": "a-z", "punct": r"!-/:-@\[-`{-~", "blank": r" \t", "xdigit": "0-9a-fA-F"}  # fmt: skip
    python = re.sub(r"\[:(\w+):\]", lambda m: classes.get(m[1], m[0]), pattern)
    try:
        return re.compile(python, 0 if binary else re.IGNORECASE)
    except re.error as error:
        raise failure(1139, error) from error


def text_regexp(text: str, pattern: str, binary: int) -> int:
    """Search for a regular expression, ignoring case unless `binary`."""
    return int(_regex(pattern, binary).search(text) is not None)


def regexp_replace(text: str, pattern: str, new: str) -> str:
    """Replace every match of a regular expression; `$1` stands for a group."""
    return _regex(pattern, 0).sub(re.sub(r"\$(\d)", r"\\\1", new), text)


def regexp_substr(text: str, pattern: str) -> str | None:
    """Return the first match of a regular expression."""
    found = _regex(pattern, 0).search(text)
    return found.group() if found else None


def regexp_instr(text: str, pattern: str) -> int:
    """Return the position of the first match of a regular expression, 0 without one."""
    found = _regex(pattern, 0).search(text)
    return found.start() + 1 if found else 0


FUNCTIONS = {
    "text_like": text_like, "text_regexp": text_regexp, "regexp_replace": regexp_replace,
    "regexp_substr": regexp_substr, "regexp_instr": regexp_instr,
}  # fmt: skip
