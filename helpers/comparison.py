"""Whether a predicted result equals a gold one, under five named conventions.

    same_result(Result(["n"], [(1,), (2,)]), Result(["m"], [(2.0,), (1,)]), "ex")        # True

| convention | columns | rows | numbers | both empty |
|---|---|---|---|---|
| ex | best permutation | bag; in order (ties free) if the gold orders | rel 1e-6, abs 1e-9 | right if as many columns |
| ex_superset | as ex, further predicted columns allowed | as ex | as ex | right |
| ex_strict | by position | bag | equal values | right, same column count |
| ex_set | by position | set (BIRD's evaluation.py) | equal values | right |
| ex_spider | any permutation | bag; in order if the gold says ORDER BY | equal values | right |

In all of them 1 = 1.0 = Decimal("1.00"), NULL equals NULL and not "", text compares by code points, and a
result that hit a row cap equals nothing. ex_spider is `result_eq` of the official test-suite scripts
(taoyds/test-suite-sql-eval, exec_eval.py); the caller hands it results of statements with DISTINCT stripped
(expected.without_distinct).

Not known here: SQL. Which rows tie, and which rows a LIMIT could have kept as well, comes with the gold as an
`Expected`.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain, combinations

from helpers.matching import bags_match, plain

CONVENTIONS = ("ex", "ex_strict", "ex_superset", "ex_set", "ex_spider")


@dataclass(frozen=True)
class Expected:
    """A gold's result and what its SQL leaves open.

    `ties[i]` numbers the tie group of row i under the sort keys, ascending; () = any order. `spare` holds
    (tie group, row) of rows that a LIMIT cut off although they tie with kept ones. `ordered`: the text has an
    ORDER BY anywhere (ex_spider). `optional` names gold columns a prediction may leave out, or columns
    foreign to the gold that it may add.
    """

    columns: tuple[str, ...]
    rows: Sequence[tuple]
    truncated: bool = False
    ties: tuple[int, ...] = ()
    spare: tuple[tuple[int, tuple], ...] = ()
    ordered: bool = False
    optional: tuple[str, ...] = ()


def tie_groups(keys: Sequence[tuple]) -> tuple[int, ...]:
    """Number the runs of equal sort keys; text ties as under MySQL's default collation, without case and accents."""
    groups, last = [], None
    for key in keys:
        folded = tuple(_folded(value) for value in key)
        groups.append(groups[-1] + (folded != last) if groups else 0)
        last = folded
    return tuple(groups)


def _folded(value):
    if not isinstance(value, str):
        value = plain(value)
        return float(f"{value:.12g}") if isinstance(value, float) else value
    letters = unicodedata.normalize("NFKD", value)
    return "".join(letter for letter in letters if not unicodedata.combining(letter)).casefold()


def same_result(
    gold, predicted, convention: str, *, ordered_by: Sequence[int] | None = None, optional: Sequence[str] = ()
) -> bool:
    """Tell whether a predicted result equals a gold one under a convention.

    `gold` is an `Expected`, or anything with `columns, rows, truncated`; for the latter `ordered_by` gives
    the column indexes of its ORDER BY (None: any order) and `optional` its optional columns. ValueError on an
    unknown convention.
    """
    if convention not in CONVENTIONS:
        raise ValueError(f"Unknown convention {convention!r}: choose one of {', '.join(CONVENTIONS)}.")
    if getattr(gold, "truncated", False) or getattr(predicted, "truncated", False):
        return False
    if not isinstance(gold, Expected):
        keys = [tuple(row[at] for at in ordered_by) for row in gold.rows] if ordered_by is not None else ()
        gold = Expected(
            tuple(gold.columns),
            gold.rows,
            ties=tie_groups(keys),
            ordered=ordered_by is not None,
            optional=tuple(optional),
        )
    return _RULES[convention](gold, predicted)


def _strict(gold: Expected, predicted) -> bool:
    return len(gold.columns) == len(predicted.columns) and Counter(_plain(gold.rows)) == Counter(_plain(predicted.rows))


