"""Load a language model and ask it many conversations at once.

>>> model = load("bundled")
>>> asked = [[{"role": "user", "content": question}] for question in questions]
>>> [completion.text for completion in generate(model, asked, max_new_tokens=64, stop="statement")]
['SELECT COUNT(*) FROM orders;', …]

A model is "bundled", a folder, a Hugging Face id, or "openai:URL#name" for any server that speaks the OpenAI
protocol. All answer the same call, `generate`. Loading is in `weights`, the transformers engine in
`decoding`, the HTTP client in `openai_backend`.

It knows no SQL but where a statement ends, and no prompts: a conversation is a list of {"role", "content"}
messages. Nothing here has run on a GPU.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helpers import bundled, model_cache, runtime, weights
from helpers.completion import Completion, ModelError, stops
from helpers.weights import packed_for_inference

__all__ = ["Completion", "Model", "ModelError", "encode", "fake", "generate", "load", "packed_for_inference",
           "render"]

Conversation = Sequence[dict[str, str]]

@dataclass(eq=False)
class Model:
    """A loaded model. Nothing in it changes after `load` but `attention` and `prefix`, which the engine sets.

    `backend` is "transformers", "openai" or "fake"; `model` is the torch module, the HTTP client, or the
    fake's queue. `attention` says how prompts share their beginning: "" until known, then "shared" or
    "replicated". `prefix` is the last shared beginning and its keys and values, kept for the next call; set
    it to None to free it.
    """

    id: str
    backend: str
    model: Any
    tokenizer: Any = None
    stop_ids: frozenset[int] = frozenset()
    dtype: str = ""
    attention: str = ""
    prefix: Any = field(default=None, repr=False)


@dataclass
class Replies:
    """What a fake model will say, and what it was asked so far."""

    queue: deque[str | Exception] | Callable[[Conversation], str]
    asked: list[Conversation] = field(default_factory=list)


@model_cache.reusable
def load(model_id: str, *, backend: str = "transformers", load_in_4bit: bool = False,
         bnb_4bit_quant_type: str = "nf4", bnb_4bit_use_double_quant: bool = True,
         compute_dtype: str = "auto", adapter: str | Path = "", device: str = "auto",
         revision: str = "") -> Model:
    """Load `model_id`, quantised by bitsandbytes and wearing a LoRA `adapter` folder if asked.

    `compute_dtype` "auto" is bfloat16 or float16 by the GPU's capability, float32 on a CPU. Raises
    ModelError, with the remedy, for an unknown or gated id, a bad adapter, or 4-bit where bitsandbytes cannot
    work.
    """
    if backend == "openai" or model_id.startswith("openai:"):
        from helpers import openai_backend

        return openai_backend.load(model_id)
    source = str(bundled.fetch()) if model_id == "bundled" else model_id
    dtype = runtime.compute_dtype(compute_dtype)
    bits = weights.four_bit(bnb_4bit_quant_type, bnb_4bit_use_double_quant, dtype) if load_in_4bit else None
    module, tokenizer = weights.load(source, dtype=dtype, device=device, revision=revision, quantisation=bits)
    if adapter:
        module = weights.with_adapter(module, Path(adapter))
    ends = weights.stop_ids(module, tokenizer)
    return Model(model_id, "transformers", module.eval(), tokenizer, ends, dtype)


def generate(model: Model, conversations: Sequence[Conversation], *, max_new_tokens: int,
             stop: str | Sequence[str] = "turn", prefill: str = "", temperature: float = 0.0, n: int = 1,
             seed: int = 0, batch_size: int = 0, keep: bool = False,
             on_result: Callable[[int, Completion], None] | None = None,
             constraint: Callable[[], Any] | None = None,
             on_text: Callable[[int, str], None] | None = None) -> list[Completion]:
    """Answer every conversation and return the completions in the order of the conversations.

    A last message of the role "assistant" is continued; `prefill` begins the answer of every conversation and
    its text. `stop`: see `helpers.completion`. `temperature` 0 is greedy. With `n` > 1 the answers to
    conversation i are the results i*n to i*n+n-1. Samples depend on `seed`, the conversation and the sample's
    number, on nothing else in the call. `batch_size` 0 lets the engine choose. `keep` holds what the answers
    have read, so that the next call, if its conversations go on from these, reads only what is new; other
    back ends take no notice of it. `on_result(index, completion)` is called as each answer finishes.
    `constraint()` makes a matcher for one answer: `matcher.restrict(logits)` sets the (vocabulary,) logits of
    forbidden tokens to -inf in place, `matcher.accept(token)` advances it. `on_text(index, text)` is called after
    every step with an answer's text so far, by transformers only; what it raises ends the call. Raises
    ModelError when a back end fails for good.
    """
    settings = {"max_new_tokens": max_new_tokens, "stop": stops(stop), "prefill": prefill, "n": n,
                "temperature": temperature, "seed": seed, "batch_size": batch_size}
    on_result = on_result or (lambda index, completion: None)
    if n > 1 and temperature <= 0:
        raise ValueError(f"n={n} answers need a temperature above 0: greedy answers would all be the same.")
    if model.backend == "fake":
        return _fake_answers(model.model, conversations, n=n, prefill=prefill, on_result=on_result)
    if model.backend == "openai":
        from helpers import openai_backend

        if constraint:
            raise ModelError(f"{model.id} cannot be constrained: load the model with transformers.")
        return openai_backend.generate(model, conversations, on_result=on_result, **settings)
    from helpers import decoding

    prompts = [encode(model, conversation, prefill) for conversation in conversations]
    return decoding.generate(model, prompts, keep=keep, on_result=on_result, constraint=constraint,
                             on_text=on_text, **settings)


def render(model: Model, conversation: Conversation, prefill: str = "") -> str:
    """Return the prompt's text by the model's chat template, ending where the answer goes on."""
    messages = list(conversation)
    continued = messages.pop()["content"] if messages and messages[-1]["role"] == "assistant" else ""
    if model.tokenizer.chat_template is None:
        raise ModelError(f"{model.id} has no chat template: choose an instruction-tuned model.")
    text = model.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return text + continued + prefill


def encode(model: Model, conversation: Conversation, prefill: str = "") -> list[int]:
    """Return the prompt's token ids; the template has written the one BOS there is, so none is added.

    Control tokens come from the template and from `prefill` alone. One that a message names, as a value in a
    database may, is text: the name is broken after its first character and its parts are encoded apart. A
    message that names none is encoded in one piece. A server asked over HTTP does as its tokenizer does.
    """
    mark = _mark("".join(message["content"] for message in conversation) + prefill)
    broken = [{**message, "content": _broken(model, message["content"], mark)} for message in conversation]
    return _tokens(model, render(model, broken, prefill).split(mark))


def encode_text(model: Model, text: str) -> list[int]:
    """Return the token ids of a text outside a template, in which a control token's name is text as in `encode`."""
    mark = _mark(text)
    return _tokens(model, _broken(model, text, mark).split(mark))


