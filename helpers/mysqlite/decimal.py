"""MySQL's decimal arithmetic beyond a fixed number of decimals, as Python functions that SQLite calls.

>>> divide(1, 0, 3, 0), multiply("0.333333333", 0, 3, 0), scaled("0.999999999", 4)
('0.333333333', '0.999999999', 10000)

A quotient carries more digits than it shows: they are cut after a multiple of nine, as in MySQL's
strings/decimal.c (`do_div_mod`), and rounded half up only where the number is shown or stored. Such a number
is text here; one with a fixed scale is an integer that goes with its scale, so operands come in pairs: number
and scale.
"""

from collections.abc import Callable

_DIGITS_PER_WORD = 9
_PRECISION_INCREMENT = 4
_INT64 = 2**63


def _parts(number: int | str | float, scale: int) -> tuple[int, int]:
    """Split a number into an integer and its count of decimals."""
    if isinstance(number, str):
        whole, _, decimals = number.partition(".")
        return int(whole + decimals), len(decimals)
    return int(number), scale


def _written(number: int, decimals: int) -> str:
    if not decimals:
        return str(number)
    whole, rest = divmod(abs(number), 10**decimals)
    return f"{'-' if number < 0 else ''}{whole}.{rest:0{decimals}}"


def _words(decimals: int) -> int:
    return -(-decimals // _DIGITS_PER_WORD) * _DIGITS_PER_WORD


def divide(left: int | str, left_scale: int, right: int | str, right_scale: int) -> str | None:
    """Divide to as many decimals as MySQL keeps, cutting the rest; NULL for a divisor of zero."""
    dividend, decimals = _parts(left, left_scale)
    divisor, others = _parts(right, right_scale)
    if not divisor:
        return None
    kept = _words(decimals) + _words(others)
    kept = _words(kept + max(0, _PRECISION_INCREMENT - (kept - decimals - others)))
    quotient = abs(dividend) * 10 ** (kept - decimals + others) // abs(divisor)
    return _written(quotient if (dividend < 0) == (divisor < 0) else -quotient, kept)


def multiply(left: int | str, left_scale: int, right: int | str, right_scale: int) -> str:
    """Multiply; the decimals add up."""
    (first, decimals), (second, others) = _parts(left, left_scale), _parts(right, right_scale)
    return _written(first * second, decimals + others)


def add(left: int | str, left_scale: int, right: int | str, right_scale: int) -> str:
    """Add at the greater number of decimals."""
    (first, decimals), (second, others) = _parts(left, left_scale), _parts(right, right_scale)
    most = max(decimals, others)
    return _written(first * 10 ** (most - decimals) + second * 10 ** (most - others), most)


def negate(number: str) -> str:
    """Change the sign."""
    return number[1:] if number.startswith("-") else f"-{number}"


def scaled(number: int | str | float, scale: int) -> int | float:
    """Round half up (away from zero) to an integer of that scale; a double where 64 bits do not hold it."""
    digits, decimals = _parts(number, scale)
    return _fitted(_shifted(digits, decimals, scale))


def _shifted(digits: int, decimals: int, scale: int) -> int:
    if scale >= decimals:
        return digits * 10 ** (scale - decimals)
    unit = 10 ** (decimals - scale)
    rounded = (abs(digits) * 2 + unit) // (2 * unit)
    return rounded if digits >= 0 else -rounded


def _fitted(number: int) -> int | float:
    return number if -_INT64 <= number < _INT64 else float(number)


def rounded(number: int | str, scale: int, places: int) -> int | float:
    """Round half up to a number of places, negative ones too; the result has the scale max(places, 0)."""
    digits, decimals = _parts(number, scale)
    result = _shifted(digits, decimals, places)
    return _fitted(result * 10 ** max(0, -places))


def truncated(number: int | str, scale: int, places: int) -> int | float:
    """Cut to a number of places, negative ones too; the result has the scale max(places, 0)."""
    digits, decimals = _parts(number, scale)
    shift = places - decimals
    result = abs(digits) * 10**shift if shift >= 0 else abs(digits) // 10**-shift
    result *= 10 ** max(0, -places)
    return _fitted(result if digits >= 0 else -result)


def rescaled(number: int | str, scale: int, places: int) -> int | float:
    """Round to a number of places that is known only when the statement runs, keeping the scale."""
    digits, decimals = _parts(number, scale)
    places = min(places, scale)
    return _fitted(_shifted(digits, decimals, places) * 10 ** (scale - places))


def floor(number: int | str, scale: int) -> int | float:
    """Round down to an integer."""
    digits, decimals = _parts(number, scale)
    return _fitted(digits // 10**decimals)


def ceiling(number: int | str, scale: int) -> int | float:
    """Round up to an integer."""
    digits, decimals = _parts(number, scale)
    return _fitted(-(-digits // 10**decimals))


class Total:
    """SUM over numbers in text, also over a moving window."""

    def __init__(self) -> None:
        self.total = 0
        self.decimals = 0
        self.count = 0

    def step(self, number: str | None) -> None:
        """Take one more number in."""
        self._count(number, 1)

    def inverse(self, number: str | None) -> None:
        """Let a number go that has left the window."""
        self._count(number, -1)

    def _count(self, number: str | None, sign: int) -> None:
        if number is None:
            return
        digits, decimals = _parts(number, 0)
        if decimals > self.decimals:
            self.total *= 10 ** (decimals - self.decimals)
            self.decimals = decimals
        self.total += sign * digits * 10 ** (self.decimals - decimals)
        self.count += sign

    def value(self) -> str | None:
        """Return the sum so far, NULL over no numbers."""
        return _written(self.total, self.decimals) if self.count else None

    finalize = value


FUNCTIONS: dict[str, Callable] = {
    "decimal_divide": divide, "decimal_multiply": multiply, "decimal_add": add, "decimal_negate": negate,
    "decimal_scaled": scaled, "decimal_rounded": rounded, "decimal_truncated": truncated,
    "decimal_rescaled": rescaled, "decimal_floor": floor, "decimal_ceiling": ceiling,
}  # fmt: skip
