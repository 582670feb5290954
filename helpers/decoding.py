"""Decode many prompts together: rows enter a batch, advance one token a step, and leave it as they finish.

This room schedules and samples; `row_batch` holds keys and values and runs the model. Rows are taken shortest
first. A row that is put back for lack of memory keeps what it has written and is only read again (vLLM's
preemption by recomputation). It knows neither messages nor back ends. Heavy imports: it is imported only when
something is generated.
"""

import hashlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from helpers import shared_prefix
from helpers.completion import Completion, ModelError, end_of

SLOTS = 128  # rows at a time, where memory allows and the caller names no number
# What a failed allocation says where it is no OutOfMemoryError: the CPU's allocator, and cuBLAS.
OUT_OF_MEMORY = ("can't allocate memory", "not enough memory", "ALLOC_FAILED")


@dataclass(eq=False)
class Row:
    """One answer in the making: its prompt, what has been generated, and what it has cost."""

    index: int
    prompt: list[int]
    generated: list[int] = field(default_factory=list)
    draws: list[float] = field(default_factory=list)
    matcher: Any = None
    seconds: float = 0.0

    @property
    def tokens(self) -> list[int]:
        return self.prompt + self.generated


@dataclass(eq=False)
class Reader:
    """Turns a row's tokens into text and tells when it has ended.

    The text is decoded and searched only when the newest token holds a character that could complete a rule.
    """

    tokenizer: Any
    stop_ids: frozenset[int]
    stop: tuple[str, ...]
    prefill: str
    max_new_tokens: int
    on_text: Callable[[int, str], None] | None = None
    pieces: dict[int, str] = field(default_factory=dict)

    def finished(self, row: Row) -> tuple[str, str] | None:
        """Return the row's text and why it ended, or None while it goes on."""
        newest = row.generated[-1]
        if newest in self.stop_ids:
            return self._text(row), "turn"
        if any(rule_end in self._piece(newest) for rule_end in self._last_characters()):
            text = self._text(row)
            if end := end_of(text, self.stop):
                return text[: end[0]], end[1]
        if len(row.generated) >= self.max_new_tokens:
            return self._text(row), "length"
        return None

    def report(self, rows: list[Row]) -> None:
        """Hand over what the rows say so far, if somebody listens."""
        for row in rows if self.on_text else ():
            self.on_text(row.index, self._text(row))

    def _last_characters(self) -> set[str]:
        return {";" if rule == "statement" else rule[-1] for rule in self.stop}

    def _piece(self, token: int) -> str:
        if token not in self.pieces:
            self.pieces[token] = self.tokenizer.decode([token])
        return self.pieces[token]

    def _text(self, row: Row) -> str:
        kept = row.generated[:-1] if row.generated[-1] in self.stop_ids else row.generated
        return self.prefill + self.tokenizer.decode(kept, skip_special_tokens=True)


def generate(model, prompts: list[list[int]], *, max_new_tokens: int, stop: tuple[str, ...], prefill: str,
             temperature: float, n: int, seed: int, batch_size: int, keep: bool,
             on_result: Callable[[int, Completion], None],
             constraint: Callable[[], Any] | None,
             on_text: Callable[[int, str], None] | None = None) -> list[Completion]:
    """Answer token prompts; the arguments are those of `models.generate`.

    Raises ModelError when memory is short even for a single row.
    """
    if not prompts:
        return []
    reader = Reader(model.tokenizer, model.stop_ids, stop, prefill, max_new_tokens, on_text)
    rows = [Row(i * n + j, prompt, draws=draws(prompt, seed, j, max_new_tokens) if temperature > 0 else [],
                matcher=constraint() if constraint else None)
            for i, prompt in enumerate(prompts) for j in range(n)]
    answers: dict[int, Completion] = {}
    slots = min(batch_size or SLOTS, len(rows))
    begun = time.perf_counter()
    with torch.inference_mode(), shared_prefix.row_batch(model, prompts, max_new_tokens, slots, keep) as batch:
        now = time.perf_counter()
        for row in rows:
            row.seconds = (now - begun) / len(rows)
        for row, text, why in decode(rows, batch, reader, temperature, now):
            answers[row.index] = Completion(text, len(row.prompt), len(row.generated), row.seconds, why)
            on_result(row.index, answers[row.index])
    return [answers[index] for index in range(len(rows))]


def decode(rows: list[Row], batch, reader: Reader, temperature: float, clock: float):
    """Yield (row, text, finish) as rows finish, until all have."""
    waiting = deque(sorted(rows, key=lambda row: len(row.prompt)))
    while waiting or batch.rows:
        try:
            batch.admit(waiting)
            logits = batch.step().float()
        except (RuntimeError, MemoryError) as error:
            _halve(batch, waiting, error)
            continue
        for row, token in zip(batch.rows, choose(logits, batch.rows, temperature), strict=True):
            row.generated.append(token)
        reader.report(batch.rows)
        now = time.perf_counter()
        for row in batch.rows:
            row.seconds += (now - clock) / len(batch.rows)
        clock = now
        ended = {row: end for row in batch.rows if (end := reader.finished(row))}
        batch.keep([row not in ended for row in batch.rows])
        for row, (text, why) in ended.items():
            yield row, text, why


def choose(logits, rows: list[Row], temperature: float) -> list[int]:
    """Pick each row's next token from (rows, vocabulary) logits: the likeliest, or by its own random draw.

    A row samples by inverting the cumulative distribution at its draw, so its choice depends on no other row.
    """
    for row, scores in zip(rows, logits, strict=True):
        if row.matcher:
            row.matcher.restrict(scores)
    if temperature > 0:
        draw = torch.tensor([row.draws[len(row.generated)] for row in rows], dtype=torch.float64)
        odds = torch.softmax(logits.double() / temperature, dim=-1).cumsum(dim=-1)
        heights = draw[:, None].to(odds.device) * odds[:, -1:]
        tokens = torch.searchsorted(odds, heights, right=True)[:, 0].tolist()
    else:
        tokens = logits.argmax(dim=-1).tolist()
    for row, token in zip(rows, tokens, strict=True):
        if row.matcher:
            row.matcher.accept(token)
    return tokens


def draws(prompt: list[int], seed: int, sample: int, count: int) -> list[float]:
    """Return `count` uniform draws that depend on the prompt, the seed and the sample's number alone."""
    digest = hashlib.sha256(f"{seed}/{sample}/{prompt}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    return torch.rand(count, generator=generator, dtype=torch.float64).tolist()


def _halve(batch, waiting: deque[Row], error: Exception) -> None:
    """Put half of the rows back to wait and keep the batch that small; give up when one row does not fit."""
    said = any(sign in str(error) for sign in OUT_OF_MEMORY)
    if not (said or isinstance(error, MemoryError | torch.OutOfMemoryError)):
        raise error
    if batch.slots <= 1:
        raise ModelError("Memory does not suffice for one prompt of this length: use a smaller model, "
                         "load_in_4bit, or fewer exemplars.") from error
    waiting.extendleft(reversed(batch.shrink()))
