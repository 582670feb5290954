"""Rows that begin alike, trained in one pass over one copy of what they share.

    row 1:  [ system, schema, exemplars | question 1, SQL 1 ]
    row 2:  [ system, schema, exemplars | question 2, SQL 2 ]
    packed: [ system, schema, exemplars | question 1, SQL 1 | question 2, SQL 2 ]

Positions start again behind the prefix with every suffix, a suffix sees the prefix and itself, and logits are made
only where a completion is predicted. Loss and gradients are those of the separate rows, to rounding. On a CPU the
attention is `packed_attention`; elsewhere a 4-D mask goes through sdpa, which is exact too and slower; a model that
can do neither gets its rows whole.

Dropout is the one inexactness: what falls out of the prefix falls out for all rows of a pack. It knows token ids, not
text. The mask path is tested on a CPU; neither path has run on a GPU. Heavy: imported when something is trained.
"""

import contextlib
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass

import torch

from helpers.packed_attention import NAME
from helpers.packed_loss import lean_loss
from helpers.shared_prefix import common_prefix

log = logging.getLogger(__name__)

IGNORED = -100  # the label that cross-entropy leaves out
SUFFIX_MULTIPLE, PACK_MULTIPLE = 4, 32  # in tokens: products are compiled for each size, a seventh of a step


