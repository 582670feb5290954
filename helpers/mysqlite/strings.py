"""MySQL's string functions as Python functions that SQLite calls.

>>> substring_index("a.b.c", ".", -2), format_number("1234567.891", 2), to_number("12abc")
('b.c', '1,234,567.89', 12.0)

A function gets and returns what SQLite holds (int, float, str, bytes). Those of `FUNCTIONS` are not called
with NULL, for their result is NULL then; those of `NULLABLE` are. Locales other than en_US are not covered.
"""

import hashlib
import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal

from helpers.mysqlite import collation
from helpers.mysqlite.types import number_prefix


def to_number(value: object) -> float:
    """Read the number a string begins with, 0.0 if none."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return number_prefix(value) if isinstance(value, str) else float(value)


def to_integer(value: str) -> int:
    """Read the integer a string begins with (CAST AS SIGNED), 0 if none."""
    found = re.match(r"\s*[+-]?\d+", value)
    return int(found.group()) if found else 0


def decimal_text(value: int, scale: int) -> str:
    """Write a scaled integer with its decimals."""
    return f"{Decimal(value).scaleb(-scale):.{scale}f}"


def double_text(value: float) -> str:
    """Write a double as MySQL does: the shortest text that reads back, exponents from 1e15 on."""
    if value == 0:
        return "0"
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    if 1e-15 <= abs(value) < 1e15:
        return f"{Decimal(repr(value)):f}"
    mantissa, exponent = repr(value).split("e") if "e" in repr(value) else f"{value:e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}e{int(exponent)}"


def format_number(value: float | int | str, places: int) -> str:
    """Write a number with thousands separators and that many decimals, rounded half up (FORMAT)."""
    exact = Decimal(value) if isinstance(value, str) else Decimal(repr(value))
    return f"{exact.quantize(Decimal(1).scaleb(-max(0, min(30, places))), ROUND_HALF_UP):,f}"


def char_at(text: str, start: int, length: int | None = None) -> str:
    """Take part of a string; positions count from 1, negative ones from the end (SUBSTRING)."""
    if start == 0 or abs(start) > len(text):
        return ""
    begin = start - 1 if start > 0 else len(text) + start
    return text[begin:] if length is None else text[begin : begin + max(length, 0)]


def right(text: str, length: int) -> str:
    """Take the last characters."""
    return text[-length:] if length > 0 else ""


def substring_index(text: str, delimiter: str, count: int) -> str:
    """Take what is before (after, if negative) the count-th delimiter."""
    if not delimiter or count == 0:
        return ""
    parts = text.split(delimiter)
    return delimiter.join(parts[:count] if count > 0 else parts[count:])


def pad_left(text: str, length: int, filler: str) -> str | None:
    """Fill up, or cut, to a length on the left."""
    return _padded(text, length, filler, lambda fill: fill + text)


def pad_right(text: str, length: int, filler: str) -> str | None:
    """Fill up, or cut, to a length on the right."""
    return _padded(text, length, filler, lambda fill: text + fill)


def _padded(text: str, length: int, filler: str, join: Callable[[str], str]) -> str | None:
    if length < 0 or length > 16_777_216:
        return None
    missing = length - len(text)
    if missing <= 0:
        return text[:length]
    return join((filler * (missing // len(filler) + 1))[:missing]) if filler else ""


def repeat(text: str, count: int) -> str | None:
    """Repeat a string; NULL beyond max_allowed_packet."""
    return text * max(count, 0) if len(text) * count <= 67_108_864 else None


def trim_both(text: str, what: str) -> str:
    """Remove a string from both ends as often as it is there."""
    return trim_trailing(trim_leading(text, what), what)


def trim_leading(text: str, what: str) -> str:
    """Remove a string from the front as often as it is there."""
    while what and text.startswith(what):
        text = text[len(what) :]
    return text


def trim_trailing(text: str, what: str) -> str:
    """Remove a string from the end as often as it is there."""
    while what and text.endswith(what):
        text = text[: -len(what)]
    return text


def locate(what: str, text: str, start: int, binary: int) -> int:
    """Find a string in another, ignoring case and accents unless `binary`; 0 where it is not.

    As in MySQL (`my_instr_mb`), only stretches of as many bytes are compared: 'é' is not found in 'e'.
    """
    if start < 1 or start > len(text) + 1:
        return 0
    if binary or (what.isascii() and text.isascii()):
        return (text.find(what, start - 1) if binary else text.lower().find(what.lower(), start - 1)) + 1
    size, sought = len(what.encode()), collation.key(what)
    for position in range(start - 1, len(text) + 1):
        stretch = text[position : position + size].encode()[:size].decode("utf-8", "replace")
        if len(stretch.encode()) == size and collation.key(stretch) == sought:
            return position + 1
    return 0


def concat_ws(separator: str, *parts: str | None) -> str:
    """Join the parts that are not NULL."""
    return separator.join(part for part in parts if part is not None)


def insert(text: str, position: int, length: int, new: str) -> str:
    """Replace part of a string (INSERT)."""
    if not 1 <= position <= len(text):
        return text
    rest = "" if length < 0 or position - 1 + length > len(text) else text[position - 1 + length :]
    return text[: position - 1] + new + rest


def find_in_set(key: str, text: str) -> int:
    """Find a key among comma-separated ones, 0 where it is not."""
    keys = [collation.key(part) for part in text.split(",")] if text else []
    return keys.index(collation.key(key)) + 1 if collation.key(key) in keys else 0


def string_compare(left: str, right: str) -> int:
    """Compare two sort keys: -1, 0 or 1 (STRCMP)."""
    return (left > right) - (left < right)


def hex_text(value: int | str | bytes) -> str:
    """Write a number or a string's bytes in hexadecimal."""
    if isinstance(value, (int, float)):
        return f"{int(value) & 0xFFFFFFFFFFFFFFFF:X}"
    return (value.encode() if isinstance(value, str) else value).hex().upper()


