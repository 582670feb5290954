"""Intervals: known values, and whether 95 % intervals hold the truth that often when items come in clusters."""

import numpy as np
import pytest

from helpers import intervals


def test_wilson_known_value():
    low, high = intervals.wilson(81, 263)
    assert (round(low, 4), round(high, 4)) == (
        0.2553,
        0.3662,
    )  # Newcombe (1998), Statistics in Medicine, table I
    assert intervals.wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(
    "gained, lost, p", [(0, 0, 1.0), (1, 0, 1.0), (5, 5, 1.0), (10, 0, 2 / 2**10), (0, 6, 2 / 2**6)]
)
def test_mcnemar_is_the_two_sided_binomial(gained, lost, p):
    assert intervals.mcnemar(gained, lost) == pytest.approx(p)


def test_holm_adjusts_step_down_and_keeps_the_order():
    assert intervals.holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert intervals.holm([]) == []


def test_detectable_effect_is_2_8_standard_errors():
    assert intervals.detectable_effect(0.03) == pytest.approx(0.03 * 2.8016, rel=1e-4)


def test_a_template_of_many_items_widens_the_interval():
    values = [1] * 30 + [0] * 30
    alone = intervals.cluster_interval(values, range(60))
    together = intervals.cluster_interval(values, [0] * 28 + list(range(1, 33)))
    assert together.high - together.low > 1.5 * (alone.high - alone.low)
    assert alone.effective_n == pytest.approx(60, rel=0.15)
    assert together.effective_n < 15


@pytest.mark.parametrize("values, low_end, high_end", [([1] * 20, 0.8, 1.0), ([0] * 20, 0.0, 0.2)])
def test_all_alike_has_the_width_of_its_clusters(values, low_end, high_end):
    found = intervals.cluster_interval(values, range(20))
    assert low_end < found.low + 0.05 and found.high < high_end + 0.05
    assert found.high - found.low > 0.1


def test_paired_counts_changes_and_agrees_in_sign():
    a = [True] * 40 + [False] * 60
    b = [True] * 36 + [False] * 4 + [True] * 24 + [False] * 36
    found = intervals.paired(a, b, range(100))
    assert (found.gained, found.lost, found.n) == (24, 4, 100)
    assert found.difference == pytest.approx(0.20)
    assert 0 < found.low < 0.2 < found.high and found.p_value < 0.001
    back = intervals.paired(b, a, range(100))
    assert back.difference == -found.difference and back.p_value == found.p_value


def test_paired_items_must_match():
    with pytest.raises(ValueError, match="one to one"):
        intervals.paired([True], [True, False], ["t"])


def test_no_items_is_an_error_that_says_so():
    with pytest.raises(ValueError, match="at least one item"):
        intervals.cluster_interval([], [])


def test_same_seed_same_interval():
    values, clusters = [1, 0, 1, 1, 0, 0, 1, 0] * 5, list(range(10)) * 4
    assert intervals.cluster_interval(values, clusters, seed=3) == intervals.cluster_interval(values, clusters, seed=3)


def test_seeds_add_a_component_of_their_own():
    items = [[1, 0, 1, 1, 0, 1, 0, 1] * 5, [1, 0, 0, 1, 0, 0, 0, 1] * 5, [1, 1, 1, 1, 0, 1, 1, 1] * 5]
    three = intervals.over_seeds(items, range(40))
    assert three.between_seeds == pytest.approx(np.std([0.625, 0.375, 0.875], ddof=1))
    one = intervals.over_seeds(items[:1], range(40))
    assert one.between_seeds == 0 and one.seeds == 1
    assert three.high - three.low > one.high - one.low
    assert 0 <= three.low <= three.rate <= three.high <= 1


def simulated(rng, clusters, difference):
    """Draw paired outcomes whose chances vary by template; return a, b and the templates."""
    sizes = rng.integers(1, 4, clusters)
    templates = np.repeat(np.arange(clusters), sizes)
    easiness = rng.beta(1.5, 1.5, clusters)[templates]
    a = rng.random(len(templates)) < easiness * (1 - difference)
    b = rng.random(len(templates)) < difference + easiness * (1 - difference)
    return a, b, templates


def test_intervals_cover_the_truth_with_clustered_data(monkeypatch):
    monkeypatch.setattr(intervals, "RESAMPLES", 999)
    rng = np.random.default_rng(11)
    trials, rate_hits, difference_hits = 1_000, 0, 0
    for trial in range(trials):
        a, b, templates = simulated(rng, 100, 0.1)
        rate = intervals.cluster_interval(a, templates, seed=trial)
        both = intervals.paired(a, b, templates, seed=trial)
        rate_hits += rate.low <= 0.45 <= rate.high
        difference_hits += both.low <= 0.1 <= both.high
    assert 0.93 <= rate_hits / trials <= 0.97
    assert 0.93 <= difference_hits / trials <= 0.97
