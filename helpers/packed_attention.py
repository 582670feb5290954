"""Attention within a pack, `[prefix | suffix 1 | suffix 2 | …]`, where a suffix sees the prefix and itself.

Three dense products (prefix on itself, all suffixes on the prefix, each suffix on itself) are merged by their
log-sum-exp: forwards as in Hydragen (Juravsky et al. 2024, arXiv:2402.05099), backwards as in ring attention (Liu et
al. 2023, arXiv:2310.01889), where each part's gradient is exact once it is given the merged output and log-sum-exp. No
mask is made, and no product is computed that a mask would discard. It enters transformers as an attention function, so
models are left as they are.

It runs on a CPU only, by torch's fused kernel there. Dropout on attention weights, sliding windows, soft-capping and
sinks are refused. It knows tensors; what a pack holds is `packing`'s business. Heavy: imported by `packing` alone.
"""

from dataclasses import dataclass

import torch
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

NAME = "packed_suffixes"
FLASH = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
FLASH_BACKWARD = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


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
    layout = _Layout(suffix_places, suffix_shape, query.shape[1] // key.shape[1])
    return _Packed.apply(query, key, value, layout, scaling).transpose(1, 2), None


def _no_mask(*args, **kwargs) -> None:
    """Return the mask that `packed_attention` needs: none."""


ALL_ATTENTION_FUNCTIONS.register(NAME, packed_attention)
ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, _no_mask)


@dataclass(frozen=True, eq=False)
class _Layout:
    """Where the suffix tokens of a pack stand, and how many query heads a key-value head serves.

    Its functions take and give (rows, heads, tokens, width): the suffixes side by side in a padded `table`, the query
    heads of one key-value head joined (`grouped`), a key-value head repeated for `each` of its query heads.
    """

    places: torch.Tensor
    shape: tuple[int, int]
    group: int

    def table(self, states):
        rows, longest = self.shape
        _, heads, _, width = states.shape
        padded = states.new_zeros(1, heads, rows * longest, width).index_copy_(2, self.places, states)
        return padded.view(heads, rows, longest, width).transpose(0, 1)

    def untable(self, states):
        rows, heads, longest, width = states.shape
        return states.transpose(0, 1).reshape(1, heads, rows * longest, width).index_select(2, self.places)

    def grouped(self, states):
        _, heads, tokens, width = states.shape
        return states.reshape(1, heads // self.group, self.group * tokens, width)

    def ungrouped(self, states):
        _, heads, tokens, width = states.shape
        return states.reshape(1, heads * self.group, tokens // self.group, width)

    def each(self, states):
        return states.repeat_interleave(self.group, dim=1)

    def summed(self, states):
        return states.unflatten(1, (-1, self.group)).sum(dim=2)


class _Packed(torch.autograd.Function):
    """The three products and their merging; one function, since autograd has no gradient of the log-sum-exp."""

    @staticmethod
    def forward(ctx, query, key, value, layout, scaling):
        (q_pre, k_pre, v_pre), (q_suf, k_suf, v_suf) = _halves(layout, query, key, value)
        table, each = layout.table, layout.each
        before, before_total = _attend(q_pre, each(k_pre), each(v_pre), True, scaling)
        far, far_total = map(layout.ungrouped, _attend(layout.grouped(q_suf), k_pre, v_pre, False, scaling))
        near, near_total = map(layout.untable, _attend(table(q_suf), table(each(k_suf)), table(each(v_suf)), True,
                                                       scaling))
        merged = torch.lerp(near.float(), far.float(), torch.sigmoid(far_total - near_total)).to(near.dtype)
        out = torch.cat([before, merged], dim=2)
        total = torch.cat([before_total, torch.logaddexp(far_total, near_total)], dim=2)
        ctx.save_for_backward(query, key, value, out, total)
        ctx.layout, ctx.scaling = layout, scaling
        return out

    @staticmethod
    def backward(ctx, grad):
        layout, scaling = ctx.layout, ctx.scaling
        halves = _halves(layout, grad, *ctx.saved_tensors)
        (g_pre, q_pre, k_pre, v_pre, *ends_pre), (g_suf, q_suf, k_suf, v_suf, *ends_suf) = halves
        table, each, grouped = layout.table, layout.each, layout.grouped
        q_self, k_self, v_self = _gradients(g_pre, q_pre, each(k_pre), each(v_pre), *ends_pre, True, scaling)
        q_far, k_far, v_far = _gradients(grouped(g_suf), grouped(q_suf), k_pre, v_pre, *map(grouped, ends_suf), False,
                                         scaling)
        q_near, k_near, v_near = map(layout.untable, _short_gradients(
            table(g_suf), table(q_suf), table(each(k_suf)), table(each(v_suf)), *map(table, ends_suf), scaling))
        return (torch.cat([q_self, layout.ungrouped(q_far) + q_near], dim=2),
                torch.cat([layout.summed(k_self) + k_far, layout.summed(k_near)], dim=2),
                torch.cat([layout.summed(v_self) + v_far, layout.summed(v_near)], dim=2), None, None)


def _halves(layout: _Layout, *states) -> tuple[list, list]:
    """Return each of the states' prefix tokens, and each one's suffix tokens."""
    start = states[0].shape[2] - len(layout.places)
    return [state[:, :, :start] for state in states], [state[:, :, start:] for state in states]


def _attend(query, key, value, causal: bool, scaling: float):
    if not key.shape[2]:  # no prefix; the kernel divides by the number of keys
        return torch.zeros_like(query), query.new_full((*query.shape[:3], 1), float("-inf"), dtype=torch.float32)
    out, total = FLASH(query, key, value, 0.0, causal, scale=scaling)
    return out, total.unsqueeze(-1)


def _gradients(grad, query, key, value, out, total, causal: bool, scaling: float):
    """Return a part's gradients of query, key and value, given the output and log-sum-exp of the whole."""
    if not key.shape[2]:
        return torch.zeros_like(query), torch.zeros_like(key), torch.zeros_like(value)
    return FLASH_BACKWARD(grad, query, key, value, out, total.squeeze(-1), 0.0, causal, scale=scaling)


def _short_gradients(grad, query, key, value, out, total, scaling: float):
    """Return the same for many short causal sequences, by plain products: the fused kernel takes four times as long."""
    later = torch.ones(query.shape[2], key.shape[2], dtype=torch.bool, device=query.device).triu(1)
    scores = (query @ key.transpose(-1, -2)).float().mul_(scaling).masked_fill_(later, float("-inf"))
    weights = scores.sub_(total).exp_()
    shift = (grad.float() * out.float()).sum(-1, keepdim=True)
    inner = (grad @ value.transpose(-1, -2)).float().sub_(shift).mul_(weights).mul_(scaling).to(query.dtype)
    return inner @ key, inner.transpose(-1, -2) @ query, weights.to(grad.dtype).transpose(-1, -2) @ grad
