"""How sure a rate or a difference is, where items that share a SQL template are not independent.

    cluster_interval([True, False, True], ["t1", "t1", "t2"])
    # Interval(rate=0.667, low=..., high=..., n=3, clusters=2, effective_n=1.8, ...)
    paired(base, tuned, templates)       # Paired(difference=+0.08, low=..., p_value=..., gained=21, lost=5, ...)

Items of one template form a cluster and are resampled together (Cameron, Gelbach and Miller 2008); two
methods are compared on the same items by McNemar's exact test (McNemar 1947) and by the bootstrap of their
difference; seeds of one method add a variance component of their own; several comparisons share one error
rate by Holm's step-down (1979). scipy and statsmodels do the arithmetic.

Not covered: McNemar's test takes items as independent, so where it and the interval disagree the interval is
the one to quote; with fewer than about 15 clusters the interval is too short; nothing here knows what an item
is.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2_000


@dataclass(frozen=True)
class Interval:
    """A rate with its interval; `effective_n` is how many independent items would say as much."""

    rate: float
    low: float
    high: float
    standard_error: float
    n: int
    clusters: int
    effective_n: float


@dataclass(frozen=True)
class Paired:
    """Method b minus method a on the same items; `gained` items only b has right, `lost` only a."""

    difference: float
    low: float
    high: float
    standard_error: float
    p_value: float
    gained: int
    lost: int
    n: int
    clusters: int
    detectable: float


@dataclass(frozen=True)
class Seeds:
    """A method over several seeds: its mean rate, and the standard deviations its uncertainty comes from."""

    rate: float
    low: float
    high: float
    between_seeds: float
    between_items: float
    seeds: int


def wilson(right: int, n: int, *, level: float = 0.95) -> tuple[float, float]:
    """Return Wilson's interval of a single proportion of independent items; (0, 1) for no items."""
    from statsmodels.stats.proportion import proportion_confint

    if not n:
        return 0.0, 1.0
    low, high = proportion_confint(right, n, alpha=1 - level, method="wilson")
    return float(low), float(high)


def cluster_interval(
    values: Sequence[float], clusters: Sequence[Hashable], *, seed: int = 0, level: float = 0.95
) -> Interval:
    """Return the mean of the items with a BCa bootstrap interval (Efron 1987) over whole clusters.

    Where every item agrees a bootstrap has no width: then the interval is Wilson's with one observation a
    cluster.
    """
    totals, sizes = _by_cluster(values, clusters)
    rate, n = float(totals.sum() / sizes.sum()), int(sizes.sum())
    low, high, error = _bootstrap(totals, sizes, seed, level)
    if error == 0 and rate in (0.0, 1.0):
        low, high = wilson(round(rate * len(sizes)), len(sizes), level=level)
    spread = float(np.var(np.asarray(values, dtype=float)))
    effective = min(float(n), spread / error**2) if error else float(len(sizes))
    return Interval(rate, low, high, error, n, len(sizes), round(effective, 1))


def paired(
    a: Sequence[bool],
    b: Sequence[bool],
    clusters: Sequence[Hashable],
    *,
    seed: int = 0,
    level: float = 0.95,
    power: float = 0.8,
) -> Paired:
    """Compare method b with method a item by item; ValueError if the items do not match one to one."""
    return paired_over_seeds([a], [b], clusters, seed=seed, level=level, power=power)


def paired_over_seeds(
    a: Sequence[Sequence[bool]],
    b: Sequence[Sequence[bool]],
    clusters: Sequence[Hashable],
    *,
    seed: int = 0,
    level: float = 0.95,
    power: float = 0.8,
) -> Paired:
    """Compare method b with method a, each given as one row a seed, on the same items.

    `gained` counts the items that a larger share of b's seeds has right. McNemar's exact test is the sign test of
    these counts, so with one seed each this is McNemar's. The seeds of each method widen the interval by a part of
    their own, Student's t with Welch's degrees of freedom, in quadrature. Raises ValueError as `paired` does.
    """
    if {len(row) for row in (*a, *b)} != {len(clusters)}:
        counts = " and ".join(str(len(rows[0])) for rows in (a, b))
        raise ValueError(f"Paired items must match one to one: got {counts} items and {len(clusters)} templates.")
    before, after = (np.asarray(rows, dtype=float) for rows in (a, b))
    changes = after.mean(axis=0) - before.mean(axis=0)
    totals, sizes = _by_cluster(changes, clusters)
    low, high, items = _bootstrap(totals, sizes, seed, level)
    difference = float(totals.sum() / sizes.sum())
    seeds, half = _between(before, after, level)
    error = float(np.hypot(items, seeds))
    gained, lost = int((changes > 0).sum()), int((changes < 0).sum())
    return Paired(
        difference,
        max(-1.0, difference - float(np.hypot(difference - low, half))),
        min(1.0, difference + float(np.hypot(high - difference, half))),
        error,
        mcnemar(gained, lost),
        gained,
        lost,
        len(changes),
        len(sizes),
        detectable_effect(error, level=level, power=power),
    )