@dataclass(eq=False)
class Packs:
    """Rows as a data set of packs, each of at most `size` rows of one context; every epoch deals them anew.

    A pack gets short rows and long ones alike, so that packs of one context are of nearly one size: then what one step
    leaves free in memory fits the next, and its products need not be compiled again.
    """

    rows: list
    size: int
    seed: int

    def __post_init__(self):
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Deal the rows for an epoch: a function of seed and epoch alone, so that a resumed run sees the same."""
        shuffle = random.Random(f"{self.seed}/{epoch}").shuffle
        self.packs = []
        for context in sorted({row.context for row in self.rows}):
            group = [row for row in self.rows if row.context == context]
            shuffle(group)
            group.sort(key=lambda row: len(row.prompt) + len(row.completion))
            packs = [[] for _ in range(0, len(group), self.size)]
            for start in range(0, len(group), len(packs)):  # rows of one length, one to each pack
                shuffle(packs)
                for pack, row in zip(packs, group[start : start + len(packs)], strict=False):
                    pack.append(row)
            self.packs += packs
        shuffle(self.packs)

    def __len__(self) -> int:
        return len(self.packs)

    def __getitem__(self, index: int) -> list:
        return self.packs[index]


def collate_merged(packs: list[list]) -> dict:
    """Collate one pack for `packed_attention`; see `_packed` for the shapes."""
    (rows,) = packs
    batch, prefix, suffixes = _packed(rows, fill=True)
    return batch | {"suffix_lengths": tuple(map(len, suffixes))}


def collate_masked(packs: list[list]) -> dict:
    """Collate one pack with a boolean mask, (1, 1, tokens, tokens), which sdpa understands and eager does not."""
    (rows,) = packs
    batch, prefix, suffixes = _packed(rows)
    owner = torch.tensor([0] * len(prefix) + [n for n, suffix in enumerate(suffixes, 1) for _ in suffix])
    seen = (owner[None, :] == owner[:, None]) | (owner[None, :] == 0)
    return batch | {"attention_mask": seen.tril()[None, None]}


def collate_rows(packs: list[list]) -> dict:
    """Collate the rows of a pack side by side, padded on the right: what any model takes."""
    (rows,) = packs
    tokens = [[*row.prompt, *row.completion] for row in rows]
    longest = max(map(len, tokens))

    def padded(lists, value):
        return torch.tensor([[*values, *[value] * (longest - len(values))] for values in lists])

    labels = [[IGNORED] * len(row.prompt) + [*row.completion] for row in rows]
    return {"input_ids": padded(tokens, 0), "attention_mask": padded([[1] * len(t) for t in tokens], 0),
            "labels": padded(labels, IGNORED)}


def _packed(rows: list, fill: bool = False) -> tuple[dict, list[int], list[list[int]]]:
    """Return the tensors of a pack, its prefix and its suffixes.

    input_ids and position_ids (1, tokens); logits_to_keep (labels,); labels and shift_labels (1, labels). A suffix
    begins with at least one token of its prompt, from which its first label is predicted. To `fill` it is to put
    tokens behind its end, which nothing sees and nothing predicts, so that suffixes and packs come in few sizes.
    """
    prefix = common_prefix([list(row.prompt) for row in rows])
    suffixes = [[*row.prompt[len(prefix) :], *row.completion] for row in rows]
    if fill:
        for suffix in suffixes:
            suffix += suffix[-1:] * (-len(suffix) % SUFFIX_MULTIPLE)
        suffixes[-1] += suffixes[-1][-1:] * (-sum(map(len, suffixes)) % PACK_MULTIPLE)
    tokens, positions, kept = list(prefix), list(range(len(prefix))), []
    for row, suffix in zip(rows, suffixes, strict=True):
        first = len(tokens) + len(row.prompt) - len(prefix) - 1
        kept += range(first, first + len(row.completion))
        positions += range(len(prefix), len(prefix) + len(suffix))
        tokens += suffix
    labels = torch.tensor([[token for row in rows for token in row.completion]])
    batch = {"input_ids": torch.tensor([tokens]), "position_ids": torch.tensor([positions]),
             "logits_to_keep": torch.tensor(kept), "labels": labels, "shift_labels": labels}
    return batch, prefix, suffixes


@dataclass(frozen=True)
class Way:
    """How rows are fed to a module: the collator, the attention it needs, and whether its loss is `lean_loss`."""

    name: str
    collate: Callable[[list[list]], dict]
    attention: str
    lean: bool = False


LEAN = Way("merged, with its loss in chunks", collate_merged, NAME, lean=True)
MERGED = Way("merged", collate_merged, NAME)
MASKED = Way("masked", collate_masked, "sdpa")
ROWS = Way("rows", collate_rows, "")


@dataclass(frozen=True)
class _Probe:
    prompt: tuple[int, ...]
    completion: tuple[int, ...]


_BEGIN = tuple(range(100, 116))  # plain tokens in any vocabulary; special ones would be outliers
PROBES = [_Probe((*_BEGIN, 121, 122), (123, 124, 125)), _Probe((*_BEGIN, 126), (127, 128))]


def way(module) -> Way:
    """Find the fastest way that gives this module the loss of separate rows; say so if that is separate rows.

    The module is probed in training mode, since a pass in eval mode would repack 4-bit weights on a CPU. In half
    precision only gross faults show: rounding moves the loss by half a percent.
    """
    expected = _probed(module, ROWS)
    for candidate in (LEAN, MERGED, MASKED) if module.device.type == "cpu" else (MASKED,):
        try:
            off = (_probed(module, candidate) - expected).abs().item()
        except (NotImplementedError, AttributeError, KeyError, TypeError, ValueError) as error:
            log.info("%s cannot be trained by the %s way: %s", type(module).__name__, candidate.name, error)
            continue
        if off < (1e-4 if module.dtype == torch.float32 else 1e-2) * expected.abs().item():
            return candidate
        log.info("%s is off by %.2g of %.2g the %s way", type(module).__name__, off, expected.item(), candidate.name)
    log.warning("%s cannot share a prefix among rows: every row is computed whole, which takes several times as long.",
                type(module).__name__)
    return ROWS


def _probed(module, candidate: Way) -> torch.Tensor:
    """Return the loss of a short pack, without gradients."""
    before = module.training
    module.train()
    batch = {name: value.to(module.device) if torch.is_tensor(value) else value
             for name, value in candidate.collate([PROBES]).items()}
    try:
        with torch.no_grad(), using(module, candidate):
            return module(**batch, use_cache=False).loss
    finally:
        module.train(before)


@contextlib.contextmanager
def using(module, chosen: Way):
    """Let the module attend, and compute its loss, as the way needs, and as before afterwards."""
    before = module.config._attn_implementation
    module.set_attn_implementation(chosen.attention or before)
    try:
        with lean_loss(module) if chosen.lean else contextlib.nullcontext():
            yield
    finally:
        module.set_attn_implementation(before)
