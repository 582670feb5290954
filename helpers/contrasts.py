"""Methods against each other, question by question: differences, how sure they are, and ranks that swap.

>>> contrasts = pairs(methods)
>>> contrasts[0]
Contrast(first='03_baseline', second='05_qlora', score='ex', paired=Paired(difference=0.08, ...), p_holm=0.03)
>>> swaps(methods)
['03_baseline is ahead of 04_react by ex, ex_set and behind by ex_superset.']

Every pair of methods is tested by EX, with the gold's columns exactly (ex_strict) and with more of them allowed
(ex_superset), and by TS, since an effect whose sign hangs on the convention is none. Holm's correction is over all
pairs of a score. Two methods are told apart where the corrected test is significant and the interval leaves out zero.
`intervals` does the arithmetic.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations

from helpers import intervals
from helpers.evaluate import CONVENTIONS
from helpers.intervals import Paired
from helpers.methods import Method, outcomes
from helpers.numerals import percent, span

SCORES = ("ex", "ex_strict", "ex_superset", "ts")
LEVEL = 0.05


@dataclass(frozen=True)
class Contrast:
    """The second method minus the first by one score; `p_holm` is McNemar's p-value after Holm's correction."""

    first: str
    second: str
    score: str
    paired: Paired
    p_holm: float


def pairs(methods: Sequence[Method]) -> list[Contrast]:
    """Compare every two methods by each of SCORES; by TS where it was asked."""
    return [contrast for score in SCORES for contrast in _corrected(methods, score)]


def _corrected(methods: Sequence[Method], score: str) -> list[Contrast]:
    there = [method for method in methods if score in method.rates]
    found = [(a, b, _paired(a, b, score)) for a, b in combinations(there, 2)]
    corrected = intervals.holm([paired.p_value for _, _, paired in found])
    return [Contrast(a.name, b.name, score, each, p) for (a, b, each), p in zip(found, corrected, strict=True)]


def _paired(a: Method, b: Method, score: str) -> Paired:
    return intervals.paired_over_seeds(outcomes(a, score), outcomes(b, score), a.templates)


def undecided(contrast: Contrast) -> bool:
    """Tell whether no question separates the two, so that a bootstrap of the differences has nothing to draw."""
    return not contrast.paired.gained and not contrast.paired.lost


def told_apart(contrast: Contrast) -> bool:
    """Tell whether these questions tell the two methods apart."""
    return contrast.p_holm < LEVEL and not contrast.paired.low <= 0 <= contrast.paired.high


def differences(contrasts: Sequence[Contrast]):
    """Return the differences as a table of numbers, one row a pair and score."""
    import pandas

    rows = [
        {"method": f"{c.second} − {c.first}", "score": c.score, **asdict(c.paired)}
        | {"p_holm": c.p_holm, "told_apart": told_apart(c)}
        | ({"low": None, "high": None, "detectable": None} if undecided(c) else {})
        for c in contrasts
    ]
    kept = "method score difference low high p_value p_holm told_apart gained lost detectable"
    return pandas.DataFrame(rows, columns=kept.split())


def rank(methods: Sequence[Method], method: Method, score: str) -> int:
    """Return a method's place by a score; equal rates share the better place."""
    return 1 + sum(_gap(other, method, score) > 0 for other in methods)


def _gap(a: Method, b: Method, score: str) -> float:
    """Return how far a is ahead of b, without the last digits that means of several seeds leave."""
    return round(a.rates[score].rate - b.rates[score].rate, 9)


def swaps(methods: Sequence[Method]) -> list[str]:
    """Name the pairs of methods that swap ranks between two conventions, one sentence each."""
    told = []
    for a, b in combinations(methods, 2):
        gap = {name: _gap(a, b, name) for name in CONVENTIONS}
        ahead, behind = [n for n in gap if gap[n] > 0], [n for n in gap if gap[n] < 0]
        if ahead and behind:
            told.append(f"{a.name} is ahead of {b.name} by {', '.join(ahead)} and behind by {', '.join(behind)}.")
    return told


def verdict(methods: Sequence[Method], contrasts: Sequence[Contrast]) -> str:
    """Say in two sentences which method is best by EX and whether that is sure."""
    best, *others = sorted(methods, key=lambda method: rank(methods, method, "ex"))
    rate = best.rates["ex"]
    lead = f"{best.name} answers {percent(rate.rate)} % of {len(best.examples)} questions as the gold does"
    lead = f"{lead} (EX; 95 % interval {span(rate.low, rate.high)} %)."
    if not others:
        return lead
    follower = others[0].name
    duel = {c.score: c for c in contrasts if {c.first, c.second} == {best.name, follower}}
    contrast = duel["ex"]
    points = f"{100 * abs(contrast.paired.difference):.1f} points"
    if undecided(contrast):
        return f"{lead} Not one question separates it from the next, {follower}."
    if not told_apart(contrast):
        return (
            f"{lead} Its lead of {points} over the next, {follower}, may be chance: a true difference must be "
            f"{100 * contrast.paired.detectable:.1f} points to be found in four of five tries."
        )
    sure = [c.score for c in duel.values() if told_apart(c) and c.paired.difference * contrast.paired.difference > 0]
    unsure = [score for score in duel if score not in sure]
    caveat = f", but not by {', '.join(unsure)}" if unsure else ""
    return f"{lead} Its lead of {points} over the next, {follower}, is more than chance by {', '.join(sure)}{caveat}."
