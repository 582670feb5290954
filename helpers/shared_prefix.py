"""What a call's prompts have in common: found, computed once, and kept for the next call.

>>> common_prefix([[1, 2, 3, 4], [1, 2, 5], [1, 2, 3]])
[1, 2]

Whether a model can attend to a shared prefix is found out by comparing a short prompt, split, with the same
prompt whole; a model that cannot (sliding windows, soft-capped or sink attention, recurrent layers) gets the
prefix replicated, and the log says so. The prefix kept on the model serves the next call as far as its tokens
agree, so a second question over the same schema reads only the question; it is dropped when a weight has been
written since.

With `keep`, each row's own keys and values are held as well, so that a call whose conversations go on from
those of the last one (a ReAct loop, whose trace only grows) reads only what is new. That takes memory by the
row, so it is asked for.
"""

import contextlib
import logging
from dataclasses import dataclass, field

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from helpers.row_batch import READ_TOKENS, Kept, Replicated, Shared, agreement, text_config
from helpers.split_attention import splitting

log = logging.getLogger(__name__)

PROBE = 24  # tokens of the prompt that is tried whole and split


@dataclass(frozen=True)
class Prefix:
    """A prefix kept for the next call, good as long as the weights it was computed with."""

    tokens: list[int]
    cache: DynamicCache
    weights: tuple
    rows: list[Kept] = field(default_factory=list)


@contextlib.contextmanager
def row_batch(model, prompts: list[list[int]], max_new_tokens: int, slots: int, keep: bool):
    """Compute what the prompts share and yield an empty batch over it; leave the module as it was found."""
    module = model.model
    training = module.training
    module.eval()
    try:
        model.attention = model.attention or ("shared" if splits(module) else "replicated")
        tokens, known = common_prefix(prompts), known_rows(model)
        prefix = prefix_of(model, tokens) if tokens else None
        if model.attention == "replicated":
            yield Replicated(module, prefix, len(tokens), slots)
        else:
            with splitting(module):
                kept = model.prefix.rows if keep and prefix else None
                yield Shared(module, prefix, len(tokens), max_new_tokens, slots, known, kept)
    finally:
        module.train(training)


def common_prefix(prompts: list[list[int]]) -> list[int]:
    """Return the tokens that all prompts begin with, leaving at least one token of each to be read alone.

    It is taken over whole prompts, since the tokens of the shared text by itself may end differently.
    """
    shared = agreement(min(prompts), max(prompts))  # in sorted order, what the ends share is shared by all
    return prompts[0][: min(shared, min(map(len, prompts)) - 1)]


def prefix_of(model, tokens: list[int]) -> DynamicCache:
    """Return the keys and values of `tokens`, beginning with the model's last prefix as far as it agrees."""
    weights, held = _weights_version(model.model), model.prefix
    model.prefix = None
    cache, known = DynamicCache(config=text_config(model.model)), 0
    if held and held.weights == weights and held.cache.is_croppable and held.tokens[0] == tokens[0]:
        cache, known = held.cache, agreement(held.tokens, tokens)
        cache.crop(known - len(held.tokens))
    for start in range(known, len(tokens), READ_TOKENS):
        chunk = torch.tensor([tokens[start : start + READ_TOKENS]], device=model.model.device)
        model.model(input_ids=chunk, past_key_values=cache, use_cache=True, logits_to_keep=1)
    model.prefix = Prefix(tokens, cache, weights)
    return cache


def known_rows(model) -> list[Kept]:
    """Return the rows kept by the last call, unless a weight has been written since."""
    held = model.prefix
    return held.rows if held and held.weights == _weights_version(model.model) else []


def splits(module) -> bool:
    """Tell whether the module computes the same when a prompt is split; log why if it does not."""
    try:
        error = _split_error(module)
        if error < (1e-3 if _is_exact(module) else 0.05):
            return True
        reason = f"logits differ by {error:.1%}"
    except (NotImplementedError, AttributeError, KeyError, TypeError, ValueError, RuntimeError) as refusal:
        reason = refusal
    log.warning("%s cannot share a prefix among rows (%s): each row gets its own copy, which takes memory.",
                type(module).__name__, reason)
    return False


def _is_exact(module) -> bool:
    """Tell whether the module computes in fp32 throughout; 4-bit layers on a CPU compute in bf16 inside."""
    return module.dtype == torch.float32 and getattr(module.config, "quantization_config", None) is None


@torch.inference_mode()
def _split_error(module) -> float:
    """Return the relative difference of the logits after a short prompt, whole and split.

    The split prompt is one row of two, the other being shorter. Raises NotImplementedError where a layer does
    not attend to all that came before, which a prompt so short would not show.
    """
    if any(type(layer) is not DynamicLayer for layer in DynamicCache(config=text_config(module)).layers):
        raise NotImplementedError("not every layer attends to all that came before")
    tokens, half = list(range(PROBE)), PROBE // 2
    whole = module(input_ids=torch.tensor([tokens], device=module.device)).logits[0, -1].float()
    prefix = DynamicCache(config=text_config(module))
    module(input_ids=torch.tensor([tokens[:half]], device=module.device), past_key_values=prefix)
    with splitting(module):
        batch = Shared(module, prefix, half, max_new_tokens=1, slots=2)
        batch.where.room = (2, PROBE)
        batch.forward([tokens[half:-1], tokens[half : half + 3]], [0, 0], slice(0, 2))
        split = batch.forward([tokens[-1:], tokens[:1]], [PROBE - half - 1, 3], slice(0, 2))[0].float()
    return ((split - whole).norm() / whole.norm()).item()


def _weights_version(module) -> tuple:
    """Return what changes whenever a parameter is written in place, as every optimiser step does."""
    return id(module), sum(parameter._version for parameter in module.parameters())