def _mark(said: str) -> str:
    return next(sign for sign in map(chr, range(0xE000, 0xF8FF)) if sign not in said)  # of no meaning in Unicode


def _broken(model: Model, text: str, mark: str) -> str:
    return _control_names(model.tokenizer).sub(lambda name: name[0][0] + mark + name[0][1:], text)


def _tokens(model: Model, parts: list[str]) -> list[int]:
    return [token for part in parts for token in model.tokenizer(part, add_special_tokens=False)["input_ids"]]


def _control_names(tokenizer) -> re.Pattern:
    """Match the names of special tokens, and of added ones that look like them, such as Qwen's <think>."""
    added = tokenizer.added_tokens_decoder.values()
    names = {token.content for token in added if token.special or token.content.startswith("<")}
    longest_first = sorted(names | set(tokenizer.all_special_tokens), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")


def fake(replies: Iterable[str | Exception] | Callable[[Conversation], str]) -> Model:
    """Make a model that answers from a queue, or by a function of the conversation.

    `.model.asked` keeps what it was asked. An exception in the queue is raised when its turn comes.
    """
    return Model("fake", "fake", Replies(replies if callable(replies) else deque(replies)))


def _fake_answers(replies: Replies, conversations, *, n: int, prefill: str, on_result) -> list[Completion]:
    """Give every conversation its next replies, in order."""
    done = []
    for conversation in (conversation for conversation in conversations for _ in range(n)):
        replies.asked.append(list(conversation))
        if not callable(replies.queue) and not replies.queue:
            raise ModelError(f"The fake model has no reply to question {len(replies.asked)}: queue more.")
        reply = replies.queue(conversation) if callable(replies.queue) else replies.queue.popleft()
        if isinstance(reply, Exception):
            raise reply
        words = sum(len(message["content"].split()) for message in conversation)
        done.append(Completion(prefill + reply, words, len(reply.split())))
        on_result(len(done) - 1, done[-1])
    return done
