"""The figures of a report: matplotlib, narrow enough for a phone and a thesis column, one colour a method everywhere.

>>> figures = every(methods)                     # {"scores": Figure, "conventions": Figure, "difficulty": Figure, ...}
>>> save(figures["scores"], folder / "scores")   # scores.png and scores.svg, the same bytes each time

Each function returns a Figure that belongs to no window. Colours are those of Okabe and Ito (2008), which the
colour-blind can tell apart; from the ninth method on they come again with another mark.
"""

from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path

from helpers import methods as of
from helpers.evaluate import CONVENTIONS
from helpers.methods import Method

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A5C3E", "#555555")
MARKS = ("o", "s", "^", "D")
WIDTH = 5.0  # inches
CLASSES = 8
STYLE = {
    "font.size": 10.5,
    "font.family": ["DejaVu Sans"],
    "text.color": "#333333",
    "text.parse_math": False,  # a method's name may hold a $
    "axes.edgecolor": "#bbbbbb",
    "axes.labelcolor": "#333333",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#e8e8e8",
    "grid.linewidth": 0.8,
    "xtick.color": "#bbbbbb",
    "xtick.labelcolor": "#333333",
    "ytick.color": "#bbbbbb",
    "ytick.labelcolor": "#333333",
    "legend.frameon": False,
    "svg.hashsalt": "report",
}


def colours(methods: Sequence[Method]) -> dict[str, str]:
    """Return each method's colour, by its name."""
    return {method.name: COLOURS[n % len(COLOURS)] for n, method in enumerate(methods)}


def every(methods: Sequence[Method]) -> dict[str, object]:
    """Draw all figures that apply, by name; the error classes have one a method, `error_classes_1` and on."""
    drawn = {
        "scores": scores(methods),
        "conventions": conventions(methods),
        "difficulty": parts(methods, "difficulty"),
        "feature": parts(methods, "feature"),
        "costs": costs(methods),
    }
    drawn |= {f"error_classes_{n}": error_classes(methods, at=n - 1) for n in range(1, len(methods) + 1)}
    return {name: figure for name, figure in drawn.items() if figure is not None}


def save(figure, stem: Path) -> Path:
    """Write a figure as STEM.png and STEM.svg; return the path of the PNG."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        figure.savefig(stem.with_name(f"{stem.name}.png"), dpi=180)
        figure.savefig(stem.with_name(f"{stem.name}.svg"), metadata={"Date": None})
    return stem.with_name(f"{stem.name}.png")


def scores(methods: Sequence[Method]):
    """Draw VA, EX and TS of every method with their 95 % intervals, and a faint mark for each seed."""
    shown = [name for name in ("va", "ex", "ts") if name in methods[0].rates]
    with _figure(_height(len(shown), len(methods)), methods) as (figure, axes):
        for n, method in enumerate(methods):
            found = [method.rates[name] for name in shown]
            at = _marks(axes, n, methods, [(s.rate, s.low, s.high) for s in found])
            for y, name, seeds in zip(at, shown, found, strict=True):
                each = [run.metrics[name] for run in method.runs] if len(method.runs) > 1 else []
                axes.plot(each, [y] * len(each), "|", color=COLOURS[n % len(COLOURS)], alpha=0.6, markersize=7)
                axes.annotate(
                    f"{100 * seeds.rate:.1f}",
                    (1.0, y),
                    xycoords=("axes fraction", "data"),
                    xytext=(34, 0),
                    textcoords="offset points",
                    ha="right",
                    va="center",
                    fontsize=9.5,
                )
        _percent_axis(axes, [name.upper() for name in shown])
        several = any(len(method.runs) > 1 for method in methods)
        axes.set_xlabel("right, with 95 % interval" + "; | one seed" * several)
    return figure


def conventions(methods: Sequence[Method]):
    """Draw every method's rate under each convention; lines that cross are ranks that swap. None for one method."""
    if len(methods) < 2:
        return None
    with _figure(0.9 + 0.36 * len(CONVENTIONS), methods) as (figure, axes):
        for n, method in enumerate(methods):
            rates = [method.rates[name].rate for name in CONVENTIONS]
            colour = COLOURS[n % len(COLOURS)]
            axes.plot(rates, range(len(rates)), color=colour, marker=_mark(n), linewidth=1, alpha=0.9)
        _percent_axis(axes, CONVENTIONS)
        axes.set_xlabel("right; lines that cross are ranks that swap")
    return figure


