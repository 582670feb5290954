"""The text of a MySQL dump, read piece by piece without ever holding the file.

>>> scanner = Scanner(io.BytesIO(b"-- a comment\\nUSE `shop`;"), "shop.sql")
>>> scanner.skip(); scanner.take(WORD)[0], scanner.skip(), scanner.take(NAME)[0], scanner.line
(b'USE', None, b'`shop`', 2)

It works on bytes, as the text's encoding is known only after `SET NAMES` and blobs have none. What it holds
at one time is a chunk, or the one literal or comment that is longer. It knows lexical rules, no statements:
comments (`--`, `#`, `/* */`; MySQL's executable `/*! */` are reported to `heard`), quoting and escapes.

Not covered: ANSI_QUOTES and NO_BACKSLASH_ESCAPES, which mysqldump switches off; encodings in which a byte
below 128 may be part of a letter (gbk, sjis, big5, utf16).
"""

import re
from collections.abc import Callable
from typing import BinaryIO

from helpers.database_error import DatabaseError

CHUNK = 1 << 16
SINGLE = rb"'(?:[^'\\]++|\\.|'')*+'"
DOUBLE = rb'"(?:[^"\\]++|\\.|"")*+"'
BACKTICK = rb"`(?:[^`]++|``)++`"


def compiled(pattern: bytes) -> re.Pattern[bytes]:
    """Compile a pattern the way every pattern here is meant: any case, `.` is any byte."""
    return re.compile(pattern, re.IGNORECASE | re.DOTALL)


WORD = compiled(rb"[a-z_][a-z0-9_$]*+")
NAME = compiled(BACKTICK + rb"|[a-z0-9_$\x80-\xff]++")
BLANK = compiled(rb"\s++|--(?=\s)[^\n]*+\n?|#[^\n]*+\n?|/\*(?:[^*]++|\*(?!/))*+\*/")
PIECE = compiled(rb"%b|%b|%b|[^'\"`;/#\s-]++|\s++|[-/]" % (SINGLE, DOUBLE, BACKTICK))
# Only what one of these opens may be longer than a chunk; for anything else a chunk ahead decides.
OPENED = compiled(rb"(?:_[a-z0-9]++\s*|[xbn])?['\"]|`|/\*")
# What a cut leaves: nothing, a piece of a word or number, or something that is opened and not closed.
FRAGMENT = compiled(
    rb"\s*+(?:[@a-z0-9_$.+-]*+\s*+(?:%b?\s*+|%b?\s*+)?|`[^`]*+|/\*.*|/)"
    % (SINGLE[:-1] + rb"(?:\\|')", DOUBLE[:-1] + rb'(?:\\|")')
)


class Scanner:
    """A position in a stream of bytes, with a window around it that slides and, for a long literal, grows."""

    def __init__(self, stream: BinaryIO, name: str, *, heard: Callable[[bytes, int], None] | None = None):
        self.stream = stream
        self.name = name
        self.heard = heard
        self._begin(line=1)

    def seek(self, offset: int, *, line: int) -> None:
        """Go to a position whose line is known."""
        self.stream.seek(offset)
        self._begin(line=line)

    def _begin(self, *, line: int) -> None:
        self.ended = False
        self._window = b""
        self._at = 0
        self._start = self.stream.tell()
        self._lines = line

    @property
    def offset(self) -> int:
        """Return the position in the stream, in bytes."""
        return self._start + self._at

    @property
    def line(self) -> int:
        """Return the number of the line here, counted from 1."""
        return self._lines + self._window.count(b"\n", 0, self._at)

    def take(self, pattern: re.Pattern[bytes]) -> re.Match[bytes] | None:
        """Match `pattern` here and step over it, or return None and stay."""
        found = pattern.match(self._window, self._at)
        while not self.ended and (found is None or found.end() == len(self._window)):
            enough = len(self._window) - self._at >= CHUNK
            if found is None and enough and not OPENED.match(self._window, self._at):
                break
            self._slide()
            found = pattern.match(self._window, self._at)
        if found:
            self._at = found.end()
        return found

    def skip(self) -> bool:
        """Step over blanks and comments, reporting MySQL's executable ones; return whether there were any."""
        before = self.offset
        while found := self.take(BLANK):
            if self.heard and found[0].startswith(b"/*!"):
                self.heard(found[0], self.line)
        return self.offset > before

    def at_end(self) -> bool:
        """Tell whether nothing but blanks and comments is left."""
        self.skip()
        return self.ended and self._at == len(self._window)

    def peek(self, pattern: re.Pattern[bytes]) -> str:
        """Return what `pattern` matches here, or an empty string, without stepping over it."""
        found = self.take(pattern)
        if not found:
            return ""
        self._at -= len(found[0])
        return found[0].decode("ascii", "replace")

    def fault(self, expected: str, *, code: str = "dump_invalid") -> DatabaseError:
        """Make the error for a text that does not go on as it should: because it ends, or otherwise."""
        if self.ended and FRAGMENT.fullmatch(self._window, self._at):
            return self.error(f"the file is cut off: it ends where {expected} should stand", code="dump_cut")
        ahead = self._window[self._at : self._at + 24].split(b"\n")[0].decode("ascii", "replace").strip()
        return self.error(f"{expected} expected, found {ahead!r}", code=code)

    def error(self, cause: str, *, code: str = "dump_invalid", line: int | None = None) -> DatabaseError:
        """Make the error for this line, or the given one."""
        return DatabaseError(code, f"{self.name}, line {line or self.line}: {cause}.")

    def _slide(self) -> None:
        """Drop what lies behind and read on, as much again as is kept: a long literal costs linear time."""
        rest = self._window[self._at :]
        self._lines += self._window.count(b"\n", 0, self._at)
        self._start += self._at
        more = self.stream.read(max(CHUNK, len(rest)))
        self.ended = not more
        self._window, self._at = rest + more, 0
