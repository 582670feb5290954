"""Any number of runs side by side: scores with intervals, paired differences, failures, one self-contained page.

>>> compared = collect(run)                                    # the runs that 06_evaluate was given
>>> scored = score(run, compared, examples, database, suite)
>>> write(run, scored)                                         # comparison.csv, figures, report.html

Intervals and p-values come from `intervals`, verdicts from `evaluate`; this room lays them out. A difference is taken
from the first run named, item by item. Knows no models.
"""

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from helpers import evaluate, intervals, runs, sql
from helpers.database import Database
from helpers.dataset import Example
from helpers.evaluate import CONVENTIONS, Verdict
from helpers.runs import Prediction, Run, RunError

SHOWN = ("va", "ex", "ts")
FAILURES = 10

CONTEXT = (
    ("Llama-3-8B-Instruct, zero-shot, Spider dev, EX", "60.9", "Databricks, on tuning Llama 3 for text-to-SQL"),
    ("the same after fine-tuning", "79.9", "Databricks, on tuning Llama 3 for text-to-SQL"),
    ("Llama-3-8B-Instruct, BIRD mini-dev MySQL, EX", "24.6", "README of BIRD mini-dev"),
    ("3 exemplars chosen at random, Vicuna-33B, EX", "46.9", "README of DAIL-SQL"),
    ("3 exemplars chosen by similarity, Vicuna-33B, EX", "53.6", "README of DAIL-SQL"),
)


@dataclass(frozen=True)
class Compared:
    """A run whose predictions are scored; `name` is its folder below the suite."""

    name: str
    folder: Path
    predictions: list[Prediction]


@dataclass(frozen=True)
class Scored:
    """A run with its verdicts, in the order of the examples, and their summary."""

    name: str
    examples: list[Example]
    predictions: list[Prediction]
    verdicts: list[Verdict]
    metrics: dict


def collect(run: Run) -> list[Compared]:
    """Read the predictions of every run that was asked for, each variant on its own.

    Raises RunError for a run that is missing, unfinished or without predictions.
    """
    found = [folder for name in run.params.compare for folder in _variants(run.params.out, name)]
    out = Path(run.params.out)
    names = [str(f.relative_to(out)) if f.is_relative_to(out) else str(f) for f in found]
    compared = [Compared(name, f, runs.predictions(f)) for name, f in zip(names, found, strict=True)]
    run.depends(**{each.name: each.folder / "predictions.jsonl" for each in compared})
    return compared


def _variants(out: str, name: str) -> list[Path]:
    """Return the run folder of that name, or its variants if it only holds those."""
    folder = Path(out) / name
    inside = sorted(p.parent for p in folder.glob("*/predictions.jsonl")) if not (folder / "status").exists() else []
    return [runs.upstream(out, str(Path(name) / each.name)) for each in inside] or [runs.upstream(out, name)]


def answered(compared: Sequence[Compared], examples: Sequence[Example]) -> list[Example]:
    """Return the examples that the runs answered, all of them the same ones.

    Raises RunError if two runs answered different questions, as they could not be paired.
    """
    ids = {each.name: {p.example_id for p in each.predictions} for each in compared}
    first = ids[compared[0].name]
    odd = [name for name, found in ids.items() if found != first]
    if odd:
        raise RunError(f"{odd[0]} and {compared[0].name} answered different questions: give both the same limit.")
    return [example for example in examples if example.id in first]


def score(
    run: Run,
    compared: Sequence[Compared],
    examples: Sequence[Example],
    database: Database,
    suite: Sequence[Database] | None,
) -> list[Scored]:
    """Score every run's predictions of the same examples, and write verdicts.jsonl."""
    scored = []
    for each in compared:
        verdicts = evaluate.score(examples, each.predictions, database, suite=suite, jobs=run.params.jobs)
        summary = evaluate.summarise(verdicts, examples, each.predictions)
        scored.append(Scored(each.name, list(examples), each.predictions, verdicts, summary))
    rows = [{"run": each.name} | asdict(verdict) for each in scored for verdict in each.verdicts]
    run.write("verdicts.jsonl", "".join(map(runs.to_line, rows)))
    return scored


