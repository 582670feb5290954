"""What 06_evaluate leaves: comparison.csv, figures, tables for a thesis, metrics, and one self-contained page.

>>> methods = score(run, found, examples, database, suite)          # helpers.methods
>>> contrasts = pairs(methods)                                      # helpers.contrasts
>>> write(run, methods, contrasts, manifest)                        # report.html and the files beside it

`methods` and `contrasts` compute, `sheets` and `figures` show, `report_page` and `latex` set; this room puts them into
a run folder. Knows no models.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from helpers import contrasts as between
from helpers import figures, latex, report_page, sheets
from helpers import methods as of
from helpers.contrasts import Contrast
from helpers.figures import loss as figure_loss
from helpers.methods import Method
from helpers.numerals import percent
from helpers.runs import Run

__all__ = ["comparison", "figure_loss", "metrics", "write"]


def comparison(methods: Sequence[Method]):
    """Return one row a method: every rate with its interval and its spread over seeds, and what an answer costs."""
    import pandas

    rows = []
    for method in methods:
        row = {"method": method.name, "n": len(method.examples), "runs": len(method.runs)}
        for name in of.RATES:
            found = method.rates.get(name)
            row[name] = found.rate if found else None
            row |= {f"{name}_low": found.low, f"{name}_high": found.high} if found else {}
        row["ex_informative"] = of.mean(method, lambda metrics: metrics["ex_informative"])
        row["ex_between_seeds"] = method.rates["ex"].between_seeds if len(method.runs) > 1 else None
        found = of.costs(method)
        row |= {"seconds_per_question": found["mean_s"], "tokens_per_question": found["tokens"]}
        rows.append(row | {"seconds_per_correct": found["seconds_per_correct"]})
    return pandas.DataFrame(rows)


def metrics(methods: Sequence[Method], contrasts: Sequence[Contrast]) -> dict:
    """Return what metrics.json of 06_evaluate holds: the best method's VA, EX and TS, every method's, every run's."""
    best = min(methods, key=lambda method: between.rank(methods, method, "ex"))
    return {
        "best": best.name,
        **{name: best.rates[name].rate if name in best.rates else None for name in ("va", "ex", "ts")},
        "flipped": between.swaps(methods),
        "differences": [asdict(contrast) for contrast in contrasts],
        "methods": {method.name: _summary(method) for method in methods},
        "runs": {run.name: run.metrics for method in methods for run in method.runs},
    }


def _summary(method: Method) -> dict:
    rates = {name: method.rates[name].rate if name in method.rates else None for name in of.RATES}
    spread = {name: asdict(found) for name, found in method.rates.items()}
    return {"n": len(method.examples), **rates, "intervals": spread, "runs": [run.name for run in method.runs]}


def write(run: Run, methods: Sequence[Method], contrasts: Sequence[Contrast], manifest: Mapping | None = None) -> Path:
    """Write comparison.csv, figures/, tables/ and report.html into the run folder; return the page's path."""
    drawn, shown = figures.every(methods), sheets.every(methods, contrasts)
    run.write("comparison.csv", comparison(methods).to_csv(index=False))
    images = {}
    for folder in ("figures", "tables"):
        (run.folder / folder).mkdir(exist_ok=True)
    for name, figure in drawn.items():
        images[name] = figures.save(figure, run.folder / "figures" / name).read_bytes()
    for name, sheet in shown.items():
        run.write(f"tables/{name}.tex", latex.table(sheet))
    return run.write("report.html", report_page.page(methods, contrasts, shown, images, _about(run, manifest)))


def _about(run: Run, manifest: Mapping | None) -> dict[str, str]:
    """Say on which database and test suite the report rests; a source never shows who connects."""
    about = {"split": run.params.split, "seed": str(run.params.seed)}
    if manifest and manifest["variants"]:
        variants, killed = len(manifest["variants"]), percent(manifest["kill_rate"])
        about["test suite"] = f"of {variants} variants, {killed} % of near misses told from their gold"
    return about
