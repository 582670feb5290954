"""Examples of what goes wrong: a method's wrong answers, spread over the classes of error, each beside its gold.

>>> pick(methods, methods[0], n=10)[0]
Failure(example=Example("t014", ...), sql="SELECT nme FROM offices", error_class="invalid SQL", error="Unknown column
...", wrong=1, of=1, right_in=("05_qlora",))

Classes take turns, the most frequent first, and within a class the questions keep their order: the same runs give the
same examples. Not covered: whether an example is typical of its class.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

from helpers.dataset import Example
from helpers.methods import Method, error_classes, share_right

SHOWN = 10


@dataclass(frozen=True)
class Failure:
    """A wrong answer, by the first of the method's runs that has it wrong: `wrong` of `of` runs have."""

    example: Example
    sql: str
    error_class: str
    error: str
    wrong: int
    of: int
    right_in: tuple[str, ...]


def pick(methods: Sequence[Method], method: Method, *, n: int = SHOWN) -> list[Failure]:
    """Return at most `n` of a method's wrong answers, with the other methods that mostly have them right."""
    rights = {other.name: share_right(other) for other in methods if other is not method}
    queues: dict[str, list[Failure]] = {name: [] for name in error_classes(method)}
    for at, example in enumerate(method.examples):
        wrong = [run.verdicts[at] for run in method.runs if not run.verdicts[at].ex]
        if wrong:
            first, right_in = wrong[0], tuple(name for name, right in rights.items() if right[at] > 0.5)
            failure = Failure(
                example, first.sql, first.error_class, first.error, len(wrong), len(method.runs), right_in
            )
            queues.setdefault(first.error_class, []).append(failure)
    turns = chain.from_iterable(zip_longest(*queues.values()))
    return [failure for failure in turns if failure is not None][:n]


def frame(found: Sequence[Failure]):
    """Return failures as a table."""
    import pandas

    rows = [(f.example.id, f.example.nlq, f.example.sql, f.sql, f.error_class, f.error) for f in found]
    return pandas.DataFrame(rows, columns=["id", "question", "gold", "prediction", "class", "error"])
