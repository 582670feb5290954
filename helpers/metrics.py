"""Verdicts of one method become its numbers: rates over all items, by difficulty and feature, costs, intervals.

    summarise(verdicts, examples, predictions)["by_difficulty"]["hard"]   # {"n": 50, "va": 0.9, "ex": 0.4, ...}

Every rate has all items in its denominator but `ex_informative`, which leaves out items whose gold is empty,
NULL or a single 0. Not known here: how a verdict came about. Intervals are by `intervals.cluster_interval`,
cluster = SQL template.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from helpers import sql
from helpers.comparison import CONVENTIONS
from helpers.dataset import Example
from helpers.intervals import cluster_interval
from helpers.journal import Prediction

RATES = ("va", *CONVENTIONS, "ts")


def summarise(verdicts: Sequence, examples: Sequence[Example], predictions: Iterable[Prediction]) -> dict:
    """Return a method's metrics as JSON-ready values; `ts` is None where no test suite was given."""
    by_id = {example.id: example for example in examples}
    informative = [verdict for verdict in verdicts if "uninformative" not in verdict.flags]
    flags = Counter(flag for verdict in verdicts for flag in verdict.flags)
    return {
        **_rates(verdicts, RATES),
        "ex_informative": _rate(informative, "ex"),
        "informative": _rates(informative, RATES),
        "vacuous": {"n": flags["vacuous"], "right": sum("vacuous" in v.flags and v.ex for v in verdicts)},
        "missing": flags["missing"],
        "truncated": flags["truncated"],
        "intervals": _intervals(verdicts, by_id),
        "by_difficulty": _parts(
            verdicts, lambda v: [by_id[v.example_id].difficulty or sql.hardness(by_id[v.example_id].sql)]
        ),
        "by_feature": _parts(verdicts, lambda v: by_id[v.example_id].features or sql.features(by_id[v.example_id].sql)),
        "error_codes": dict(Counter(v.error_code for v in verdicts if v.error_code).most_common()),
        "error_classes": _classes(verdicts),
        **_costs(list(predictions), sum(verdict.ex for verdict in verdicts)),
    }


def _rate(verdicts: Sequence, name: str) -> float | None:
    values = [getattr(verdict, name) for verdict in verdicts]
    return sum(values) / len(values) if values and None not in values else None


def _rates(verdicts: Sequence, names: Sequence[str]) -> dict:
    return {"n": len(verdicts), **{name: _rate(verdicts, name) for name in names}}


def _parts(verdicts: Sequence, parts_of) -> dict[str, dict]:
    """Return the rates of each part; an item may belong to several (a feature), or to one (a difficulty)."""
    members: dict[str, list] = {}
    for verdict in verdicts:
        for part in parts_of(verdict):
            members.setdefault(part, []).append(verdict)
    return {part: _rates(members[part], RATES) for part in sorted(members)}


def _intervals(verdicts: Sequence, by_id: Mapping[str, Example]) -> dict[str, dict]:
    if not verdicts:
        return {}
    templates = [sql.template(by_id[verdict.example_id].sql) for verdict in verdicts]
    values = {name: [getattr(verdict, name) for verdict in verdicts] for name in RATES}
    return {name: asdict(cluster_interval(v, templates)) for name, v in values.items() if None not in v}


def _classes(verdicts: Sequence) -> dict[str, dict]:
    """Count each class of error, and say what EX would be if all items of that class were mended."""
    counts = Counter(verdict.error_class for verdict in verdicts if verdict.error_class)
    wrong = Counter(verdict.error_class for verdict in verdicts if not verdict.ex)
    right = sum(verdict.ex for verdict in verdicts)
    return {name: {"n": n, "ex_if_fixed": (right + wrong[name]) / len(verdicts)} for name, n in counts.most_common()}


def _costs(predictions: Sequence[Prediction], right: int) -> dict:
    """Return seconds and tokens of generation; latency is None where no prediction says how long it took."""
    import numpy as np

    seconds = [prediction.seconds for prediction in predictions]
    timed = bool(seconds) and max(seconds) > 0
    prompt, completion = (sum(getattr(p, f"{kind}_tokens") for p in predictions) for kind in ("prompt", "completion"))
    return {
        "latency": {
            "mean_s": float(np.mean(seconds)),
            "median_s": float(np.median(seconds)),
            "p95_s": float(np.percentile(seconds, 95)),
            "total_s": float(np.sum(seconds)),
        }
        if timed
        else None,
        "tokens": {
            "prompt": prompt,
            "completion": completion,
            "per_question": (prompt + completion) / len(predictions) if predictions else 0.0,
        },
        "seconds_per_correct": float(np.sum(seconds)) / right if timed and right else None,
    }
