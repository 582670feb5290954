"""Whether some assignment of columns makes one bag of rows equal to another.

    bags_match([(1, "a"), (2, "b")], [("b", 2), ("a", 1)])               # True: columns swapped, rows shuffled
    bags_match([(1,), (2,)], [(2,), (1,)], groups=[0, 1], placed=[0, 1])  # False: the rows have fixed places

Cells become integer codes over both tables, so that a column trial is one partition refinement on integers:
after trying `gold column i = predicted column j` the rows fall into finer classes, and the trial stands iff
every class still holds at least as many gold rows as predicted ones. A row's bag of values, which no
permutation changes, is the first partition, and a column's hash within it rules out most pairs unseen. Before all
that, columns are paired by the sum of their cells' hashes, and the rows counted under that one choice: a plain
permutation of 12 columns and 5,000 rows is proved in about 20 ms.

Not covered: the problem contains graph isomorphism, so a search past STEPS trials gives up and says "no".
Closeness of numbers is not transitive; where a chain of close numbers spans more than the tolerance, rows are
paired by a bipartite matching, identical rows first, and more than PAIRS unpaired rows of one class are
compared in sorted order only.
"""

import datetime
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import repeat
from operator import itemgetter

import numpy as np

STEPS = 2_000
PAIRS = 1_000
EXACT = 2**53
REL, ABS = 1e-6, 1e-9
_AS_THEY_ARE = {int, float, str, bytes, type(None)}


def plain(value):
    """Return a value in its comparable form: Decimal and bool as a number, a date as ISO text, the rest as it is."""
    kind = type(value)
    if kind in _AS_THEY_ARE:
        return value
    if kind is Decimal:
        number = float(value)
        return int(value) if number.is_integer() and int(value) == value else number
    if isinstance(value, datetime.datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, datetime.date):
        return value.isoformat()
    return int(value) if isinstance(value, bool) else value


@dataclass(frozen=True)
class _Cells:
    """Two tables as class codes (rows x columns), and as numbers (`_x`) only where some class is too wide."""

    gold: np.ndarray
    predicted: np.ndarray
    size: int
    gold_x: np.ndarray | None = None
    predicted_x: np.ndarray | None = None


def bags_match(
    gold: Sequence[tuple],
    predicted: Sequence[tuple],
    *,
    groups: Sequence[int] = (),
    placed: Sequence[int] = (),
    tolerant: bool = True,
    extra_columns: bool = False,
) -> bool:
    """Tell whether each predicted row can have a gold row of its own under one injective choice of columns.

    `groups[i]` and `placed[i]` number the place of gold row i and predicted row i: only rows of one place may
    pair. `gold` may hold more rows than `predicted` (a pool to choose from). `extra_columns` lets predicted
    columns be left over.
    """
    if not predicted:
        return True
    width, offered = len(gold[0]) if gold else 0, len(predicted[0])
    if len(gold) < len(predicted) or width > offered or (width < offered and not extra_columns):
        return False
    if len(gold) == len(predicted) and _is_plain_choice(gold, predicted, groups, placed):
        return True
    cells = _code(gold, predicted, tolerant)
    labels = _refine(_places(groups, len(gold)), _places(placed, len(predicted)), np.int64(0), np.int64(0), 1)
    if labels is None:
        return False
    if width < offered:
        return _search(cells, labels, np.zeros((width, offered), dtype=bool))
    mix = np.random.default_rng(0).integers(0, 2**64, cells.size, dtype=np.uint64)
    bags = [mix[codes].sum(axis=1, dtype=np.uint64) for codes in (cells.gold, cells.predicted)]
    distinct, inverse = np.unique(np.concatenate(bags), return_inverse=True)
    labels = _refine(*labels, inverse[: len(gold)], inverse[len(gold) :], len(distinct))
    return labels is not None and _search(cells, labels, _ruled_out(cells, bags, mix))


