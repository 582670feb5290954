"""The rows being decoded now, and the keys and values of what they have read.

>>> batch = Shared(module, prefix, prefix_length=555, max_new_tokens=64, slots=128)
>>> batch.admit(waiting); logits = batch.step(); batch.keep([True, False, True])

`Shared` holds the prefix once and gives every row a slot of its own length; rows come and go at any step.
`Replicated` is for a model whose attention cannot be split: every row has a copy of the prefix. Both have the
same five members: `rows`, `slots`, `admit`, `step`, `keep`, and `shrink` for when memory runs out.

A row has `prompt` and `generated`, lists of token ids, and `tokens`, the two joined. This room knows nothing
of text, sampling, or when a row has ended. Heavy imports: it is imported only when something is generated.
"""

import copy
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from transformers import Cache, DynamicCache

from helpers.split_attention import Pass, SuffixLayer

log = logging.getLogger(__name__)

READ_TOKENS = 4096  # tokens read in one pass: enough to keep the cores busy, few enough to bound activations
ADMIT_SHARE = 8  # new rows come in when one slot of so many is free: reading a few rows alone wastes a pass
CPU_CACHE_BYTES = 2**30
GPU_CACHE_SHARE = 0.5  # of the memory that is free when the batch begins
KEPT_SHARE = 0.5  # of the cache's tokens, held besides it for rows that a later call continues


@dataclass(frozen=True)
class Kept:
    """A row that has left: its tokens, and per layer the keys and values from position `begin` to the last but one."""

    tokens: list[int]
    begin: int
    layers: list[tuple[torch.Tensor, torch.Tensor]]


