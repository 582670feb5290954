"""Whether an answer equals the gold, for questions that have one.

>>> check = judge(examples, database)
>>> check("How many orders were cancelled?", database.execute("SELECT COUNT(*) FROM orders"))
Judged(gold="SELECT COUNT(*) FROM orders WHERE status = 'Cancelled'", equal=False)
>>> check("What is the meaning of life?", result) is None
True

Equal means what EX means in 06_evaluate: alternatives and optional columns count, and so do ties under a LIMIT. A gold
is run when its question is first asked.
"""

from collections.abc import Iterable

from helpers.comparison import same_result
from helpers.database import Database, Result
from helpers.dataset import Example
from helpers.expected import accepted
from helpers.playground_panel import Judge, Judged


def judge(examples: Iterable[Example], database: Database) -> Judge:
    """Return the judge of these examples' questions; it returns None for any other question.

    Questions are found without regard to case and blanks. The judge raises GoldFailed for a gold that does not run.
    """
    by_question = {_key(example.nlq): example for example in examples}

    def check(question: str, result: Result) -> Judged | None:
        example = by_question.get(_key(question))
        if example is None:
            return None
        equal = any(same_result(answer, result, "ex") for answer in accepted(example, database))
        return Judged(example.sql, equal)

    return check


def _key(question: str) -> str:
    return " ".join(question.casefold().split())
