"""Attention within a pack, `[prefix | suffix 1 | suffix 2 | …]`, where a suffix sees the prefix and itself.

Every token goes against the prefix (a prefix token against what precedes it), block by block, and every suffix against
itself; the two are merged by their log-sum-exp: forwards as in Hydragen (Juravsky et al. 2024, arXiv:2402.05099),
backwards as in ring attention (Liu et al. 2023, arXiv:2310.01889), where each part's gradient is exact once it is given
the merged output and log-sum-exp. No product is computed that a mask would discard, but for the corners of blocks. It
enters transformers as an attention function, so models are left as they are.

    tokens of a block x prefix:   products of 64 tokens, all query heads of a key-value head in one, so that scores
                                  stay in the processor's cache from the first product to the last

Plain products and powers of two throughout, for speed on a CPU: torch's fused kernel takes MKL's products, which on a
processor that is not Intel's reach a fifth of what oneDNN's do in bfloat16, and its `exp` slows fifteen-fold where a
weight underflows. In half precision scores are rounded before they are summed, as in eager attention. Dropout on
attention weights, sliding windows, soft-capping and sinks are refused. It knows tensors; what a pack holds is
`packing`'s business. Has not run on a GPU. Heavy: imported by `packing` alone.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

NAME = "packed_suffixes"
BLOCK = 64
LOG2E = math.log2(math.e)


def packed_attention(module, query, key, value, attention_mask, scaling=None, suffix_places=None, suffix_shape=None,
                     **kwargs):
    """Attend within a pack: an attention function of transformers' interface.

    query (1, heads, tokens, width), key and value (1, kv heads, tokens, width); `suffix_places` says where each
    suffix token stands in a table of `suffix_shape` (rows, longest). Returns (1, tokens, heads, width), None.
    """
    for feature in ("softcap", "s_aux", "position_bias", "sliding_window"):
        if kwargs.get(feature) is not None:
            raise NotImplementedError(f"attention with {feature} cannot be packed")
    if kwargs.get("dropout"):
        raise NotImplementedError("attention with dropout on its weights cannot be packed")
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    layout = _Layout(suffix_places, suffix_shape, key.shape[1])
    return _Packed.apply(query[0], key[0], value[0], layout, scaling).transpose(0, 1)[None], None


def _no_mask(*args, **kwargs) -> None:
    """Return the mask that `packed_attention` needs: none."""


ALL_ATTENTION_FUNCTIONS.register(NAME, packed_attention)
ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, _no_mask)


@dataclass(frozen=True, eq=False)
class _Layout:
    """Where the suffix tokens of a pack stand, and how many heads keys and values have.

    Its functions take states of (heads, tokens, width), be they of queries or of keys, and join the query heads of one
    key-value head: as (kv heads, heads of one * tokens, width) in a block, as (kv heads, rows, heads of one * longest,
    width) in a table, where the suffixes stand side by side, padded with zeros.
    """

    places: torch.Tensor
    shape: tuple[int, int]
    kv_heads: int

    def blocks(self, tokens: int) -> Iterator[tuple[slice, int, torch.Tensor | None]]:
        """Yield all tokens block by block: which, how much of the prefix they see, and what of it is `_later`."""
        prefix = tokens - len(self.places)
        edges = [*range(0, prefix, BLOCK), *range(prefix, tokens, BLOCK), tokens]
        for start, stop in itertools.pairwise(edges if prefix else []):
            yield slice(start, stop), min(stop, prefix), _later(stop - start) if stop <= prefix else None

    def block(self, states, tokens: slice):
        return states[:, tokens].reshape(self.kv_heads, -1, states.shape[-1])

    def table(self, states):
        rows, longest = self.shape
        heads, tokens, width = states.shape
        padded = states.new_zeros(heads, rows * longest, width)
        padded.index_copy_(1, self.places, states[:, tokens - len(self.places) :])
        apart = padded.view(self.kv_heads, -1, rows, longest, width).transpose(1, 2)
        return apart.reshape(self.kv_heads, rows, -1, width)

    def untable(self, states):
        rows, longest = self.shape
        apart = states.unflatten(2, (-1, longest)).transpose(1, 2)
        return apart.reshape(-1, rows * longest, states.shape[-1]).index_select(1, self.places)


class _Packed(torch.autograd.Function):
    """Both parts and their merging; one function, since autograd has no gradient of the log-sum-exp."""

    @staticmethod
    def forward(ctx, query, key, value, layout, scaling):
        out, total = torch.zeros_like(query), query.new_full((*query.shape[:2], 1), -math.inf, dtype=torch.float32)
        for tokens, seen, later in layout.blocks(query.shape[1]):
            part = _attend(layout.block(query, tokens), key[:, :seen], value[:, :seen], later, scaling)
            out[:, tokens], total[:, tokens] = (states.reshape(len(query), -1, states.shape[-1]) for states in part)
        near, near_total = map(layout.untable, _attend(
            *map(layout.table, (query, key, value)), _later(layout.shape[1]), scaling))
        far, far_total = (states[:, query.shape[1] - len(layout.places) :] for states in (out, total))
        far.copy_(torch.lerp(near, far.float(), torch.sigmoid((far_total - near_total) / LOG2E)))
        far_total.copy_(torch.logaddexp2(far_total, near_total))
        ctx.save_for_backward(query, key, value, out, total)
        ctx.layout, ctx.scaling = layout, scaling
        return out

    @staticmethod
    def backward(ctx, grad):
        (query, key, value, out, total), layout, scaling = ctx.saved_tensors, ctx.layout, ctx.scaling
        start = query.shape[1] - len(layout.places)
        shift = (grad.float() * out.float()).sum(-1, keepdim=True)
        ends = (query, grad, total, shift)
        found = [torch.zeros_like(states, dtype=torch.float32) for states in (query, key, value)]
        near = _gradients(*map(layout.table, (key, value)), *map(layout.table, ends), _later(layout.shape[1]), scaling)
        for whole, part in zip(found, near, strict=True):
            whole[:, start:] = layout.untable(part)
        for tokens, seen, later in layout.blocks(query.shape[1]):
            states = (layout.block(state, tokens) for state in ends)
            d_query, d_key, d_value = _gradients(key[:, :seen], value[:, :seen], *states, later, scaling)
            found[0][:, tokens] += d_query.reshape(len(query), -1, query.shape[-1])
            found[1][:, :seen] += d_key
            found[2][:, :seen] += d_value
        return (*(states.to(query.dtype) for states in found), None, None)


def _attend(query, key, value, later, scaling: float):
    """Return the attention output and its log-sum-exp to base two, fp32; see `_scores`."""
    scores = _scores(query, key, later, scaling)
    top = scores.amax(-1, keepdim=True)
    odds = scores.sub_(top).exp2_()
    mass = odds.sum(-1, keepdim=True)
    return (odds.to(value.dtype) @ value).float().div_(mass), mass.log2_().add_(top)


def _gradients(key, value, query, grad, total, shift, later, scaling: float):
    """Return a part's gradients of query, key and value, given the whole's log-sum-exp and gradient x output."""
    weights = _scores(query, key, later, scaling).sub_(total).exp2_()
    inner = (grad @ value.transpose(-1, -2)).float().sub_(shift).mul_(weights).to(query.dtype)
    return ((inner @ key).mul_(scaling), (inner.transpose(-1, -2) @ query).mul_(scaling),
            weights.to(grad.dtype).transpose(-1, -2) @ grad)


def _scores(query, key, later, scaling: float):
    """Return the scores of joined heads, to base two and fp32.

    `later`, or None, says of the last keys which of them each query, all of the same tokens, does not see.
    """
    scores = (query @ key.transpose(-1, -2)).float().mul_(scaling * LOG2E)
    if later is not None:
        scores.unflatten(-2, (-1, len(later)))[..., -len(later) :].masked_fill_(later, -math.inf)
    return scores


def _later(tokens: int):
    """Return which of so many tokens (columns) come after which (rows)."""
    return torch.ones(tokens, tokens, dtype=torch.bool).triu_(1)
