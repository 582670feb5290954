"""Scored runs become methods: runs that differ in their seed alone are one, its seeds a part of how sure it is.

>>> methods = score(run, found, examples, database, suite)
>>> methods[0].name, len(methods[0].runs), methods[0].rates["ex"].rate
('03_baseline', 3, 0.61)
>>> parts(methods[0], "difficulty")["hard"]                # Part(n=52, templates=24, rate=0.44, low=0.27, high=0.63)

A method's rates are means over its runs. Intervals of rates are the cluster bootstrap of `intervals`; a part holds too
few templates for that and has Wilson's interval with one observation a template. Knows no models.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean

from helpers import evaluate, intervals, runs, sql
from helpers.compared import Compared
from helpers.database import Database
from helpers.dataset import Example
from helpers.evaluate import CONVENTIONS, Verdict
from helpers.intervals import Seeds
from helpers.runs import Prediction, Run

RATES = ("va", *CONVENTIONS, "ts")
DIFFICULTIES = ("easy", "medium", "hard", "extra")
NOT_THE_METHOD = ("seed", "variant", "out", "copy_to")
NO_LATENCY = {"mean_s": None, "median_s": None, "p95_s": None, "total_s": None}


@dataclass(frozen=True)
class Scored:
    """A run with its verdicts, in the order of the examples, and their summary."""

    name: str
    seed: int | None
    predictions: list[Prediction]
    verdicts: list[Verdict]
    metrics: dict


@dataclass(frozen=True)
class Method:
    """One run, or several that differ in their seed; `rates` has no `ts` where no test suite was asked."""

    name: str
    runs: tuple[Scored, ...]
    examples: list[Example]
    templates: list[str]
    rates: dict[str, Seeds]


@dataclass(frozen=True)
class Part:
    """EX of the questions of one difficulty or with one feature; `n` questions of so many templates."""

    n: int
    templates: int
    rate: float
    low: float
    high: float


def score(
    run: Run,
    found: Sequence[Compared],
    examples: Sequence[Example],
    database: Database,
    suite: Sequence[Database] | None,
) -> list[Method]:
    """Score every run's predictions of the same examples, write verdicts.jsonl, and return the methods."""
    scored = []
    for each in found:
        verdicts = evaluate.score(examples, each.predictions, database, suite=suite, jobs=run.params.jobs)
        summary = evaluate.summarise(verdicts, examples, each.predictions)
        scored.append(Scored(each.name, each.params.get("seed"), each.predictions, verdicts, summary))
    rows = [{"run": each.name} | asdict(verdict) for each in scored for verdict in each.verdicts]
    run.write("verdicts.jsonl", "".join(map(runs.to_line, rows)))
    return group(scored, [each.params for each in found], examples)


def group(scored: Sequence[Scored], params: Sequence[Mapping], examples: Sequence[Example]) -> list[Method]:
    """Put runs whose parameters differ in the seed alone into one method, in order of first appearance.

    Runs without parameters belong together if their names do but for `seed=N`. Two runs of one seed are no repetition:
    such runs stay methods of their own.
    """
    together: dict[tuple, list[Scored]] = {}
    for each, values in zip(scored, params, strict=True):
        kept = sorted((k, repr(v)) for k, v in values.items() if k not in NOT_THE_METHOD)
        together.setdefault(tuple(kept) or (unseeded(each.name),), []).append(each)
    kinds: list[list[Scored]] = []
    for kin in together.values():
        repeated = len({each.seed if each.seed is not None else each.name for each in kin}) < len(kin)
        kinds += [[each] for each in kin] if repeated else [kin]
    kinds = [sorted(kin, key=lambda each: (each.seed is None, each.seed)) for kin in kinds]
    names = [_name(kin) for kin in kinds]
    templates = [sql.template(example.sql) for example in examples]
    return [
        _method(name if names.count(name) == 1 else kin[0].name, kin, list(examples), templates)
        for name, kin in zip(names, kinds, strict=True)
    ]