def parts(methods: Sequence[Method], kind: str):
    """Draw EX by `difficulty` or by SQL `feature`, the most frequent feature first; n is in the label."""
    found = [of.parts(method, kind) for method in methods]
    names = list(found[0])
    if not names:
        return None
    if kind == "feature":
        names.sort(key=lambda name: -found[0][name].n)
    with _figure(_height(len(names), len(methods)), methods) as (figure, axes):
        for n, each in enumerate(found):
            _marks(axes, n, methods, [(each[name].rate, each[name].low, each[name].high) for name in names])
        _percent_axis(axes, [f"{name.replace('_', ' ')}  n = {found[0][name].n}" for name in names])
        axes.set_xlabel("EX, with Wilson's 95 % interval")
    return figure


def error_classes(methods: Sequence[Method], *, at: int):
    """Draw one method's most frequent classes of error as bars, each with what EX would be without it.

    The bars of all methods have one scale. None where nothing is wrong.
    """
    every_class = [of.error_classes(method) for method in methods]
    found, method = list(every_class[at].items())[:CLASSES], methods[at]
    if not found:
        return None
    most = max(n for each in every_class for n, _ in each.values())
    with _figure(0.75 + 0.27 * len(found), ()) as (figure, axes):
        rows = range(len(found))
        axes.barh(rows, [n for _, (n, _) in found], height=0.62, color=colours(methods)[method.name])
        for y, (_, (n, fixed)) in zip(rows, found, strict=True):
            axes.annotate(
                f"{n:.3g}   EX {100 * fixed:.1f} if fixed",
                (n, y),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=9.5,
            )
        axes.set_yticks(rows, [name for name, _ in found])
        axes.invert_yaxis()
        axes.set_xlim(0, most * 2.3)
        axes.tick_params(length=0)
        axes.set_xticks([])
        axes.spines[["bottom"]].set_visible(False)
        rate = method.rates["ex"].rate
        axes.set_title(f"{_short(method.name)}: EX {100 * rate:.1f}", loc="left", fontsize=10.5, fontweight="bold")
    return figure


def costs(methods: Sequence[Method]):
    """Draw EX against seconds and against tokens a question, and the seconds a right answer takes; None if unknown."""
    import matplotlib
    from matplotlib.figure import Figure

    found = [of.costs(method) for method in methods]
    panels = [name for name in ("mean_s", "tokens") if any(each[name] for each in found)]
    per_correct = any(each["seconds_per_correct"] is not None for each in found)
    if not panels:
        return None
    heights = [2.3] * len(panels) + ([0.5 + 0.24 * len(methods)] if per_correct else [])
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, sum(heights) + 0.3 * _legend_rows(methods)), layout="constrained")
        drawn = figure.subplots(len(heights), gridspec_kw={"height_ratios": heights}, squeeze=False)[:, 0]
        for axes, name in zip(drawn, panels, strict=False):
            _against(axes, methods, [each[name] for each in found])
            axes.set_xlabel({"mean_s": "seconds a question", "tokens": "tokens a question"}[name])
        if per_correct:
            _per_correct(drawn[-1], methods, [each["seconds_per_correct"] for each in found])
        _legend(figure, methods)
    return figure


def _against(axes, methods: Sequence[Method], values: Sequence[float | None]) -> None:
    """Draw EX with its interval against a cost, on a logarithmic axis where costs lie far apart."""
    from matplotlib.ticker import LogLocator, NullFormatter

    known = [value for value in values if value]
    for n, (method, value) in enumerate(zip(methods, values, strict=True)):
        if not value:
            continue
        found = method.rates["ex"]
        spread = [[max(0.0, found.rate - found.low)], [max(0.0, found.high - found.rate)]]
        axes.errorbar([value], [found.rate], yerr=spread, fmt=_mark(n), color=COLOURS[n % len(COLOURS)], markersize=6)
    if max(known) > 10 * min(known):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlim(min(known) / 1.6, max(known) * 1.6)
    else:
        axes.set_xlim(0, max(known) * 1.12)
    axes.set_ylim(-0.02, 1)
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    axes.set_ylabel("EX")
    axes.grid(True)


