"""The tables of a report as text: every cell as it is read, the same in the page and in the thesis.

>>> scores(methods).columns
('method', 'va', 'ex', 'ex_strict', 'ex_superset', 'ex_set', 'ex_spider', 'ts', 'ex_informative')
>>> scores(methods).rows[0][:3]
('03_baseline', '97.0\\n93.1–98.9', '61.0\\n52.4–69.2')

Rates are in per cent. A cell's second line, such as an interval, is set smaller. Knows neither HTML nor LaTeX:
`report_page` and `latex` lay a sheet out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from helpers import contrasts as between
from helpers import methods as of
from helpers.contrasts import Contrast
from helpers.evaluate import CONVENTIONS
from helpers.methods import Method
from helpers.numerals import NONE, number, p_value, percent, points, span

OTHER_RANK = " ⇅"
SPIDER_BLOG = "Databricks, databricks.com/blog/improving-text2sql-performance-ease-databricks"
MINI_DEV = "README of BIRD mini-dev, github.com/bird-bench/mini_dev"
DAIL = "README of DAIL-SQL, github.com/BeachWang/DAIL-SQL"
CONTEXT = (
    ("Llama-3-8B-Instruct, zero-shot", "Spider dev", "60.9", SPIDER_BLOG),
    ("Llama-3-8B-Instruct, fine-tuned", "Spider dev", "79.9", SPIDER_BLOG),
    ("Llama-3-8B-Instruct", "BIRD mini-dev, MySQL", "24.6", MINI_DEV),
    ("Vicuna-33B, 3 exemplars at random", "Spider dev", "46.9", DAIL),
    ("Vicuna-33B, 3 exemplars by similarity", "Spider dev", "53.6", DAIL),
)


@dataclass(frozen=True)
class Sheet:
    """A table: `name` for files, `align` one letter a column, `note` what a reader must know to read it."""

    name: str
    caption: str
    columns: tuple[str, ...]
    align: str
    rows: list[tuple[str, ...]]
    note: str = ""


def scores(methods: Sequence[Method]) -> Sheet:
    """Lay out methods × conventions with intervals, and mark places that differ from the place by EX."""
    columns = ["va", *CONVENTIONS, *(["ts"] if "ts" in methods[0].rates else [])]
    rows = [
        (method.name, *(_score(methods, method, name) for name in columns), _informative(method)) for method in methods
    ]
    return Sheet(
        "scores",
        "Methods by convention",
        ("method", *columns, "ex_informative"),
        "l" + "r" * (len(columns) + 1),
        rows,
        f"Per cent of {len(methods[0].examples)} questions with 95 % intervals, clustered by SQL template. "
        "ex_informative leaves out questions whose gold is empty, NULL or a single 0."
        + (
            f"{OTHER_RANK} another place than by ex." if any(OTHER_RANK in cell for row in rows for cell in row) else ""
        ),
    )


def _score(methods: Sequence[Method], method: Method, name: str) -> str:
    places = [between.rank(methods, method, score) for score in (name, "ex")]
    other = name in CONVENTIONS and places[0] != places[1]
    found = method.rates[name]
    return f"{percent(found.rate)}{OTHER_RANK if other else ''}\n{span(found.low, found.high)}"


def _informative(method: Method) -> str:
    rate = of.mean(method, lambda metrics: metrics["ex_informative"])
    return f"{percent(rate)}\nn = {method.runs[0].metrics['informative']['n']}"


def seeds(methods: Sequence[Method]) -> Sheet | None:
    """Lay out how far the seeds of a method lie apart, beside what the questions contribute; None without such."""
    rows = [_seeds(method) for method in methods if len(method.runs) > 1]
    if not rows:
        return None
    return Sheet(
        "seeds",
        "Seeds as a component of their own",
        ("method", "seeds", "mean ex", "lowest–highest", "sd of seeds", "se by seeds", "se by questions", "variance"),
        "lrrrrrrr",
        rows,
        "In points of EX. se: standard error of the mean that the seeds and the questions cause; variance: the share "
        "of the seeds in the variance of the mean, in per cent. A method with one run says nothing of its seeds.",
    )


def _seeds(method: Method) -> tuple[str, ...]:
    found = method.rates["ex"]
    each = [run.metrics["ex"] for run in method.runs]
    error = found.between_seeds / len(each) ** 0.5
    total = error**2 + found.between_items**2
    share = percent(error**2 / total) if total else NONE
    named = ", ".join(str(run.seed) if run.seed is not None else run.name for run in method.runs)
    parts = (found.between_seeds, error, found.between_items)
    return (
        method.name,
        f"{len(each)}\n{named}",
        percent(found.rate),
        span(min(each), max(each)),
        *(f"{100 * part:.2f}" for part in parts),
        share,
    )


def differences(methods: Sequence[Method], contrasts: Sequence[Contrast]) -> Sheet:
    """Lay out paired differences; of more than three methods only those from the first, as `matrix` has the others."""
    shown = [c for c in contrasts if len(methods) <= 3 or c.first == methods[0].name]
    return Sheet(
        "differences",
        "Paired differences",
        ("difference", "by", "points", "gained", "lost", "p", "p (Holm)", "detectable", "told apart"),
        "llrrrrrrl",
        [_difference(c) for c in shown],
        "In points, with the cluster bootstrap's 95 % interval. gained, lost: questions that only the one or only the "
        "other has right. p: McNemar's exact test; Holm over all pairs of a score. detectable: the smallest true "
        "difference that these questions find in four of five tries." + _sign_test(methods),
    )


def _sign_test(methods: Sequence[Method]) -> str:
    if all(len(method.runs) == 1 for method in methods):
        return ""
    return (
        " With several seeds a question is gained where more of the seeds have it right, and the test is a sign test."
    )


def _difference(contrast: Contrast) -> tuple[str, ...]:
    found, blank = contrast.paired, between.undecided(contrast)
    return (
        f"{contrast.second}\nminus {contrast.first}",
        contrast.score,
        f"{points(found.difference)}\n{NONE if blank else f'{points(found.low)} to {points(found.high)}'}",
        str(found.gained),
        str(found.lost),
        p_value(found.p_value),
        p_value(contrast.p_holm),
        NONE if blank else f"{100 * found.detectable:.1f}",
        "yes" if between.told_apart(contrast) else "no",
    )


def matrix(methods: Sequence[Method], contrasts: Sequence[Contrast]) -> Sheet | None:
    """Lay out EX of each method minus EX of every other; None for fewer than three methods."""
    if len(methods) < 3:
        return None
    gap = {(c.first, c.second): (c, -1) for c in contrasts if c.score == "ex"}
    gap |= {(c.second, c.first): (c, 1) for c in contrasts if c.score == "ex"}
    rows = [
        (a.name, str(n), *("·" if a is b else _cell(*gap[a.name, b.name]) for b in methods))
        for n, a in enumerate(methods, 1)
    ]
    return Sheet(
        "matrix",
        "Every method minus every other",
        ("method", "no.", *(str(n) for n in range(1, len(methods) + 1))),
        "lr" + "r" * len(methods),
        rows,
        "Points of EX, row minus column. * told apart: McNemar's exact test after Holm's correction over all pairs "
        "below 0.05, and an interval without zero.",
    )


def _cell(contrast: Contrast, sign: int) -> str:
    return points(sign * contrast.paired.difference) + ("*" if between.told_apart(contrast) else "")


def parts(methods: Sequence[Method], kind: str) -> Sheet:
    """Lay out EX by `difficulty` or by SQL `feature`, with the number of questions."""
    found = [of.parts(method, kind) for method in methods]
    rows = [
        (name.replace("_", " "), str(part.n), str(part.templates), *(_part(each[name]) for each in found))
        for name, part in found[0].items()
    ]
    return Sheet(
        kind,
        f"EX by {kind if kind == 'difficulty' else 'SQL feature'}",
        (kind, "n", "templates", *(method.name for method in methods)),
        "lrr" + "r" * len(methods),
        rows,
        "Per cent right, with Wilson's 95 % interval at one observation a template."
        + (" A question counts for every feature of its gold." if kind == "feature" else ""),
    )


def _part(part) -> str:
    return f"{percent(part.rate)}\n{span(part.low, part.high)}"


def error_classes(methods: Sequence[Method]) -> Sheet:
    """Lay out how many answers fall into each class of error, and EX if that class were fixed."""
    found = [of.error_classes(method) for method in methods]
    total = {name: sum(each.get(name, (0, 0))[0] for each in found) for each in found for name in each}
    names = sorted(total, key=lambda name: (-total[name], name))
    rows = [(name, *(_class(each.get(name)) for each in found)) for name in names]
    return Sheet(
        "error_classes",
        "Classes of error",
        ("class", *(method.name for method in methods)),
        "l" + "r" * len(methods),
        rows,
        "Answers whose main error is of this class; below it EX, in per cent, if all of them were right.",
    )


def _class(cell: tuple[float, float] | None) -> str:
    return f"{cell[0]:.3g}\n→ {percent(cell[1])}" if cell else NONE


def costs(methods: Sequence[Method]) -> Sheet:
    """Lay out what a question costs in seconds and tokens, and what a right answer does."""
    rows = []
    for method in methods:
        found = of.costs(method)
        kinds = [found[name] for name in ("mean_s", "median_s", "p95_s")]
        tokens = f"{found['tokens']:,.0f}" if found["tokens"] is not None else NONE
        per_correct = found["seconds_per_correct"]
        rows.append((method.name, percent(method.rates["ex"].rate), *map(number, kinds), tokens, number(per_correct)))
    return Sheet(
        "costs",
        "What an answer costs",
        ("method", "ex", "s mean", "s median", "s 95th", "tokens", "s per right answer"),
        "lrrrrrr",
        rows,
        "Seconds of generation and tokens (prompt and answer) a question; seconds are those of the machine the run was "
        "made on.",
    )


def runs(methods: Sequence[Method]) -> Sheet:
    """Lay out which runs were compared: model, way of asking, seed, and what there is to know of the answers."""
    rows = [
        (
            run.name,
            run.verdicts[0].model or NONE,
            run.verdicts[0].method or NONE,
            NONE if run.seed is None else str(run.seed),
            *(str(value) for value in (run.metrics["n"], run.metrics["missing"], run.metrics["truncated"])),
            f"{run.metrics['vacuous']['right']} of {run.metrics['vacuous']['n']}",
        )
        for method in methods
        for run in method.runs
    ]
    return Sheet(
        "runs",
        "Runs",
        ("run", "model", "asked by", "seed", "questions", "unanswered", "cut at the row cap", "right as both empty"),
        "lllrrrrr",
        rows,
        "An unanswered question and a result cut at the row cap count as wrong.",
    )


def context() -> Sheet:
    """Lay out figures published elsewhere, with their sources."""
    columns = ("model", "questions", "ex", "source")
    note = "Other data and other conventions: for orientation, not for comparison."
    return Sheet("context", "Published elsewhere", columns, "llrl", list(CONTEXT), note)


def every(methods: Sequence[Method], contrasts: Sequence[Contrast]) -> dict[str, Sheet]:
    """Return all sheets that apply, by name."""
    drawn = (
        scores(methods),
        seeds(methods),
        differences(methods, contrasts) if contrasts else None,
        matrix(methods, contrasts),
        parts(methods, "difficulty"),
        parts(methods, "feature"),
        error_classes(methods),
        costs(methods),
        context(),
        runs(methods),
    )
    return {sheet.name: sheet for sheet in drawn if sheet is not None}