def convert_base(text: str, source: int, target: int) -> str | None:
    """Write a number in another base (CONV)."""
    try:
        number = int(text, abs(source))
    except ValueError:
        return "0"
    digits = ""
    while number:
        number, digit = divmod(number, abs(target))
        digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[digit] + digits
    return digits or "0"


def soundex(text: str) -> str:
    """Write MySQL's soundex, which is not cut to four characters."""
    codes = {c: d for d, letters in enumerate(("BFPV", "CGJKQSXZ", "DT", "L", "MN", "R"), 1) for c in letters}
    letters = [c for c in text.upper() if c.isalpha()]
    if not letters:
        return ""
    result, last = letters[0], codes.get(letters[0], 0)
    for letter in letters[1:]:
        code = codes.get(letter, 0)
        if letter not in "HW":
            if code and code != last:
                result += str(code)
            last = code
    return result.ljust(4, "0")


def upper(text: str) -> str:
    """Write in capitals, one for one: ß stays."""
    return "".join([c.upper() if len(c.upper()) == 1 else c for c in text])


def lower(text: str) -> str:
    """Write in small letters, one for one."""
    return "".join([c.lower() if len(c.lower()) == 1 else c for c in text])


def _digest(name: str) -> Callable[[str | bytes], str]:
    return lambda value: hashlib.new(name, value.encode() if isinstance(value, str) else value).hexdigest()


def sha2(value: str, bits: int) -> str | None:
    """Return the SHA-2 of that many bits in hexadecimal."""
    names = {0: "sha256", 224: "sha224", 256: "sha256", 384: "sha384", 512: "sha512"}
    return _digest(names[bits])(value) if bits in names else None


def ascii_code(text: str) -> int:
    """Return the first byte's code, 0 for an empty string."""
    return text.encode()[0] if text else 0


def char_text(*codes: int) -> str:
    """Make a string of character codes (CHAR)."""
    return "".join(chr(code) for code in codes if code is not None)


def extremum_text(value: str, key: str) -> str:
    """Join a sort key and its value, so that MIN and MAX find the value of the least or greatest key."""
    return f"{key}\0{value}"


def extremum_value(pair: str) -> str:
    """Take the value of such a pair."""
    return pair.partition("\0")[2]


FUNCTIONS = {
    "to_number": to_number, "to_integer": to_integer, "decimal_text": decimal_text,
    "double_text": double_text,
    "format_number": format_number, "char_at": char_at, "text_right": right,
    "substring_index": substring_index,
    "pad_left": pad_left, "pad_right": pad_right, "repeat": repeat, "reverse": lambda text: text[::-1],
    "trim_both": trim_both, "trim_leading": trim_leading, "trim_trailing": trim_trailing, "locate": locate,
    "text_upper": upper, "text_lower": lower, "insert_text": insert, "find_in_set": find_in_set,
    "string_compare": string_compare, "hex_text": hex_text, "convert_base": convert_base, "soundex": soundex,
    "md5": _digest("md5"), "sha1": _digest("sha1"), "sha2": sha2, "ascii_code": ascii_code,
     "extremum_text": extremum_text, "extremum_value": extremum_value,
}  # fmt: skip
NULLABLE = {"concat_ws": concat_ws, "char_text": char_text}
