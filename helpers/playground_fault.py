"""What is wrong with a statement, in one sentence, and where: the statement with that place marked.

>>> sentence("Unknown column 'nme' in 'field list'", "1054")
"Error 1054: Unknown column 'nme' in 'field list'."
>>> place("SELECT nme FROM products", "Unknown column 'nme' in 'field list'")
(7, 10)

The place is found by what the message names: a column, a table, a function, a forbidden word, the text a syntax error
is near to, or a line and column. It is looked for among the statement's words, never inside its strings or comments.
A message that names nothing, or a name that several tables share, marks nothing or its first occurrence.
"""

import html
import re

from sqlglot.dialects.mysql import MySQL
from sqlglot.errors import TokenError
from sqlglot.tokens import TokenType

_STRINGS = {TokenType.STRING, TokenType.NATIONAL_STRING}
_LINE = re.compile(r"Line (\d+), Col: (\d+)")
_NEAR = re.compile(r"near '(.*)' at line \d+\Z", re.DOTALL)
_INTERNAL = (  # the parser's own objects in a message, and what they are to a reader
    (re.compile(r"Required keyword: '\w+' missing for <class '[\w.]+\.(\w+)'>"), r"something is missing in \1"),
    (re.compile(r"<Token [^>]*?text: (.*?), line: [^>]*>"), r"\1"),
    (re.compile(r"<class '[\w.]+\.(\w+)'>"), r"\1"),
)
# What messages name, the first name that is found in the statement counts.
_NAMED = (
    re.compile(r"(?:FUNCTION|The function) (?:\w+\.)?(\w+) (?:does not exist|is not allowed)"),
    re.compile(r"native function '(\w+)'"),
    re.compile(r"nonaggregated column '([^']+)'"),
    re.compile(r"references column '([^']+)'"),
    re.compile(r"\b(?:column|table|Table|Column|table/alias:|Reference|variable:|group on) '([^']+)'"),
    re.compile(r"The schema (\S+) is not"),
    re.compile(r"\A(.{1,40}) can be read as more than one word"),
    re.compile(r"are allowed, not (\S+?)\.?\Z"),
    re.compile(r"\A(?:WITH )?([A-Z_]+) is not allowed"),
)
_WORDS = (  # of messages that name a kind of thing: what that looks like
    (re.compile("Only one statement"), re.compile(r"(?<=;)\s*\S.*", re.DOTALL)),
    (re.compile("Locking reads"), re.compile(r"\bFOR\s+(UPDATE|SHARE)\b|\bLOCK\s+IN\s+SHARE\s+MODE\b", re.IGNORECASE)),
    (re.compile("variables are not allowed"), re.compile(r"@@?[\w.$]*")),
    (re.compile("Executable comments"), re.compile(r"/\*(!|M!|\+).*?(\*/|\Z)", re.DOTALL)),
    (re.compile("LPAD, RPAD"), re.compile(r"\b(LPAD|RPAD|SPACE|REPEAT)\b", re.IGNORECASE)),
    (re.compile("without ANALYZE"), re.compile(r"\bANALYZE\b", re.IGNORECASE)),
    (re.compile("ANY and SOME"), re.compile(r"\b(ANY|SOME)\b", re.IGNORECASE)),
)


def sentence(error: str, code: str) -> str:
    """Say who objects and to what; `error` and `code` are those of a Result."""
    for internal, plain in _INTERNAL:
        error = internal.sub(plain, error)
    said = " ".join(error.split()).rstrip(".") + "."
    if code == "guard":
        return f"The guard refused this before it reached the database: {said}"
    if code == "timeout":
        return f"It took too long: {said}"
    return f"Error {code}: {said}"


def marked(sql: str, error: str) -> str:
    """Return the statement as HTML with the faulty place in a `<mark>`, or "" where none was found."""
    found = place(sql, error)
    if found is None:
        return ""
    before, at, after = sql[: found[0]], sql[found[0] : found[1]], sql[found[1] :]
    shown = f"{html.escape(before)}<mark>{html.escape(at)}</mark>{html.escape(after)}"
    return f'<pre class="code"><code>{shown}</code></pre>'


def place(sql: str, error: str) -> tuple[int, int] | None:
    """Return where the fault begins and ends in `sql`, or None."""
    if found := _near(sql, error) or _by_line(sql, error):
        return found
    for said, looks in _WORDS:
        if said.search(error) and (word := looks.search(sql)):
            return _trimmed(sql, *word.span())
    names = (found.group(1) for pattern in _NAMED for found in pattern.finditer(error))
    return next((span for name in names if (span := _named(sql, name))), None)


def _near(sql: str, error: str) -> tuple[int, int] | None:
    """MySQL quotes the rest of the statement, cut to 80 characters: mark the first word of it."""
    near = _NEAR.search(error)
    if not near or not near.group(1):
        return None
    start = sql.rfind(near.group(1))
    return None if start < 0 else _first_word(sql, start)


def _by_line(sql: str, error: str) -> tuple[int, int] | None:
    """The parser counts lines from 1 and names the column of a word's last character, counted from 1."""
    at = _LINE.search(error)
    if not at:
        return None
    lines = sql.splitlines(keepends=True)
    end = sum(map(len, lines[: int(at.group(1)) - 1])) + int(at.group(2))
    words = [(start, stop) for start, stop, _ in _tokens(sql) if start < end <= stop]
    return words[0] if words else None


def _named(sql: str, name: str) -> tuple[int, int] | None:
    """Find a name among the statement's words: with its qualifiers, else its last part alone."""
    words = _tokens(sql)
    parts = [part.strip("`").casefold() for part in name.split(".")]
    texts = [text.strip("`").casefold() for _, _, text in words]
    while parts:
        wanted = [piece for part in parts for piece in (".", part)][1:]
        for i in range(len(words) - len(wanted) + 1):
            if texts[i : i + len(wanted)] == wanted:
                return words[i][0], words[i + len(wanted) - 1][1]
        parts = parts[1:]
    return None


def _tokens(sql: str) -> list[tuple[int, int, str]]:
    """Return start, end and text of every word that is no string; nothing for what cannot be read at all."""
    try:
        tokens = MySQL().tokenize(sql)
    except TokenError:
        return []
    return [(t.start, t.end + 1, sql[t.start : t.end + 1]) for t in tokens if t.token_type not in _STRINGS]


def _first_word(sql: str, start: int) -> tuple[int, int]:
    word = re.compile(r"\s*(\w+|\S)").match(sql, start)
    return (word.start(1), word.end(1)) if word else (start, len(sql))


def _trimmed(sql: str, start: int, end: int) -> tuple[int, int]:
    text = sql[start:end]
    return start + len(text) - len(text.lstrip()), end - len(text) + len(text.rstrip())