def _is_plain_choice(gold: Sequence[tuple], predicted: Sequence[tuple], groups, placed) -> bool:
    """Tell whether the choice of columns that their cells' hashes suggest makes the rows equal; no "no" is meant."""
    prints = [[sum(map(hash, column)) for column in zip(*rows, strict=True)] for rows in (gold, predicted)]
    offered: dict[int, list[int]] = {}
    for at, mark in enumerate(prints[1]):
        offered.setdefault(mark, []).append(at)
    if Counter(prints[0]) - Counter(prints[1]):
        return False
    choose = itemgetter(*(offered[mark].pop(0) for mark in prints[0]))
    asked, given = map(itemgetter(*range(len(prints[0]))), gold), map(choose, predicted)
    one_place = repeat(0)
    return Counter(zip(groups or one_place, asked, strict=False)) == Counter(
        zip(placed or one_place, given, strict=False)
    )


def _places(numbers: Sequence[int], rows: int) -> np.ndarray:
    return np.asarray(numbers, dtype=np.int64) if len(numbers) else np.zeros(rows, dtype=np.int64)


def _code(gold: Sequence[tuple], predicted: Sequence[tuple], tolerant: bool) -> _Cells:
    """Number the distinct values of both tables, close numbers alike; columns of numbers go by without a dictionary."""
    columns = [*zip(*gold, strict=True), *zip(*predicted, strict=True)]
    numbers = [_numbers(column, tolerant) for column in columns]
    others = set().union(*(column for column, found in zip(columns, numbers, strict=True) if found is None))
    number_of = forms = dict(zip(others, range(len(others)), strict=True))
    if not set(map(type, others)) <= _AS_THEY_ARE:
        forms = {}
        number_of = {value: forms.setdefault(plain(value), len(forms)) for value in others}
    x = [np.array([_number(form, tolerant) for form in forms], dtype=float)]
    at, indexes = len(forms), []
    for column, found in zip(columns, numbers, strict=True):
        if found is None:
            indexes.append(np.fromiter(map(number_of.__getitem__, column), np.int64, len(column)))
        else:
            indexes.append(np.arange(at, at := at + len(column)))
            x.append(found)
    x = np.concatenate(x)
    classes, wide = _classes(x, tolerant)
    width = len(gold[0])
    tables = [np.array(part).T for part in (indexes[:width], indexes[width:])]
    coded = [np.asfortranarray(classes[table]) for table in tables]
    if not wide:
        return _Cells(*coded, len(x))
    return _Cells(*coded, len(x), *(np.nan_to_num(x)[table] for table in tables))


def _numbers(column: Sequence, tolerant: bool) -> np.ndarray | None:
    """Return a column that holds nothing but numbers as doubles, if they stand for its numbers."""
    if not set(map(type, column)) <= {int, float, Decimal}:
        return None
    x = np.fromiter(map(float, column), float, len(column))
    return x if tolerant or np.abs(x).max() < EXACT else None


def _number(form, tolerant: bool) -> float:
    """Return a value as the double that stands for it, nan if none does."""
    return form if isinstance(form, (int, float)) and (tolerant or abs(form) < EXACT) else np.nan


def _classes(x: np.ndarray, tolerant: bool) -> tuple[np.ndarray, bool]:
    """Give each form its class, chaining close numbers (nan: no number); tell whether some chain is too wide."""
    alike = _close if tolerant else np.equal
    classes = np.arange(len(x), dtype=np.int64)
    numeric = np.flatnonzero(~np.isnan(x))
    numeric = numeric[np.argsort(x[numeric], kind="stable")]
    if not len(numeric):
        return classes, False
    ascending = x[numeric]
    starts = np.flatnonzero(np.append(True, ~alike(ascending[:-1], ascending[1:])))
    lengths = np.diff(np.append(starts, len(ascending)))
    classes[numeric] = np.repeat(numeric[starts], lengths)
    return classes, not alike(ascending[starts], ascending[starts + lengths - 1]).all()