@dataclass(eq=False)
class Shared:
    """Rows over one shared prefix; row i of `rows` lives in slot i.

    Rows that continue one of `known` read only what is new. Rows that leave are added to `kept`, if it is a
    list, as long as memory allows.
    """

    module: torch.nn.Module
    prefix: DynamicCache | None
    prefix_length: int
    max_new_tokens: int
    slots: int
    known: Sequence[Kept] = ()
    kept: list[Kept] | None = None
    rows: list = field(default_factory=list)

    def __post_init__(self):
        self.where = Pass()
        layers = text_config(self.module).num_hidden_layers
        self.cache = Cache(layers=[SuffixLayer(self.where) for _ in range(layers)])
        self.cache_tokens = _cache_bytes(self.module) // _token_bytes(self.module)

    def admit(self, waiting: deque) -> None:
        """Take in the waiting rows there is room for, once enough slots are free, and read their prompts."""
        if self.rows and self.slots - len(self.rows) < self.slots // ADMIT_SHARE:
            return
        while group := self._group(waiting):
            begin = len(self.rows)
            starts = [self._recall(row, slot) for slot, row in enumerate(group, start=begin)]
            chunks = [row.tokens[self.prefix_length + start : -1] for row, start in zip(group, starts, strict=True)]
            if any(chunks):
                self.forward(chunks, starts, slice(begin, begin + len(group)))
            for _ in group:
                self.rows.append(waiting.popleft())

    def step(self) -> torch.Tensor:
        """Feed every row its last token; return the logits of the next, (rows, vocabulary)."""
        starts = [len(row.tokens) - 1 - self.prefix_length for row in self.rows]
        return self.forward([row.tokens[-1:] for row in self.rows], starts, slice(0, len(self.rows)))

    def keep(self, wanted: list[bool]) -> None:
        """Drop the other rows, moving the last rows into the slots that become free."""
        for slot, row in enumerate(self.rows):
            if self.kept is not None and not wanted[slot]:
                self._keep(row, slot)
        size = sum(wanted)
        holes = [slot for slot in range(size) if not wanted[slot]]
        sources = [slot for slot in range(size, len(wanted)) if wanted[slot]]
        for layer in self.cache.layers if holes else ():
            layer.move(sources, holes)
        for source, hole in zip(sources, holes, strict=True):
            self.rows[hole] = self.rows[source]
        del self.rows[size:]

    def shrink(self) -> list:
        """Halve the slots; return the rows that have lost theirs."""
        self.slots = max(1, min(self.slots, len(self.rows) or self.slots) // 2)
        lost = self.rows[self.slots :]
        del self.rows[self.slots :]
        self.where.room = (self.slots, self.where.room[1])
        log.warning("Memory ran out: going on with %d rows at a time.", self.slots)
        return lost

    def forward(self, chunks: list[list[int]], starts: list[int], slots: slice) -> torch.Tensor:
        """Run the model on a chunk of tokens per slot, to be written from that slot's column `start` on.

        Shorter chunks are filled up at their end; what that writes is overwritten before it is ever seen.
        Returns the logits after the last column, (rows, vocabulary).
        """
        device, length = self.module.device, max(map(len, chunks))
        tokens = torch.tensor([chunk + [0] * (length - len(chunk)) for chunk in chunks], device=device)
        columns = torch.tensor(starts, device=device)[:, None] + torch.arange(length, device=device)
        columns = columns.clamp(max=self.where.room[1] - 1)  # a row's last column is never part of its prompt
        filled = min(max(starts) + length, self.where.room[1])
        self.where.slots, self.where.columns, self.where.filled = slots, columns, filled
        unseen = torch.arange(self.where.filled, device=device) > columns[:, None, :, None]
        mask = torch.zeros(unseen.shape, device=device).masked_fill_(unseen, float("-inf"))
        return self.module(input_ids=tokens, attention_mask=mask, position_ids=columns + self.prefix_length,
                           past_key_values=self.cache, use_cache=True, logits_to_keep=1,
                           shared_prefix=self.prefix).logits[:, -1]

    def _recall(self, row, slot: int) -> int:
        """Fill the slot with what is known of the row; return how many columns that is."""
        begin, best, agreed = self.prefix_length, None, self.prefix_length
        for known in self.known:
            agrees = min(agreement(known.tokens[:-1], row.tokens), len(row.tokens) - 1)
            if known.begin <= begin and agrees > agreed:
                best, agreed = known, agrees
        for layer, (keys, values) in zip(self.cache.layers, best.layers if best else (), strict=False):
            columns = slice(begin - best.begin, agreed - best.begin)
            layer.write(slot, keys[:, columns], values[:, columns])
        return agreed - begin

    def _keep(self, row, slot: int) -> None:
        """Copy what the row has read, unless that would be too much to hold."""
        length = len(row.tokens) - 1 - self.prefix_length
        if length + sum(len(kept.tokens) - 1 - kept.begin for kept in self.kept) <= self.cache_tokens * KEPT_SHARE:
            layers = [layer.read(slot, length) for layer in self.cache.layers]
            self.kept.append(Kept(row.tokens, self.prefix_length, layers))

    def _group(self, waiting: deque) -> list:
        """Choose the next rows to read, as many as fit slots, cache and one pass, and make room for them."""
        group, room = [], self.where.room
        for row in waiting:
            size, columns = len(self.rows) + len(group) + 1, max(room[1], self._columns(row))
            tokens = (len(group) + 1) * (len(row.tokens) - self.prefix_length)
            if size > 1 and (size > self._capacity(columns) or (group and tokens > READ_TOKENS)):
                break
            group.append(row)
            room = (max(size, min(self._capacity(columns), len(self.rows) + len(waiting))), columns)
        self.where.room = room
        return group

    def _columns(self, row) -> int:
        return len(row.prompt) - self.prefix_length + self.max_new_tokens

    def _capacity(self, columns: int) -> int:
        return max(1, min(self.slots, self.cache_tokens // columns))


@dataclass(eq=False)
class Replicated:
    """Rows that each have their own copy of the prefix.

    Only rows of equal length are batched, so nothing is padded and any kind of layer computes what it would
    alone.
    """

    module: torch.nn.Module
    prefix: DynamicCache | None
    prefix_length: int
    slots: int
    rows: list = field(default_factory=list)
    cache: DynamicCache | None = None

    def admit(self, waiting: deque) -> None:
        """Take in the next rows of equal length, if the batch is empty."""
        if self.rows:
            return
        size = len(waiting[0].tokens)
        while waiting and len(self.rows) < self.slots and len(waiting[0].tokens) == size:
            self.rows.append(waiting.popleft())
        self.cache = None

    def step(self) -> torch.Tensor:
        """Feed every row what it has not read; return the logits of the next token, (rows, vocabulary)."""
        unread = [row.tokens[-1:] for row in self.rows]
        if self.cache is None:
            unread = [row.tokens[self.prefix_length :] for row in self.rows]
            empty = DynamicCache(config=self.module.config)
            self.cache = copy.deepcopy(self.prefix) if self.prefix else empty
            self.cache.batch_repeat_interleave(len(self.rows))
        tokens = torch.tensor(unread, device=self.module.device)
        return self.module(input_ids=tokens, past_key_values=self.cache, use_cache=True,
                           logits_to_keep=1).logits[:, -1]

    def keep(self, wanted: list[bool]) -> None:
        """Drop the other rows and their caches."""
        if not all(wanted):
            kept = [slot for slot, keep in enumerate(wanted) if keep]
            self.rows = [self.rows[slot] for slot in kept]
            self.cache.batch_select_indices(torch.tensor(kept, device=self.module.device, dtype=torch.long))

    def shrink(self) -> list:
        """Halve the slots; return all rows, to be taken in again."""
        self.slots = max(1, min(self.slots, len(self.rows)) // 2)
        lost, self.rows = self.rows, []
        log.warning("Memory ran out: going on with %d rows at a time.", self.slots)
        return lost


def agreement(first: list[int], second: list[int]) -> int:
    """Return how many tokens two lists have in common from the beginning."""
    unequal = (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b)
    return next(unequal, min(len(first), len(second)))


def text_config(module):
    """Return the configuration of the module's decoder."""
    return module.config.get_text_config(decoder=True)


def _token_bytes(module) -> int:
    """Return the bytes that one token takes in the cache."""
    config = text_config(module)
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    return 2 * config.num_hidden_layers * heads * width * module.dtype.itemsize


def _cache_bytes(module) -> int:
    """Return how much the rows' caches may take: most of a GPU's free memory, a fixed amount of a CPU's."""
    if module.device.type != "cuda":
        return CPU_CACHE_BYTES
    free, _ = torch.cuda.mem_get_info(module.device)
    return int(free * GPU_CACHE_SHARE)
