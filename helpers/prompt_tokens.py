"""How many of a prompt's tokens each of its parts takes, by the tokenizer of the run's model.

>>> parts(model, context, "How many orders were cancelled?")
{'chat template': 27, 'rule': 53, 'schema': 512, 'blurbs': 131, 'exemplars': 176, 'question': 6}

The whole prompt is tokenised once and every token counted where its first character lies, so the parts add up to the
prompt. The chat template's share is its role markers and special tokens, and whatever it adds, moves or rewrites. A
server's tokenizer is not known here, nor what it does to a prompt.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from statistics import mean

from helpers import models, prompts
from helpers.dataset import Example
from helpers.models import Model
from helpers.prompts import Context

PARTS = ("rule", "schema", "blurbs", "exemplars", "question", "chat template")


def parts(model: Model, context: Context, question: str) -> dict[str, int]:
    """Count the tokens of each part of one question's prompt."""
    messages = prompts.conversation(context, question)
    text = models.render(model, messages)
    spans = sorted(_spans(text, context, [message["content"].strip() for message in messages]))
    starts = [start for start, _, _ in spans]
    counts = dict.fromkeys(PARTS, 0)
    for begin, _ in model.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]:
        _, end, part = spans[bisect_right(starts, begin) - 1]
        counts[part if begin < end else "chat template"] += 1
    return counts


def table(model: Model, contexts: Sequence[Context], examples: Sequence[Example]) -> list[dict]:
    """Return a row a part, and one for the whole prompt: the fewest, the mean and the most tokens over the examples.

    There are no rows for a model without a tokenizer here.
    """
    if model.tokenizer is None or not examples:
        return []
    counted = [parts(model, context, e.nlq) for context, e in zip(contexts, examples, strict=True)]
    columns = {part: [counts[part] for counts in counted] for part in PARTS}
    columns["prompt"] = [sum(counts.values()) for counts in counted]
    return [
        {"part": part, "fewest": min(numbers), "mean": round(mean(numbers), 1), "most": max(numbers)}
        for part, numbers in columns.items()
    ]


def _spans(text: str, context: Context, contents: list[str]) -> Iterator[tuple[int, int, str]]:
    """Yield where each part begins and ends in the rendered prompt; what is in no span is the template's."""
    system, *exemplars, question = contents
    yield 0, 0, "chat template"
    start = text.find(system)
    if start >= 0:
        yield start, start + len(context.instructions), "rule"
        position = start + len(context.instructions)
        for line in system[len(context.instructions) :].splitlines(keepends=True):
            yield position, position + len(line), "blurbs" if line.startswith("-- ") else "schema"
            position += len(line)
    for content in exemplars:
        if (start := text.find(content)) >= 0:
            yield start, start + len(content), "exemplars"
    if (start := text.rfind(question)) >= 0:
        yield start, start + len(question), "question"