def comparison(scored: Sequence[Scored]):
    """Return one row a run: every rate, with the intervals of VA, EX and TS, and what an answer cost."""
    import pandas

    rows = []
    for each in scored:
        row = {"method": each.name, "n": each.metrics["n"]}
        for name in ("va", *CONVENTIONS, "ts", "ex_informative"):
            row[name] = each.metrics[name]
            span = each.metrics["intervals"].get(name)
            row |= {f"{name}_low": span["low"], f"{name}_high": span["high"]} if span and name in SHOWN else {}
        latency = each.metrics["latency"]
        row["seconds_per_question"] = latency["mean_s"] if latency else None
        row["tokens_per_question"] = each.metrics["tokens"]["per_question"]
        rows.append(row)
    return pandas.DataFrame(rows)


def differences(scored: Sequence[Scored]):
    """Return each run's difference from the first, in EX and TS, with interval, exact McNemar and Holm's correction."""
    import pandas

    base, rows = scored[0], []
    clusters = [sql.template(example.sql) for example in base.examples]
    for each in scored[1:]:
        for name in ("ex", "ts"):
            before, after = ([getattr(v, name) for v in s.verdicts] for s in (base, each))
            if None in before or None in after:
                continue
            pair = intervals.paired(before, after, clusters)
            rows.append({"method": f"{each.name} − {base.name}", "score": name, **asdict(pair)})
    corrected = intervals.holm([row["p_value"] for row in rows])
    rows = [row | {"p_holm": p} for row, p in zip(rows, corrected, strict=True)]
    columns = ["method", "score", "difference", "low", "high", "p_value", "p_holm", "gained", "lost", "detectable"]
    return pandas.DataFrame(rows, columns=columns)


def flipped(scored: Sequence[Scored]) -> list[str]:
    """Name the pairs of runs that swap ranks between two conventions, one sentence each."""
    told = []
    for number, a in enumerate(scored):
        for b in scored[number + 1 :]:
            gap = {name: a.metrics[name] - b.metrics[name] for name in CONVENTIONS}
            ahead, behind = [n for n in gap if gap[n] > 0], [n for n in gap if gap[n] < 0]
            if ahead and behind:
                told.append(f"{a.name} is ahead of {b.name} by {', '.join(ahead)} and behind by {', '.join(behind)}.")
    return told


def figure_scores(scored: Sequence[Scored]):
    """Draw VA, EX and TS of every run as bars with their 95 % intervals; return the Figure."""
    from matplotlib.figure import Figure

    table = comparison(scored)
    figure = Figure(figsize=(1.8 + 1.6 * len(scored), 3.6), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(SHOWN)
    for number, (name, colour) in enumerate(zip(SHOWN, ("#9db4c0", "#2a6f97", "#013a63"), strict=True)):
        if table[name].isna().any():
            continue
        at = [row + (number - 1) * width for row in range(len(table))]
        spread = [
            (table[name] - table[f"{name}_low"]).clip(lower=0),
            (table[f"{name}_high"] - table[name]).clip(lower=0),
        ]
        axes.bar(at, table[name], width * 0.92, yerr=spread, label=name.upper(), color=colour, capsize=3, ecolor="#555")
        for x, value in zip(at, table[name], strict=True):
            axes.annotate(
                f"{value:.0%}", (x, 0.015), ha="center", fontsize=8, color="white" if value > 0.1 else "black"
            )
    axes.set_xticks(range(len(table)), table["method"])
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, ncols=3, loc="upper center", bbox_to_anchor=(0.5, 1.16))
    axes.set_xlabel(f"{scored[0].metrics['n']} questions; bars span the 95 % interval, clustered by SQL template")
    return figure


def figure_loss(history: Sequence[dict]):
    """Draw the training loss over steps; return the Figure."""
    from matplotlib.figure import Figure

    steps = [row for row in history if "loss" in row]
    figure = Figure(figsize=(6, 2.8), layout="constrained")
    axes = figure.subplots()
    axes.plot([row["step"] for row in steps], [row["loss"] for row in steps], color="#2a6f97")
    axes.set_xlabel("step")
    axes.set_ylabel("loss on the answers")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def error_classes(scored: Sequence[Scored]):
    """Return how often each class of error is a run's main one, and what EX would be without it."""
    import pandas

    rows = [
        {"method": each.name, "class": name, "n": cell["n"], "ex if fixed": cell["ex_if_fixed"]}
        for each in scored
        for name, cell in each.metrics["error_classes"].items()
    ]
    return pandas.DataFrame(rows, columns=["method", "class", "n", "ex if fixed"])