def _set(gold: Expected, predicted) -> bool:
    return set(_plain(gold.rows)) == set(_plain(predicted.rows))


def _spider(gold: Expected, predicted) -> bool:
    if len(gold.rows) != len(predicted.rows):
        return False
    twofold = _two_forms(gold.rows, predicted.rows)
    if twofold:
        bags = [
            [tuple(sorted(row, key=_by_text_and_type)) for row in _plain(r.rows) if not twofold.isdisjoint(row)]
            for r in (gold, predicted)
        ]
        if bags[0] != bags[1] if gold.ordered else set(bags[0]) != set(bags[1]):
            return False
    places = range(len(gold.rows)) if gold.ordered else ()
    return bags_match(gold.rows, predicted.rows, groups=places, placed=places, tolerant=False)


def _two_forms(*tables: Sequence[tuple]) -> set:
    """Return the numbers that occur both as 1 and as 1.0."""
    cells = [cell for rows in tables for cell in chain.from_iterable(rows)]
    kinds = set(map(type, cells))
    if float not in kinds or not kinds & {int, bool, Decimal}:
        return set()
    whole = {cell for cell in cells if type(cell) is float and cell.is_integer()}
    return {cell for cell in cells if type(cell) is not float and cell in whole} if whole else whole


def _by_text_and_type(value) -> str:
    """Sort a row's cells as `unorder_row` does: a row that mixes 1 and 1.0 may differ there, and so here."""
    return f"{value}{type(value)}"


def _plain(rows: Sequence[tuple]) -> Iterator[tuple]:
    return (tuple(map(plain, row)) for row in rows)


def _ex(gold: Expected, predicted, *, extra_columns: bool = False) -> bool:
    if len(gold.rows) != len(predicted.rows):
        return False
    if not gold.optional:
        return _fits(gold, list(range(len(gold.columns))), predicted.columns, predicted.rows, extra_columns)
    names, rows = _without_foreign(gold, predicted)
    return any(_fits(gold, kept, names, rows, extra_columns) for kept in _choices(gold))


def _superset(gold: Expected, predicted) -> bool:
    return _ex(gold, predicted, extra_columns=True)


def _without_foreign(gold: Expected, predicted) -> tuple[list[str], list[tuple]]:
    """Drop the predicted columns that are optional by name and are none of the gold's."""
    foreign = {name.lower() for name in gold.optional} - {name.lower() for name in gold.columns}
    kept = [at for at, name in enumerate(predicted.columns) if name.lower() not in foreign]
    return [predicted.columns[at] for at in kept], [tuple(row[at] for at in kept) for row in predicted.rows]


def _choices(gold: Expected) -> Iterator[list[int]]:
    """Yield the gold columns to ask for: all of them, then without each set of its own optional ones."""
    named = {name.lower() for name in gold.optional}
    free = [at for at, name in enumerate(gold.columns) if name.lower() in named]
    for dropped in range(len(free) + 1):
        for left_out in combinations(free, dropped):
            kept = [at for at in range(len(gold.columns)) if at not in left_out]
            if kept:
                yield kept


def _fits(gold: Expected, kept: list[int], names: Sequence[str], rows: Sequence[tuple], extra_columns: bool) -> bool:
    if len(kept) > len(names) or (len(kept) < len(names) and not extra_columns):
        return False
    pool = [*gold.rows, *(row for _, row in gold.spare)]
    if len(kept) < len(gold.columns):
        pool = [tuple(row[at] for at in kept) for row in pool]
    if not gold.spare and len(kept) == len(names) and pool == rows:
        return True
    ties = gold.ties or (0,) * len(gold.rows)
    groups = [*ties, *(group for group, _ in gold.spare)]
    return bags_match(pool, rows, groups=groups, placed=ties, extra_columns=extra_columns)


_RULES = {"ex": _ex, "ex_strict": _strict, "ex_superset": _superset, "ex_set": _set, "ex_spider": _spider}