def _close(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Tell, cell by cell, which numbers are equal within rel 1e-6 or abs 1e-9."""
    with np.errstate(invalid="ignore"):
        return (a == b) | (np.abs(a - b) <= np.maximum(REL * np.maximum(np.abs(a), np.abs(b)), ABS))


def _ruled_out(cells: _Cells, bags: list[np.ndarray], mix: np.ndarray) -> np.ndarray:
    """Mark the pairs of columns whose hashes, with each row's bag of values, differ (equal sizes only)."""
    ruled = np.zeros((cells.gold.shape[1], cells.predicted.shape[1]), dtype=bool)
    if len(cells.gold) != len(cells.predicted):
        return ruled
    hashes = [
        ((mix[codes] ^ (bag * np.uint64(0x9E3779B97F4A7C15))[:, None]) * np.uint64(0xBF58476D1CE4E5B9)).sum(axis=0)
        for codes, bag in zip((cells.gold, cells.predicted), bags, strict=True)
    ]
    return hashes[0][:, None] != hashes[1][None, :]


def _search(cells: _Cells, labels: tuple[np.ndarray, np.ndarray], ruled: np.ndarray) -> bool:
    """Assign gold columns one by one, most telling first, and go back where a class no longer fits."""
    width, offered = ruled.shape
    order = sorted(range(width), key=lambda i: -np.count_nonzero(np.bincount(cells.gold[:, i])))
    twins = [_column_bytes(cells, j) for j in range(offered)]
    steps = 0

    def assign(depth: int, labels: tuple, chosen: tuple[int, ...]) -> bool:
        nonlocal steps
        if depth == width:
            return _near(cells, labels, order, chosen)
        i, tried = order[depth], set()
        for j in sorted(range(offered), key=lambda j: j != i):
            if j in chosen or ruled[i, j] or twins[j] in tried:
                continue
            tried.add(twins[j])
            steps += 1
            if steps > STEPS:
                return False
            finer = _refine(*labels, cells.gold[:, i], cells.predicted[:, j], cells.size)
            if finer is None or not _near(cells, finer, [i], [j]):
                continue
            if assign(depth + 1, finer, (*chosen, j)):
                return True
        return False

    return assign(0, labels, ())


def _column_bytes(cells: _Cells, j: int) -> bytes:
    exact = b"" if cells.predicted_x is None else cells.predicted_x[:, j].tobytes()
    return cells.predicted[:, j].tobytes() + exact


def _refine(gold: np.ndarray, predicted: np.ndarray, gold_codes, predicted_codes, size: int):
    """Split the classes by a column's codes; None if a class then holds more predicted rows than gold ones."""
    both = np.concatenate([gold * size + gold_codes, predicted * size + predicted_codes])
    _, inverse = np.unique(both, return_inverse=True)
    labels, count = (inverse[: len(gold)], inverse[len(gold) :]), int(inverse.max()) + 1
    held, asked = (np.bincount(part, minlength=count) for part in labels)
    return None if (asked > held).any() else labels


def _near(cells: _Cells, labels: tuple[np.ndarray, np.ndarray], columns: Sequence[int], chosen: Sequence[int]) -> bool:
    """Check the numbers themselves where a class spans more than the tolerance."""
    if cells.gold_x is None:
        return True
    gold, predicted = cells.gold_x[:, list(columns)], cells.predicted_x[:, list(chosen)]
    ranks = [np.lexsort((*x.T[::-1], label)) for x, label in zip((gold, predicted), labels, strict=True)]
    gold, predicted = gold[ranks[0]], predicted[ranks[1]]
    if len(gold) == len(predicted) and _close(gold, predicted).all():
        return True
    gold_labels, predicted_labels = labels[0][ranks[0]], labels[1][ranks[1]]
    return all(
        _pair_up(gold[gold_labels == label], predicted[predicted_labels == label])
        for label in np.unique(predicted_labels)
    )


def _pair_up(gold: np.ndarray, predicted: np.ndarray) -> bool:
    """Tell whether each predicted row has a gold row of its own within the tolerance, identical rows first."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_bipartite_matching

    left = [tuple(row) for row in gold.tolist()]
    waiting = []
    spare: dict[tuple, int] = {}
    for row in left:
        spare[row] = spare.get(row, 0) + 1
    for row in map(tuple, predicted.tolist()):
        if spare.get(row):
            spare[row] -= 1
        else:
            waiting.append(row)
    rest = [row for row, count in spare.items() for _ in range(count)]
    if not waiting:
        return True
    if len(waiting) > PAIRS or len(rest) > 4 * PAIRS:
        return False
    allowed = _close(np.array(waiting)[:, None, :], np.array(rest)[None, :, :])
    matched = maximum_bipartite_matching(csr_array(allowed.all(axis=2)), perm_type="column")
    return bool((matched >= 0).all())