def failures(each: Scored, n: int = FAILURES):
    """Return a run's first `n` wrong answers beside their gold."""
    import pandas

    wrong = [(e, v) for e, v in zip(each.examples, each.verdicts, strict=True) if not v.ex][:n]
    rows = [(e.id, e.nlq, e.sql, v.sql, v.error_class, v.error) for e, v in wrong]
    return pandas.DataFrame(rows, columns=["id", "question", "gold", "prediction", "class", "error"])


def write(run: Run, scored: Sequence[Scored]) -> Path:
    """Write comparison.csv, figures/scores.png and .svg, and report.html; return the page's path."""
    run.write("comparison.csv", comparison(scored).to_csv(index=False))
    figures = run.folder / "figures"
    figures.mkdir(exist_ok=True)
    figure = figure_scores(scored)
    for suffix in ("png", "svg"):
        figure.savefig(figures / f"scores.{suffix}", dpi=160)
    return run.write("report.html", _page(scored, figure))


def metrics(scored: Sequence[Scored]) -> dict:
    """Return what metrics.json of 06_evaluate holds: each run's summary, and the best run's VA, EX and TS."""
    best = max(scored, key=lambda each: each.metrics["ex"])
    top = {name: best.metrics[name] for name in SHOWN}
    return {"best": best.name, **top, "flipped": flipped(scored), "methods": {s.name: s.metrics for s in scored}}


def _page(scored: Sequence[Scored], figure) -> str:
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=160)
    data = base64.b64encode(image.getvalue()).decode()
    warnings = "".join(f"<p class=warn>{html.escape(text)}</p>" for text in flipped(scored))
    wrong = "".join(f"<h3>{html.escape(s.name)}</h3>{_plain(failures(s))}" for s in scored)
    return _PAGE.format(
        n=scored[0].metrics["n"],
        image=data,
        warnings=warnings,
        scores=_scores_table(scored),
        differences=_table(
            differences(scored), percent=("difference", "low", "high", "detectable"), number=("p_value", "p_holm")
        ),
        classes=_table(error_classes(scored), percent=("ex if fixed",)),
        failures=wrong,
        context=_context(),
    )


def _scores_table(scored: Sequence[Scored]) -> str:
    table = comparison(scored)
    rates = [
        name for name in table.columns if name not in ("method", "n", "seconds_per_question", "tokens_per_question")
    ]
    return _table(table, percent=rates, number=("seconds_per_question", "tokens_per_question"))


def _table(frame, *, percent: Sequence[str] = (), number: Sequence[str] = ()) -> str:
    from great_tables import GT

    table = GT(frame).fmt_percent(list(percent), decimals=1).fmt_number(list(number), decimals=2)
    return f"<div class=wide>{table.sub_missing(missing_text='–').as_raw_html()}</div>"


def _plain(frame) -> str:
    return f"<div class=wide>{frame.to_html(index=False, border=0)}</div>" if len(frame) else "<p>None.</p>"


def _context() -> str:
    import pandas

    return _plain(pandas.DataFrame(CONTEXT, columns=["published elsewhere, other data", "%", "source"]))


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Text-to-SQL: methods compared</title>
<style>
 body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1b1b1b }}
 .wide {{ overflow-x: auto; margin: 1rem 0 }} img {{ max-width: 100%; height: auto }}
 table.dataframe {{ border-collapse: collapse; font-size: .85rem }} .dataframe td, .dataframe th {{
 padding: .3rem .6rem; text-align: left; vertical-align: top; border-top: 1px solid #ddd; overflow-wrap: anywhere;
 min-width: 5rem }} .warn {{ border-left: 4px solid #c77700; padding-left: .8rem }}
 @media print {{ .wide {{ overflow: visible }} body {{ font-size: 11px }} }}
</style></head><body>
<h1>Text-to-SQL: methods compared on {n} questions</h1>
<p>VA: the statement runs. EX: its result equals the gold's. TS: it does so on every variant of the database too. Every
rate has all questions in its denominator.</p>
<img alt="VA, EX and TS of every method with 95 % intervals" src="data:image/png;base64,{image}">
{warnings}
<h2>Scores</h2>{scores}
<h2>Differences, question by question</h2>
<p>An interval that spans zero means that these questions cannot tell the two apart; <i>detectable</i> is the smallest
true difference they would find in four of five tries.</p>{differences}
<h2>Why answers are wrong</h2>{classes}
<h2>Wrong answers</h2>{failures}
<h2>For orientation</h2>{context}
</body></html>
"""
