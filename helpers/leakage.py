"""Questions and SQL templates that two splits share, and questions that are nearly the same.

    pairs({"train": train, "test": test})
    # [Pair("near-duplicate", "test", "t7", "train", "s0311", 93.5, "How many ...", "How many ...")]

Two questions are near-duplicates at a rapidfuzz ratio of 90 or more (normalised indel similarity, in per cent), case
and white space folded. Exemplars come from train, so these two may share what they like. An item is paired with the
first that has its template, not with all. Time grows with the square of the number of questions, at some 10 million
pairs a second. A paraphrase in other words is not found.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from rapidfuzz import fuzz, process

from helpers import dataset
from helpers.dataset import Example
from helpers.diagnosis import Finding, about

RATIO = 90
BLOCK = 500
ALLOWED = {"train", "exemplars"}

Splits = Mapping[str, Sequence[Example]]


@dataclass(frozen=True)
class Pair:
    """Two items that share a template or a question, or nearly so; `ratio` in per cent."""

    kind: str
    split: str
    item: str
    other_split: str
    other_item: str
    ratio: float
    question: str
    other_question: str


def pairs(splits: Splits) -> list[Pair]:
    """Return the pairs of two splits that share a question or a template, and all pairs of nearly the same question."""
    alike = list(_alike(splits))
    known = {(pair.split, pair.item, pair.other_split, pair.other_item) for pair in alike}
    return [*alike, *(p for p in _same_template(splits) if (p.split, p.item, p.other_split, p.other_item) not in known)]


def across(found: Sequence[Pair]) -> list[Pair]:
    """Return the pairs of two different splits: what leaks."""
    return [pair for pair in found if pair.split != pair.other_split]


def _alike(splits: Splits) -> Iterator[Pair]:
    items = [(name, example) for name, examples in splits.items() for example in examples]
    texts = [_folded(example) for _, example in items]
    for start in range(0, len(items), BLOCK):
        scores = process.cdist(texts[start : start + BLOCK], texts[start:], scorer=fuzz.ratio, score_cutoff=RATIO)
        for row, column in zip(*scores.nonzero(), strict=True):
            one, other = items[start + row], items[start + column]
            if column > row and {one[0], other[0]} != ALLOWED:
                kind = "question" if texts[start + row] == texts[start + column] else "near-duplicate"
                yield _pair(kind, *one, *other, ratio=float(scores[row, column]))


def _same_template(splits: Splits) -> Iterator[Pair]:
    apart = {name: examples for name, examples in splits.items() if name != "exemplars"}
    shown = {name: examples for name, examples in splits.items() if "exemplars" in splits and name != "train"}
    for one, a, other, b in dict.fromkeys((*dataset.overlap(apart), *dataset.overlap(shown))):
        yield _pair("template", one, a, other, b, ratio=fuzz.ratio(_folded(a), _folded(b)))


def _pair(kind: str, split: str, item: Example, other_split: str, other: Example, *, ratio: float) -> Pair:
    return Pair(kind, split, item.id, other_split, other.id, round(ratio, 1), item.nlq, other.nlq)


def _folded(example: Example) -> str:
    return " ".join(example.nlq.lower().split())


_SHARED = {
    "template": "items with the SQL template of an item of {}",
    "question": "items with the question of an item of {}",
    "near-duplicate": f"questions with a ratio of {RATIO} or more to one of {{}}",
}


def findings(found: Sequence[Pair]) -> Iterator[Finding]:
    """Yield one error for each kind of leak between two splits, and a finding for a split that repeats itself."""
    groups: dict[tuple, list[Pair]] = {}
    for pair in found:
        groups.setdefault((pair.kind, pair.split, pair.other_split), []).append(pair)
    for (kind, split, other), alike in groups.items():
        level = "error" if split != other else "warning" if kind == "question" else "note"
        then = "drop one of each two" if split != other else "together they weigh more than their number"
        yield about(level, f"{kind}_overlap", other, [pair.other_item for pair in alike], _SHARED[kind].format(split),
                    f"{alike[0].other_item} is like {alike[0].item}: {then}.")  # fmt: skip


def table(found: Sequence[Pair]) -> list[dict]:
    """Return the pairs as rows."""
    return [asdict(pair) for pair in found]
