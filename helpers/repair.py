"""One more attempt at a statement that failed: the database's error is the next turn of the conversation.

>>> conversation(asked, draft, "Unknown column 'nme' in 'field list'")[-2:]
[{'role': 'assistant', 'content': 'SELECT nme FROM offices;'},
 {'role': 'user', 'content': "MySQL answers: Unknown column 'nme' in 'field list'. Correct the statement …"}]

Only what the guard or the database refuses is repaired; an empty result is an answer. `repairs.jsonl` has a row for
each: what was written, the error, and what was written then, null until it is. So a killed run asks nothing twice.
Knows no models.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from helpers import prompts, sql
from helpers.completion import Completion
from helpers.runs import Prediction, Run

JOURNAL = "repairs.jsonl"


def conversation(asked: prompts.Conversation, draft: Prediction, error: str) -> prompts.Conversation:
    """Return the conversation that led to a draft, with the draft and its error as its next turns."""
    request = f"MySQL answers: {error.rstrip('.')}. Correct the statement and reply with it alone."
    return [*asked, {"role": "assistant", "content": draft.completion}, {"role": "user", "content": request}]


def defer(run: Run, draft: Prediction, error: str) -> None:
    """Journal a draft that failed, so that it is repaired, by this process or a later one."""
    run.append("timings.jsonl", {"example_id": draft.example_id, "seconds": round(draft.seconds, 4)})
    run.append(JOURNAL, _row(draft, error, after=None))


def deferred(run: Run, blanks: Iterable[Prediction]) -> list[tuple[Prediction, str]]:
    """Return the drafts that are journaled, with their errors; those of `blanks` that are not are left out."""
    seconds = {row["example_id"]: row["seconds"] for row in run.rows("timings.jsonl")}
    rows = {row["example_id"]: row for row in run.rows(JOURNAL)}
    return [
        (_draft(blank, rows[blank.example_id], seconds[blank.example_id]), rows[blank.example_id]["error"])
        for blank in blanks
        if blank.example_id in rows
    ]


def repaired(run: Run, draft: Prediction, error: str, completion: Completion) -> Prediction:
    """Return the prediction of the second attempt, at the cost of both, and journal what it changed."""
    after = replace(
        draft,
        sql=sql.extract(completion.text),
        completion=completion.text,
        prompt_tokens=draft.prompt_tokens + completion.prompt_tokens,
        completion_tokens=draft.completion_tokens + completion.completion_tokens,
        seconds=draft.seconds + completion.seconds,
        steps=2,
    )
    run.append(JOURNAL, _row(draft, error, after=after.sql))
    return after


def _row(draft: Prediction, error: str, *, after: str | None) -> dict:
    return {
        "example_id": draft.example_id,
        "before": draft.sql,
        "error": error,
        "after": after,
        "completion": draft.completion,
        "prompt_tokens": draft.prompt_tokens,
        "completion_tokens": draft.completion_tokens,
    }


def _draft(blank: Prediction, row: Mapping, seconds: float) -> Prediction:
    tokens = {name: row[name] for name in ("prompt_tokens", "completion_tokens")}
    return replace(blank, sql=row["before"], completion=row["completion"], seconds=seconds, **tokens)
