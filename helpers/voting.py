"""One answer out of several samples of a question: the one whose result most of them agree on.

>>> vote = elect(["SELECT COUNT(*) FROM orders", "SELECT 326", "SELECT nme FROM orders"], database)
>>> vote.winner, vote.groups, vote.failed, vote.agreement
(0, ((0, 1),), (2,), 0.666…)

Self-consistency (Wang et al. 2023) over results in place of texts, as DAIL-SQL does it (Gao et al. 2023). Two results
are the same if `ex` would find them so but for the order of rows: columns in any order, rows as a multiset, close
numbers equal. The gold has no part in it; a result that all samples are wrong about alike wins as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from helpers import matching
from helpers.database import Database, Result
from helpers.runs import Prediction


@dataclass(frozen=True)
class Vote:
    """Sample numbers: the winner, those that gave one result, the largest group first, and those that failed."""

    winner: int
    groups: tuple[tuple[int, ...], ...]
    failed: tuple[int, ...]

    @property
    def agreement(self) -> float:
        """Return the share of all samples that have the winner's result; 0 if all failed."""
        return len(self.groups[0]) / (len(self.failed) + sum(map(len, self.groups))) if self.groups else 0.0


def elect(statements: Sequence[str], database: Database) -> Vote:
    """Execute the statements and elect the first of the largest group; between equals, the group that began first.

    A statement that fails never wins, unless all do: then the first is the winner.
    """
    groups: list[tuple[Result, list[int]]] = []
    failed = []
    for number, statement in enumerate(statements):
        result = database.execute(statement)
        if result.error:
            failed.append(number)
            continue
        own = next((members for other, members in groups if _same(other, result)), None)
        if own is None:
            groups.append((result, own := []))
        own.append(number)
    ranked = sorted((tuple(members) for _, members in groups), key=lambda members: (-len(members), members[0]))
    return Vote(ranked[0][0] if ranked else 0, tuple(ranked), tuple(failed))


def row(draft: Prediction, statements: Sequence[str], vote: Vote) -> dict:
    """Return the row of votes.jsonl for a draft that holds the tokens of all samples."""
    return {
        "example_id": draft.example_id,
        "winner": vote.winner,
        "agreement": round(vote.agreement, 4),
        "groups": vote.groups,
        "failed": vote.failed,
        "samples": list(statements),
        "prompt_tokens": draft.prompt_tokens,
        "completion_tokens": draft.completion_tokens,
    }


def _same(one: Result, other: Result) -> bool:
    if (len(one.columns), len(one.rows)) != (len(other.columns), len(other.rows)):
        return False
    return one.truncated == other.truncated and matching.bags_match(one.rows, other.rows)
