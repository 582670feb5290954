"""A chart where a result asks for one: a category and a number as bars, a date and a number as a line.

>>> chart = choose(Result(("status", "orders"), [("Shipped", 303), ("On Hold", 4)]))
>>> chart.kind, image(chart)
('bars', '<img alt="Bars: orders by status, 2 values from 4 to 303" src="data:image/svg+xml;base64,…">')

No chart is drawn of anything else: more or fewer than two columns, repeated labels, a single row, more than MAX_BARS
categories, a number that only names something (`customerNumber`), a result that was cut. Years count as dates if their
column is called so. Rows keep their order as bars; dates are put in order.
"""

import base64
import html
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from helpers.database import Result

MAX_BARS = 24
MAX_POINTS = 2000
LABEL_CHARACTERS = 28
ACCENT, INK, FAINT = "#2563a8", "#27313d", "#d5dbe3"

_DATE = re.compile(r"\d{4}-\d\d(-\d\d([ T]\d\d:\d\d(:\d\d(\.\d+)?)?)?)?\Z")
_YEAR = re.compile(r"[12]\d{3}\Z")
_NAMES_SOMETHING = re.compile(r"[a-z](Number|Id|ID|Code)\Z|_(id|number|code|no)\Z|\Aid\Z")


@dataclass(frozen=True)
class Chart:
    """What to draw: `kind` is "bars" or "line"; `labels` are text, or datetimes for a line."""

    kind: str
    labels: tuple
    values: tuple[float, ...]
    by: str
    of: str


def choose(result: Result) -> Chart | None:
    """Return the chart that fits a result, or None."""
    if result.error or result.truncated or len(result.columns) != 2 or not 2 <= len(result.rows) <= MAX_POINTS:
        return None
    for label, number in ((0, 1), (1, 0)):
        labels, numbers = [row[label] for row in result.rows], [row[number] for row in result.rows]
        by, of = result.columns[label], result.columns[number]
        if not _are_amounts(numbers, of) or len(set(labels)) < len(labels):
            continue
        if dates := _dates(labels, by):
            pairs = sorted(zip(dates, map(float, numbers), strict=True))
            return Chart("line", tuple(d for d, _ in pairs), tuple(n for _, n in pairs), by, of)
        if len(labels) <= MAX_BARS and all(isinstance(each, str | None) for each in labels):
            return Chart("bars", tuple("NULL" if each is None else each for each in labels),
                         tuple(map(float, numbers)), by, of)  # fmt: skip
    return None


def image(chart: Chart) -> str:
    """Draw a chart as an HTML image that holds its SVG and says in words what it shows."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    height = 0.34 * len(chart.values) + 0.9 if chart.kind == "bars" else 3.2
    with rc_context({"font.size": 11, "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK,
                     "ytick.color": INK, "axes.edgecolor": FAINT, "svg.hashsalt": "playground"}):  # fmt: skip
        figure = Figure(figsize=(5.4, height), layout="constrained")
        axes = figure.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        _bars(axes, chart) if chart.kind == "bars" else _line(axes, chart)
        svg = io.BytesIO()
        figure.savefig(svg, format="svg", metadata={"Date": None})
    data = base64.b64encode(svg.getvalue()).decode()
    return f'<img class="chart" alt="{html.escape(_said(chart))}" src="data:image/svg+xml;base64,{data}">'


def _bars(axes, chart: Chart) -> None:
    places = range(len(chart.labels))
    bars = axes.barh(places, chart.values, color=ACCENT, height=0.66)
    axes.bar_label(bars, [_amount(value) for value in chart.values], padding=4, fontsize=10)
    axes.set_yticks(places, [_short(label) for label in chart.labels])
    axes.invert_yaxis()
    axes.margins(x=0.16)
    axes.tick_params(length=0)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.set_title(_literal(chart.of), loc="left", fontsize=11, fontweight="bold")


def _line(axes, chart: Chart) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.ticker import FuncFormatter

    few = len(chart.values) <= 40
    axes.plot(chart.labels, chart.values, color=ACCENT, linewidth=2, marker="o" if few else "", markersize=4.5)
    locator = AutoDateLocator(maxticks=8)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _place: _amount(value)))
    axes.grid(axis="y", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_ylim(bottom=min(0.0, *chart.values))
    axes.set_title(_literal(chart.of), loc="left", fontsize=11, fontweight="bold")


def _are_amounts(values: Sequence, name: str) -> bool:
    numbers = all(isinstance(v, int | float | Decimal) for v in values)
    return numbers and not _NAMES_SOMETHING.search(name) and not _is_year(name)


def _is_year(name: str) -> bool:
    return "year" in name.lower()


def _dates(labels: Sequence, name: str) -> list[datetime] | None:
    """Read labels as dates, months or years; None if one of them is none, or is a date that no calendar has."""
    texts = [str(label) for label in labels]
    pattern = _YEAR if _is_year(name) and all(_YEAR.match(text) for text in texts) else _DATE
    if not all(pattern.match(text) for text in texts):
        return None
    try:
        return [datetime.fromisoformat(text + {4: "-01-01", 7: "-01"}.get(len(text), "")) for text in texts]
    except ValueError:  # 0000-00-00
        return None


def _amount(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 10_000 else f"{value:,.2f}"


def _short(label: str) -> str:
    return _literal(label if len(label) <= LABEL_CHARACTERS else f"{label[: LABEL_CHARACTERS - 1]}…")


def _literal(text: str) -> str:
    """Keep matplotlib from reading dollar signs as mathematics."""
    return text.replace("$", r"\$")


def _said(chart: Chart) -> str:
    kind, low, high = chart.kind.capitalize(), _amount(min(chart.values)), _amount(max(chart.values))
    return f"{kind}: {chart.of} by {chart.by}, {len(chart.values)} values from {low} to {high}"