def _per_correct(axes, methods: Sequence[Method], values: Sequence[float | None]) -> None:
    rows = range(len(methods))
    axes.barh(rows, [value or 0 for value in values], height=0.6, color=list(colours(methods).values()))
    for y, value in zip(rows, values, strict=True):
        told = "none right, or time unknown" if value is None else f"{value:,.2f} s"
        axes.annotate(told, (value or 0, y), xytext=(4, 0), textcoords="offset points", va="center", fontsize=9.5)
    axes.set_xlim(0, max(value for value in values if value is not None) * 1.3)
    axes.set_yticks([])
    axes.invert_yaxis()
    axes.set_xlabel("seconds a right answer")


def loss(history: Sequence[dict]):
    """Draw the training loss over steps."""
    steps = [row for row in history if "loss" in row]
    with _figure(2.6, ()) as (figure, axes):
        axes.plot([row["step"] for row in steps], [row["loss"] for row in steps], color=COLOURS[0])
        axes.set_xlabel("step")
        axes.set_ylabel("loss on the answers")
        axes.grid(True)
    return figure


@contextmanager
def _figure(height: float, methods: Sequence[Method]):
    """Give a figure in the house's style and its one axes, with a legend of the methods."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, height + 0.3 * _legend_rows(methods)), layout="constrained")
        yield figure, figure.subplots()
        _legend(figure, methods)


def _height(groups: int, methods: int) -> float:
    """Return the inches that so many groups of marks take."""
    return 0.6 + groups * (0.18 * methods + 0.17)


def _marks(axes, number: int, methods: Sequence[Method], found: Sequence[tuple[float, float, float]]) -> list[float]:
    """Draw one method's rates with their intervals, a row a group, and return the rows."""
    step = 0.8 / len(methods)
    at = [row + (number - (len(methods) - 1) / 2) * step for row in range(len(found))]
    rates = [rate for rate, _, _ in found]
    spread = [[max(0.0, rate - low) for rate, low, _ in found], [max(0.0, high - rate) for rate, _, high in found]]
    colour = COLOURS[number % len(COLOURS)]
    axes.errorbar(rates, at, xerr=spread, fmt=_mark(number), color=colour, markersize=4.5, elinewidth=1.3)
    return at


def _percent_axis(axes, names: Sequence[str]) -> None:
    """Label the groups on the y axis, the first on top, with a line between them, and 0 to 100 % on the x axis."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(-0.02, 1.02)
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    axes.grid(True, axis="x")
    for row in range(1, len(names)):
        axes.axhline(row - 0.5, color="#e8e8e8", linewidth=0.8)
    axes.spines["left"].set_visible(False)


def _mark(number: int) -> str:
    return MARKS[number // len(COLOURS) % len(MARKS)]


def _legend(figure, methods: Sequence[Method]) -> None:
    from matplotlib.lines import Line2D

    if len(methods) < 2:
        return
    entries = [
        Line2D([], [], color=COLOURS[n % len(COLOURS)], marker=_mark(n), linestyle="", label=_short(method.name))
        for n, method in enumerate(methods)
    ]
    figure.legend(handles=entries, loc="outside upper left", ncols=_legend_columns(methods), handletextpad=0.2)


def _legend_columns(methods: Sequence[Method]) -> int:
    longest = max(len(_short(method.name)) for method in methods)
    return max(1, min(len(methods), 52 // (longest + 5)))


def _legend_rows(methods: Sequence[Method]) -> int:
    return -(-len(methods) // _legend_columns(methods)) if len(methods) > 1 else 0


def _short(name: str, width: int = 42) -> str:
    """Leave out the middle of a long name."""
    return name if len(name) <= width else f"{name[: width // 2 - 1]}…{name[-width // 2 :]}"
