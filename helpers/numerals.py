"""Numbers as a reader of a table wants them: per cent, points with a sign, intervals, p-values.

>>> percent(0.61), points(-0.045), span(0.524, 0.692), p_value(0.0004)
('61.0', '−4.5', '52.4–69.2', '< 0.001')

Units stand in the head of a table, not in its cells.
"""

NONE = "–"


def percent(value: float | None) -> str:
    """Write a rate in per cent, one decimal."""
    return NONE if value is None else f"{100 * value:.1f}"


def points(value: float) -> str:
    """Write a difference of rates in points, with its sign."""
    return f"{100 * value:+.1f}".replace("-", "−").replace("+0.0", "0.0").replace("−0.0", "0.0")


def span(low: float, high: float) -> str:
    """Write an interval of rates in per cent."""
    return f"{100 * low:.1f}–{100 * high:.1f}"


def p_value(value: float) -> str:
    """Write a p-value to three decimals."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def number(value: float | None) -> str:
    """Write seconds to two decimals."""
    return NONE if value is None else f"{value:,.2f}"
