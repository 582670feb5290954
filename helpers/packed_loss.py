"""The loss of a pack without its logits: cross-entropy in chunks of tokens, the gradient made on the way.

    with lean_loss(module):                       # a causal model of transformers, its head frozen
        module(**batch, num_items_in_batch=n).loss.backward()

A pack of 16 rows has some 800 labels, and a vocabulary of 49,152 makes that 160 MB of logits, which exist several times
over between the head and its gradient, and by which an allocator's holes grow step for step. Here 256 tokens' logits
are made, turned into their gradient and given up before the next ones (as in Cut Cross-Entropy, Wijmans et al. 2024,
arXiv:2411.09009, without its kernels). It takes the same time, and is for training: the gradient is made either way.
While it lasts the model's `logits` are the last hidden states. A model that caps its logits after the head would get
another loss (a scale does no harm): whoever uses this compares first. Heavy: imported by `packing` alone.
"""

import contextlib

import torch
from torch import nn

CHUNK = 256


@contextlib.contextmanager
def lean_loss(module):
    """Let the module compute its loss in chunks; raise NotImplementedError for a head that is trained or no matrix."""
    head = module.get_output_embeddings()
    if type(head) is not nn.Linear or head.bias is not None or head.weight.requires_grad:
        raise NotImplementedError("a loss in chunks needs a frozen linear head without bias")

    def loss(logits, labels, vocab_size, num_items_in_batch=None, shift_labels=None, **kwargs):
        wanted = shift_labels.reshape(-1)
        count = len(wanted) if num_items_in_batch is None else num_items_in_batch
        return _Loss.apply(logits, head.weight, wanted) / count

    before = module.__dict__.get("_loss_function")
    head.forward, module.loss_function = (lambda states: states), loss
    try:
        yield
    finally:
        del head.forward, module._loss_function
        if before is not None:
            module.loss_function = before


class _Loss(torch.autograd.Function):
    """The summed cross-entropy of hidden states (…, width) under a head (vocabulary, width)."""

    @staticmethod
    def forward(ctx, hidden, weight, wanted):
        states, total = hidden.reshape(-1, hidden.shape[-1]), torch.zeros((), device=hidden.device)
        gradient = torch.empty_like(states)
        for start in range(0, len(states), CHUNK):
            part = slice(start, start + CHUNK)
            logits, right = (states[part] @ weight.T).float(), wanted[part, None]
            weights = logits.softmax(dim=-1)
            mass = logits.amax(dim=-1, keepdim=True) - weights.amax(dim=-1, keepdim=True).log()
            total += (mass - logits.gather(1, right)).sum()
            weights.scatter_add_(1, right, weights.new_full(right.shape, -1.0))
            gradient[part] = weights.to(states.dtype) @ weight
        ctx.save_for_backward(gradient)
        ctx.shape = hidden.shape
        return total

    @staticmethod
    def backward(ctx, grad):
        [gradient] = ctx.saved_tensors
        return (gradient * grad).view(ctx.shape), None, None
