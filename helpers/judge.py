"""The verdict on one statement: run it, compare it with what its gold allows, ask every variant, say why.

    judge_all([(example, "SELECT name FROM pets")], database, suite)      # [Verdict(va=True, ex=True, ...)]

Each distinct pair of gold and statement is judged once. TS is asked only of what EX accepts, variant by
variant, and stops at the first refusal. Knows no predictions: who wrote a statement is put on the verdict by
`evaluate`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from helpers import error_classes
from helpers.comparison import CONVENTIONS, Expected, same_result
from helpers.database import Database, Result
from helpers.dataset import Example
from helpers.expected import accepted, without_distinct


@dataclass(frozen=True)
class Verdict:
    """What became of one example; `ts` is None without a test suite, `seconds` is the execution's.

    `flags`: missing (no prediction), truncated (a row cap was hit: wrong), uninformative (the gold is empty,
    NULL or a single 0), vacuous (both results are empty).
    """

    example_id: str
    method: str
    model: str
    sql: str
    va: bool = False
    ex: bool = False
    ex_strict: bool = False
    ex_superset: bool = False
    ex_set: bool = False
    ex_spider: bool = False
    ts: bool | None = None
    error_code: str = ""
    error: str = ""
    error_class: str = ""
    seconds: float = 0.0
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Gold:
    """One example's accepted answers on one database, and its own with DISTINCT stripped."""

    accepted: tuple[Expected, ...]
    stripped: Expected | None


def judge_all(asked: list, database: Database, suite: Sequence[Database] | None) -> list[Verdict]:
    """Judge statements, each distinct pair of golds and statement once."""
    golds: dict = {}
    outcomes: dict = {}
    for example, statement in asked:
        key = (example.sql, example.alternatives, example.optional_columns)
        if key not in golds:
            golds[key] = _gold(example, database)
        if (*key, statement) not in outcomes:
            outcomes[*key, statement] = _judge(example, statement, golds[key], database, suite)
    return [outcomes[e.sql, e.alternatives, e.optional_columns, statement] for e, statement in asked]


def _gold(example: Example, database: Database) -> _Gold:
    return _Gold(accepted(example, database), _stripped(example.sql, database))


def _stripped(sql: str, database: Database) -> Expected | None:
    """Return the gold's result without DISTINCT, or None where it does not run so (COUNT(DISTINCT a, b))."""
    result = database.execute(without_distinct(sql))
    if result.error:
        return None
    return Expected(result.columns, result.rows, result.truncated, ordered="order by" in sql.lower())


def _judge(
    example: Example, statement: str, gold: _Gold, database: Database, suite: Sequence[Database] | None
) -> Verdict:
    own = gold.accepted[0]
    flags = [] if is_informative(own.rows) else ["uninformative"]
    if not statement:
        return Verdict(
            "",
            "",
            "",
            "",
            ts=_ts(False, suite),
            error_code="no_sql",
            error="There is no SQL.",
            error_class="invalid SQL",
            flags=tuple(flags),
        )
    result = database.execute(statement)
    flags += ["truncated"] if result.truncated or own.truncated else []
    flags += ["vacuous"] if not result.error and not result.rows and not own.rows else []
    right = {name: not result.error and _is_right(name, gold, statement, result, database) for name in CONVENTIONS}
    if right["ex"]:
        error_class = error_classes.of_right(example.sql, statement)
    else:
        error_class = error_classes.of_wrong(example.sql, statement, own, result, database.schema)
    ts = _ts(right["ex"], suite, example, statement)
    return Verdict(
        "",
        "",
        "",
        statement,
        not result.error,
        **right,
        ts=ts,
        error_code=result.error_code,
        error=result.error,
        error_class=error_class,
        seconds=result.seconds,
        flags=tuple(flags),
    )


def _is_right(convention: str, gold: _Gold, statement: str, result: Result, database: Database) -> bool:
    if convention in ("ex", "ex_superset"):
        return any(same_result(answer, result, convention) for answer in gold.accepted)
    if convention != "ex_spider":
        return same_result(gold.accepted[0], result, convention)
    bare = database.execute(without_distinct(statement))
    if gold.stripped is None or bare.error:
        return gold.stripped is None and same_result(gold.accepted[0], result, convention)
    return same_result(gold.stripped, bare, convention)


def _ts(ex: bool, suite: Sequence[Database] | None, example: Example | None = None, statement: str = "") -> bool | None:
    """Ask every variant in turn; what EX refuses, TS refuses."""
    if suite is None:
        return None
    return ex and all(_passes(example, statement, variant) for variant in suite)


def _passes(example: Example, statement: str, variant: Database) -> bool:
    result = variant.execute(statement)
    return not result.error and any(same_result(answer, result, "ex") for answer in accepted(example, variant))


def is_informative(rows: Sequence[tuple]) -> bool:
    """Tell whether a gold's result says anything: not empty, not all NULL, not a single 0."""
    cells = [cell for row in rows for cell in row]
    return any(cell is not None for cell in cells) and not (len(cells) == 1 and cells[0] == 0)
