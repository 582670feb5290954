"""Attention split in two: to a prefix that all rows share, and to each row's own suffix.

    one copy:  [ system, schema, exemplars ]            the shared prefix
    per row:       [ question 1, answer so far ]        its own slot, its own length
                   [ question 2, answer so far ] …

All rows' queries go against the one prefix in a single product per key-value head, and each against its own
suffix; the two partial softmaxes are merged exactly by their log-sum-exp (Hydragen, Juravsky et al. 2024,
arXiv:2402.05099). It enters transformers as an attention function and a cache layer, so models stay as they
are.

It knows tensors only. On a GPU the plain product stands in for the CPU's fused kernel; that path is tested on
a CPU and has not run on a GPU. Heavy imports: this room is imported only when something is generated.
"""

import contextlib
from dataclasses import dataclass

import torch
from transformers.cache_utils import CacheLayerMixin
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, sdpa_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

NAME = "shared_prefix"
UNSPLITTABLE = ("softcap", "s_aux", "position_bias", "sliding_window")  # what models hand to their attention


def attend(query, key, value, mask, scaling: float):
    """Return the attention output and its log-sum-exp, by two plain products.

    query (rows, heads, queries, width) gives (rows, heads, queries, width) and (rows, heads, queries, 1).
    `mask` is additive, or None when every key is seen.
    """
    scores = ((query * scaling) @ key.transpose(-1, -2)).float()
    if mask is not None:
        scores = scores + mask
    top = scores.amax(dim=-1, keepdim=True)
    odds = (scores - top).exp_()
    total = odds.sum(dim=-1, keepdim=True)
    return (odds / total).to(value.dtype) @ value, top + total.log()


def attend_far(query, key, value, scaling: float):
    """Do what `attend` does without a mask; on a CPU by the fused kernel, which never holds all scores."""
    if query.device.type != "cpu":
        return attend(query, key, value, None, scaling)
    fused = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    out, total = fused(query, key, value, 0.0, False, scale=scaling)
    return out, total.unsqueeze(-1)


def split_attention(module, query, key, value, attention_mask, scaling=None, shared_prefix=None, **kwargs):
    """Attend to the shared prefix and to each row's suffix: an attention function of transformers' interface.

    query (rows, heads, queries, width); key and value (rows, kv heads, columns, width), as the cache returns
    them; `shared_prefix` is the prefix's DynamicCache or None. Returns (rows, queries, heads, width) and
    None. Raises NotImplementedError for a kind of attention that cannot be split.
    """
    if odd := [feature for feature in UNSPLITTABLE if kwargs.get(feature) is not None]:
        raise NotImplementedError(f"attention with {odd[0]} cannot be split")
    rows, heads, length, width = query.shape
    kv_heads = key.shape[1]
    queries = heads // kv_heads * length  # the query heads of a key-value head, one after another
    scaling = width**-0.5 if scaling is None else scaling
    grouped = query.reshape(rows, kv_heads, queries, width)
    mask = attention_mask if length == 1 else attention_mask.repeat(1, 1, heads // kv_heads, 1)
    out, total = attend(grouped, key, value, mask, scaling)
    if shared_prefix is not None:
        layer = shared_prefix.layers[module.layer_idx]
        together = grouped.transpose(0, 1).reshape(1, kv_heads, rows * queries, width)
        far, far_total = attend_far(together, layer.keys, layer.values, scaling)
        far = far.reshape(kv_heads, rows, queries, -1).transpose(0, 1)
        far_total = far_total.reshape(kv_heads, rows, queries, 1).transpose(0, 1)
        out = torch.lerp(out, far, torch.sigmoid(far_total - total).to(out.dtype))
    return out.reshape(rows, heads, length, -1).transpose(1, 2), None


ALL_ATTENTION_FUNCTIONS.register(NAME, split_attention)
ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, sdpa_mask)


@contextlib.contextmanager
def splitting(module):
    """Let `module` attend by `split_attention`, and as before afterwards."""
    before = module.config._attn_implementation
    module.set_attn_implementation(NAME)
    try:
        yield
    finally:
        module.set_attn_implementation(before)


@dataclass(eq=False)
class Pass:
    """Where the tokens of one forward pass go, and how far the fullest slot then is.

    `slots` is a slice; `columns` (rows, tokens); `room` is how many slots and columns the buffers must have.
    """

    slots: slice | None = None
    columns: torch.Tensor | None = None
    filled: int = 0
    room: tuple[int, int] = (0, 0)


class SuffixLayer(CacheLayerMixin):
    """One layer's keys and values of all rows, (slots, kv heads, columns, width), written in place.

    transformers asks for this base class; what it wants beyond `update` is answered in a line each.
    """

    def __init__(self, where: Pass):
        super().__init__()
        self.where = where

    def update(self, key_states, value_states, *args, **kwargs):
        """Write the new states; return those of the pass's rows, (rows, kv heads, filled columns, width)."""
        self.keys = self._with_room(self.keys, key_states)
        self.values = self._with_room(self.values, value_states)
        slots, columns, filled = self.where.slots, self.where.columns, self.where.filled
        rows = torch.arange(slots.start, slots.stop, device=columns.device)[:, None]
        self.keys[rows, :, columns] = key_states.transpose(1, 2)
        self.values[rows, :, columns] = value_states.transpose(1, 2)
        return self.keys[slots, :, :filled], self.values[slots, :, :filled]

    def move(self, sources: list[int], holes: list[int]) -> None:
        """Copy rows into slots that have become free."""
        self.keys[holes] = self.keys[sources]
        self.values[holes] = self.values[sources]

    def read(self, slot: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return copies of a slot's first keys and values, (kv heads, length, width)."""
        return self.keys[slot, :, :length].clone(), self.values[slot, :, :length].clone()

    def write(self, slot: int, keys, values) -> None:
        """Fill the beginning of a slot with what `read` has returned."""
        self.keys = self._with_room(self.keys, keys[None])
        self.values = self._with_room(self.values, values[None])
        self.keys[slot, :, : keys.shape[1]] = keys
        self.values[slot, :, : values.shape[1]] = values

    def _with_room(self, old, states):
        """Return the buffer itself if it has the room the pass asks for, else a copy that has."""
        slots, columns = self.where.room
        if old is not None and (old.shape[0], old.shape[2]) == (slots, columns):
            return old
        new = states.new_zeros(slots, states.shape[1], columns, states.shape[3])
        if old is not None:
            slots, columns = min(slots, old.shape[0]), min(columns, old.shape[2])
            new[:slots, :, :columns] = old[:slots, :, :columns]
        return new

    def lazy_initialization(self, key_states, value_states) -> None:
        """Do nothing: `update` makes the room."""

    def get_seq_length(self) -> int:
        return self.where.filled

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.where.filled, 0

    def get_max_length(self) -> int:
        return -1