def _between(before: np.ndarray, after: np.ndarray, level: float) -> tuple[float, float]:
    """Return the standard error that the seeds of both methods cause, and half their part of the interval."""
    from scipy.stats import t

    several = [rows for rows in (before, after) if len(rows) > 1]
    parts = [(rows.mean(axis=1).var(ddof=1) / len(rows), len(rows) - 1) for rows in several]
    variance = float(sum(part for part, _ in parts))
    if not variance:
        return 0.0, 0.0
    freedom = variance**2 / sum(part**2 / df for part, df in parts)
    return variance**0.5, float(t.ppf(1 - (1 - level) / 2, freedom)) * variance**0.5


def mcnemar(gained: int, lost: int) -> float:
    """Return the two-sided p-value of McNemar's exact test; 1.0 where no item changed."""
    from statsmodels.stats.contingency_tables import mcnemar as test

    return float(test([[0, gained], [lost, 0]], exact=True).pvalue)


def detectable_effect(standard_error: float, *, level: float = 0.95, power: float = 0.8) -> float:
    """Return the smallest true difference that a two-sided test at this level finds with this power."""
    from scipy.stats import norm

    return float((norm.ppf(1 - (1 - level) / 2) + norm.ppf(power)) * standard_error)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values, in the order given."""
    from statsmodels.stats.multitest import multipletests

    return [float(p) for p in multipletests(p_values, method="holm")[1]] if len(p_values) else []


def over_seeds(
    runs: Sequence[Sequence[float]], clusters: Sequence[Hashable], *, seed: int = 0, level: float = 0.95
) -> Seeds:
    """Return the mean rate of several runs (one row a seed, items in one order) and what it varies by.

    Each end of the items' interval (`cluster_interval`) is moved out, in quadrature, by the seeds' part: Student's t
    with `seeds - 1` degrees of freedom. With one run, or seeds that agree, it is `cluster_interval`.
    """
    from scipy.stats import t

    table = np.asarray(runs, dtype=float)
    items = cluster_interval(table.mean(axis=0), clusters, seed=seed, level=level)
    count = len(table)
    if count < 2:
        return Seeds(items.rate, items.low, items.high, 0.0, items.standard_error, count)
    between = float(table.mean(axis=1).std(ddof=1))
    half = float(t.ppf(1 - (1 - level) / 2, count - 1)) * between / count**0.5
    low = items.rate - float(np.hypot(items.rate - items.low, half))
    high = items.rate + float(np.hypot(items.high - items.rate, half))
    return Seeds(items.rate, max(0.0, low), min(1.0, high), between, items.standard_error, count)


def _by_cluster(values: Sequence[float], clusters: Sequence[Hashable]) -> tuple[np.ndarray, np.ndarray]:
    """Return each cluster's sum and size, in order of first appearance."""
    if len(values) != len(clusters) or not len(values):
        raise ValueError(f"Need one template an item and at least one item: got {len(values)} and {len(clusters)}.")
    number: dict[Hashable, int] = {}
    at = [number.setdefault(cluster, len(number)) for cluster in clusters]
    return np.bincount(at, weights=np.asarray(values, dtype=float)), np.bincount(at).astype(float)


def _ratio(totals: np.ndarray, sizes: np.ndarray, axis: int = -1) -> np.ndarray:
    return totals.sum(axis=axis) / sizes.sum(axis=axis)


def _bootstrap(totals: np.ndarray, sizes: np.ndarray, seed: int, level: float) -> tuple[float, float, float]:
    """Return low, high and standard error of the ratio; no width where all clusters agree or there is one."""
    from scipy.stats import bootstrap

    rate = float(_ratio(totals, sizes))
    if len(totals) < 2 or np.ptp(totals / sizes) == 0:
        return rate, rate, 0.0
    found = bootstrap(
        (totals, sizes),
        _ratio,
        paired=True,
        vectorized=True,
        n_resamples=RESAMPLES,
        method="BCa",
        confidence_level=level,
        rng=np.random.default_rng(seed),
    )
    low, high = (float(end) for end in found.confidence_interval)
    return low, high, float(found.standard_error)
