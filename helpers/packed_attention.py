"""Attention within a pack, `[prefix | suffix 1 | suffix 2 | …]`, where a suffix sees the prefix and itself.

    block of the prefix:    sees    [ prefix up to its own end ]
    block of a suffix:      sees    [ prefix | its suffix up to its own end ]

Queries are taken in blocks of about 64 tokens, all heads of a key-value head in one product, each against just the
keys it sees: no mask of the whole pack is made, no product is computed that one would discard but for a block's own
corner, and scores stay in the processor's cache from the first product to the last. The backward pass computes them
anew from the log-sum-exp that the forward pass kept, as FlashAttention does (Dao et al. 2022, arXiv:2205.14135). It
enters transformers as an attention function, so models are left as they are.

Plain products and powers of two throughout, for speed on a CPU: torch's fused kernel for one takes MKL's products,
which on an EPYC of two cores come to 0.2 TFLOP/s where oneDNN's reach 0.8 in bfloat16, and `exp` takes fifteen times as
long where it underflows. In half precision scores are rounded before they are summed, as in eager attention. Dropout
on attention weights, sliding windows, soft-capping and sinks are refused. It knows tensors; what a pack holds is
`packing`'s business. Has not run on a GPU. Heavy: imported by `packing` alone.
"""

import itertools
import math
from collections.abc import Iterator, Sequence

import torch
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

NAME = "packed_suffixes"
BLOCK = 64
LOG2E = math.log2(math.e)


def packed_attention(module, query, key, value, attention_mask, scaling=None, suffix_lengths=(), **kwargs):
    """Attend within a pack: an attention function of transformers' interface.

    query (1, heads, tokens, width), key and value (1, kv heads, tokens, width); the last tokens are suffixes of
    `suffix_lengths`, the ones before them the prefix. Returns (1, tokens, heads, width), None.
    """
    for feature in ("softcap", "s_aux", "position_bias", "sliding_window"):
        if kwargs.get(feature) is not None:
            raise NotImplementedError(f"attention with {feature} cannot be packed")
    if kwargs.get("dropout"):
        raise NotImplementedError("attention with dropout on its weights cannot be packed")
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    return _Packed.apply(query[0], key[0], value[0], suffix_lengths, scaling).transpose(0, 1)[None], None


def _no_mask(*args, **kwargs) -> None:
    """Return the mask that `packed_attention` needs: none."""


ALL_ATTENTION_FUNCTIONS.register(NAME, packed_attention)
ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, _no_mask)


class _Packed(torch.autograd.Function):
    """The attention of all blocks, and its gradients. States are (heads, tokens, width)."""

    @staticmethod
    def forward(ctx, query, key, value, lengths, scaling):
        out, total = torch.empty_like(query), query.new_empty(*query.shape[:2], 1, dtype=torch.float32)
        for tokens, seen in _blocks(query.shape[1], lengths):
            scores = _scores(_joined(query, tokens, key), _taken(key, seen), tokens, scaling)
            top = scores.amax(-1, keepdim=True)
            odds = scores.sub_(top).exp2_()
            mass = odds.sum(-1, keepdim=True)
            mixed = (odds.to(value.dtype) @ _taken(value, seen)).float().div_(mass)
            out[:, tokens] = mixed.reshape(len(query), -1, query.shape[-1])
            total[:, tokens] = mass.log2_().add_(top).reshape(len(query), -1, 1)
        ctx.save_for_backward(query, key, value, out, total)
        ctx.lengths, ctx.scaling = lengths, scaling
        return out

    @staticmethod
    def backward(ctx, grad):
        query, key, value, out, total = ctx.saved_tensors
        shift = (grad.float() * out.float()).sum(-1, keepdim=True)
        d_query = torch.empty_like(query)
        d_key, d_value = (torch.zeros_like(states, dtype=torch.float32) for states in (key, value))
        for tokens, seen in _blocks(query.shape[1], ctx.lengths):
            q, g, t, s = (_joined(states, tokens, key) for states in (query, grad, total, shift))
            k, v = _taken(key, seen), _taken(value, seen)
            weights = _scores(q, k, tokens, ctx.scaling).sub_(t).exp2_()
            inner = (g @ v.transpose(-1, -2)).float().sub_(s).mul_(weights).to(query.dtype)
            d_query[:, tokens] = (inner @ k).mul_(ctx.scaling).reshape(len(query), -1, query.shape[-1])
            _add(d_key, seen, (inner.transpose(-1, -2) @ q).mul_(ctx.scaling))
            _add(d_value, seen, weights.to(grad.dtype).transpose(-1, -2) @ g)
        return d_query, d_key.to(key.dtype), d_value.to(value.dtype), None, None


def _blocks(tokens: int, lengths: Sequence[int]) -> Iterator[tuple[slice, tuple[slice, slice]]]:
    """Yield the tokens block by block, and which tokens a block sees: some of the prefix, and some of its suffix."""
    prefix = tokens - sum(lengths)
    for start, stop in _cut(0, prefix):
        yield slice(start, stop), (slice(0, start), slice(start, stop))
    for first, end in itertools.pairwise(itertools.accumulate(lengths, initial=prefix)):
        for start, stop in _cut(first, end):
            yield slice(start, stop), (slice(0, prefix), slice(first, stop))


def _cut(first: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the ends of parts of BLOCK tokens; what is left is one too if it is half as long, or the last is longer."""
    if first < end:
        yield from itertools.pairwise([*range(first, max(end - BLOCK // 2, first + 1), BLOCK), end])


def _taken(states, seen: tuple[slice, slice]):
    return torch.cat([states[:, part] for part in seen], dim=1)


def _add(total, seen: tuple[slice, slice], states) -> None:
    near = seen[0].stop - seen[0].start
    total[:, seen[0]] += states[:, :near]
    total[:, seen[1]] += states[:, near:]


def _joined(states, tokens: slice, key):
    """Return the tokens' states with the heads of a key-value head one after another: (kv heads, ·, width)."""
    return states[:, tokens].reshape(len(key), -1, states.shape[-1])


def _scores(query, key, tokens: slice, scaling: float):
    """Return the scores of joined heads, to base two and fp32; the tokens' own keys are the last ones."""
    scores = (query @ key.transpose(-1, -2)).float().mul_(scaling * LOG2E)
    own = tokens.stop - tokens.start
    later = torch.ones(own, own, dtype=torch.bool, device=query.device).triu_(1)
    scores.unflatten(1, (-1, own))[..., -own:].masked_fill_(later, -math.inf)
    return scores