def unseeded(name: str) -> str:
    """Return a run's name without its seed: `03_baseline/k=0,seed=7` -> `03_baseline/k=0`."""
    return re.sub(r"(^|(?<=[/,]))seed=\d+(,|$)", "", name).rstrip(",/") or name


def _name(kin: Sequence[Scored]) -> str:
    """Return the name that the runs of a method share; a single run keeps its own."""
    return unseeded(kin[0].name) if len(kin) > 1 else kin[0].name


def _method(name: str, kin: Sequence[Scored], examples: list[Example], templates: list[str]) -> Method:
    there = [score for score in RATES if score in kin[0].metrics["intervals"]]
    rates = {score: intervals.over_seeds(_rows(kin, score), templates) for score in there}
    return Method(name, tuple(kin), examples, templates, rates)


def _rows(kin: Sequence[Scored], score: str) -> list[list[bool]]:
    return [[bool(getattr(verdict, score)) for verdict in each.verdicts] for each in kin]


def outcomes(method: Method, score: str) -> list[list[bool]]:
    """Return one row a run and in it, question by question, whether the answer is right by this score."""
    return _rows(method.runs, score)


def share_right(method: Method) -> list[float]:
    """Return, question by question, the share of the method's runs that has it right by EX."""
    return [fmean(column) for column in zip(*outcomes(method, "ex"), strict=True)]


def mean(method: Method, value: Callable[[dict], float | None]) -> float | None:
    """Return the mean over a method's runs of a number in their metrics; None where a run lacks it."""
    values = [value(each.metrics) for each in method.runs]
    return None if None in values else fmean(values)


def parts(method: Method, kind: str) -> dict[str, Part]:
    """Return EX by `difficulty` or by `feature`; a question has one difficulty and any number of features."""
    members: dict[str, list[int]] = {}
    for at, example in enumerate(method.examples):
        for name in _parts_of(example, kind):
            members.setdefault(name, []).append(at)
    right = share_right(method)
    order = [name for name in DIFFICULTIES if name in members] if kind == "difficulty" else []
    return {name: _part(method, members[name], right) for name in [*order, *sorted(members.keys() - set(order))]}


def _parts_of(example: Example, kind: str) -> Sequence[str]:
    if kind == "difficulty":
        return [example.difficulty or sql.hardness(example.sql)]
    return example.features or sql.features(example.sql)


def _part(method: Method, members: Sequence[int], right: Sequence[float]) -> Part:
    rate = fmean(right[at] for at in members)
    templates = len({method.templates[at] for at in members})
    low, high = intervals.wilson(rate * templates, templates)
    return Part(len(members), templates, rate, low, high)


def error_classes(method: Method) -> dict[str, tuple[float, float]]:
    """Return for each class of error how many answers of a run it is, and what EX would be without it.

    Both are means over the runs; the most frequent class comes first.
    """
    names = {name for each in method.runs for name in each.metrics["error_classes"]}
    none = {"n": 0}
    cells = {
        name: [
            {"ex_if_fixed": each.metrics["ex"]} | each.metrics["error_classes"].get(name, none) for each in method.runs
        ]
        for name in names
    }
    found = {name: (fmean(c["n"] for c in many), fmean(c["ex_if_fixed"] for c in many)) for name, many in cells.items()}
    return dict(sorted(found.items(), key=lambda item: (-item[1][0], item[0])))


def costs(method: Method) -> dict[str, float | None]:
    """Return what an answer costs, None where unknown: seconds, tokens, and seconds for each right answer."""
    seconds = {
        name: mean(method, lambda m, name=name: (m["latency"] or NO_LATENCY)[name])
        for name in ("mean_s", "median_s", "p95_s", "total_s")
    }
    tokens = mean(method, lambda m: m["tokens"]["per_question"]) or None
    right = fmean(sum(row) for row in outcomes(method, "ex"))
    per_correct = seconds["total_s"] / right if seconds["total_s"] is not None and right else None
    return {**seconds, "tokens": tokens, "seconds_per_correct": per_correct}
