"""What a model is trained on: a prompt's tokens, exactly those it is given when it answers, and the reply's tokens.

>>> rows(examples, contexts, model, seed=7)[0]
Row(id='train-0001', question='…', prompt=(1, 9690, …), completion=(…, 43, 2), context=0)

A completion is the gold with its semicolon and the token with which the model ends its turn, so that it learns to
stop; only completions have labels. Every example gets one of the contexts (zero or three exemplars, say), dealt by
the seed. `refuse` says what would spoil a training without showing in its loss. It knows tokens and no trainer.
"""

import logging
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace

from helpers import bundled, models, prompts, sql, weights
from helpers.dataset import Example

log = logging.getLogger(__name__)


class FinetuneError(Exception):
    """Say in one sentence what would spoil the training, and the remedy."""


@dataclass(frozen=True)
class Row:
    """One training row in token ids; rows of one `context` begin alike."""

    id: str
    question: str
    prompt: tuple[int, ...]
    completion: tuple[int, ...]
    context: int


def unloaded(model_id: str) -> models.Model:
    """Return a model without its weights: its tokenizer and the ids at which it stops, which is all that rows need.

    Raises ModelError for an unknown or gated id.
    """
    from transformers import AutoConfig, AutoTokenizer

    source = bundled.fetch() if model_id == "bundled" else model_id
    try:
        tokenizer, config = AutoTokenizer.from_pretrained(source), AutoConfig.from_pretrained(source)
    except (OSError, ValueError) as error:
        raise models.ModelError(f"The tokenizer of {model_id} cannot be loaded ({str(error).splitlines()[0]}): check "
                                "the name, and HF_TOKEN if the model is gated.") from error
    ends = weights.stop_ids(SimpleNamespace(generation_config=config.get_text_config()), tokenizer)
    return models.Model(model_id, "transformers", None, tokenizer, ends)


def contexts(context: prompts.Context, pool: Sequence[Example], train_k: Iterable[int], *, seed: int,
             answered: Iterable[Example] = ()) -> list[prompts.Context]:
    """Return the context once for each number in `train_k`, with so many exemplars; see `prompts.fixed`."""
    held_out = list(answered)
    return [replace(context, exemplars=tuple(prompts.fixed(pool, k=k, seed=seed, answered=held_out))) for k in train_k]


def rows(examples: Iterable[Example], contexts: Sequence[prompts.Context], model: models.Model, *,
         seed: int) -> list[Row]:
    """Render examples as rows, in a shuffled order, dealing the contexts to them evenly.

    An example does not get a context that shows it, or another question to the same statement, as an exemplar; one
    that every context shows is left out. Raises FinetuneError if the model's template does not end an answer.
    """
    dealt, end = list(examples), turn_end(model)
    random.Random(seed).shuffle(dealt)
    shown = [{sql.template(exemplar.sql) for exemplar in context.exemplars} for context in contexts]
    made, counts = [], [0] * len(contexts)
    for example in dealt:
        fit = [n for n in range(len(contexts)) if sql.template(example.sql) not in shown[n]]
        if fit:
            chosen = min(fit, key=counts.__getitem__)
            counts[chosen] += 1
            made.append(_row(example, contexts[chosen], chosen, model, end))
    if len(made) < len(dealt):
        log.info("%d of %d examples are exemplars of every context and are not trained on.", len(dealt) - len(made),
                 len(dealt))
    return made


def turn_end(model: models.Model) -> int:
    """Return the token that the model's chat template writes after an answer.

    Raises FinetuneError if it writes none, or one at which generation would not stop.
    """
    asked = [{"role": "user", "content": "?"}]
    answered = [*asked, {"role": "assistant", "content": "!"}]
    text = model.tokenizer.apply_chat_template(answered, tokenize=False)
    after = text[len(models.render(model, asked)) :].lstrip().removeprefix("!")
    ids = model.tokenizer(after, add_special_tokens=False)["input_ids"]
    if not ids or ids[0] not in model.stop_ids:
        raise FinetuneError(f"The chat template of {model.id} ends an answer with {after!r}, at which generation does "
                            "not stop: choose an instruction-tuned model whose template ends turns.")
    return ids[0]


def refuse(model: models.Model, rows: Sequence[Row], *, max_length: int, held_out: Iterable[Example] = ()) -> None:
    """Raise FinetuneError if rows or model would spoil the training; `held_out` are the questions of dev and test."""
    if not rows:
        raise FinetuneError("There is no row to train on: check the training split and train_limit.")
    if hasattr(model.model, "peft_config"):
        raise FinetuneError(f"{model.id} already wears an adapter: load it afresh before training.")
    if models.packed_for_inference(model.model):
        raise FinetuneError(f"{model.id} has answered in 4 bits on this CPU, after which its gradients would be wrong: "
                            "load it afresh before training.")
    end = turn_end(model)
    if model.tokenizer.pad_token_id == end:
        raise FinetuneError(f"The pad token of {model.id} is {model.tokenizer.pad_token}, which ends its turns and "
                            "would not be learned: set the tokenizer's pad_token to a reserved token.")
    asked = {_words(example.nlq): example.id for example in held_out}
    for row in rows:
        _refuse_row(row, model, end, max_length)
        if _words(row.question) in asked:
            raise FinetuneError(f"The question of training example {row.id} is asked in {asked[_words(row.question)]} "
                                "of the held-out questions too: take it out of the training split.")


def _refuse_row(row: Row, model: models.Model, end: int, max_length: int) -> None:
    start = model.tokenizer.bos_token_id
    if start is not None and row.prompt[:2] == (start, start):
        raise FinetuneError(f"Training row {row.id} begins with two {model.tokenizer.bos_token}: render the prompt by "
                            "the chat template and add no special tokens to it.")
    if not row.completion or row.completion[-1] != end:
        raise FinetuneError(f"The completion of training row {row.id} is cut off before the model's turn ends: build "
                            "rows with finetune.rows, which never truncates.")
    size = len(row.prompt) + len(row.completion)
    if size > max_length:
        part = "prompt" if len(row.prompt) >= max_length else "row"
        raise FinetuneError(f"The {part} of training example {row.id} has {size} tokens, more than max_length = "
                            f"{max_length}: raise max_length or show fewer exemplars or sample values.")


def _row(example: Example, context: prompts.Context, number: int, model: models.Model, end: int) -> Row:
    prompt = models.encode(model, prompts.conversation(context, example.nlq))
    reply = models.encode_text(model, prompts.answer(example, linking=context.linking))
    return Row(example.id, example.nlq, tuple(prompt), (*reply, end), number)


def _words(question: str) -> str:
    return " ".join(question.casefold().split())
