"""Whether a model can answer on this machine, said before a weight of it is downloaded.

>>> fit = answering(params)                    # parameters of 03, 04 or 07
>>> fit.needed_gb, fit.memory_gb, fit.remedy
(18.2, 14.7, 'set load_in_4bit = True')

Only the model's config.json is fetched. Needed are the weights, the keys and values of the prompt once and of every
question of a batch, and what the libraries hold; the prompt is taken to be PROMPT_TOKENS long, as it is not written
yet. Figures follow from the architecture's numbers and have not been measured on a GPU; for training, `estimate` counts
more closely. Memory is in GB of 2**30 bytes. Knows no prompts and no scores.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from helpers import estimate, runtime
from helpers.params import Prompted

log = logging.getLogger(__name__)

PROMPT_TOKENS = 2500  # schema of eight tables and a few exemplars
QUESTION_TOKENS = 60
CHARACTERS_A_TOKEN = 3


@dataclass(frozen=True)
class Fit:
    """What a model needs to answer, what the machine has, and the least change with which it fits.

    `remedy` is "" where it fits as it is. `gpus` are the known ones that hold it as it is.
    """

    parameters: int
    weights_gb: float
    cache_gb: float
    needed_gb: float
    memory_gb: float
    remedy: str
    gpus: tuple[str, ...]


def answering(params: Prompted) -> Fit | None:
    """Compare what answering by these parameters needs with this machine's memory; warn if it is not enough.

    Returns None for a model behind a server, and for one whose config.json cannot be had or is of another kind: the
    log says so, and loading will say more.
    """
    if params.model_id.startswith("openai:"):
        return None
    try:
        shape = estimate.shape_of(params.model_id)
    except (OSError, ValueError, AttributeError) as error:
        log.warning("What %s needs is not known: its configuration could not be read (%s).", params.model_id,
                    type(error).__name__)
        return None
    fit = measure(shape, params, *_machine(params))
    if fit.remedy:
        log.warning("%s needs about %.1f GB of %.1f GB: %s.", params.model_id, fit.needed_gb, fit.memory_gb, fit.remedy)
    return fit


def measure(shape: estimate.Shape, params: Prompted, kind: str, memory_gb: float, width: int) -> Fit:
    """Count what answering needs on a "cpu" or "cuda" device with so much memory, in a dtype of `width` bytes."""
    weights, cache = estimate.weight_bytes(shape, params, width) / estimate.GB, _cache_gb(shape, params, width)
    needed = _needed_gb(shape, params, kind, width)
    remedy = "" if needed <= memory_gb else next(
        (", ".join(f"set {name} = {value}" for name, value in changes.items()) for changes in _changes(params, kind)
         if _needed_gb(shape, params.model_copy(update=changes), kind, width) <= memory_gb),
        "choose a smaller model, or a machine with more memory")
    gpus = tuple(name for name, device in estimate.DEVICES.items()
                 if _needed_gb(shape, params, "cuda", 2) <= device.memory_gb)
    return Fit(shape.linear + shape.embedded, round(weights, 2), round(cache, 2), round(needed, 2),
               round(memory_gb, 1), remedy, gpus)


def _machine(params: Prompted) -> tuple[str, float, int]:
    """Return the kind of device, its memory in GB (of RAM, what is free), and the bytes of the dtype computed in."""
    import psutil

    gpu = runtime.hardware()["gpu"]
    memory = gpu["vram_gb"] if gpu else psutil.virtual_memory().available / estimate.GB
    return "cuda" if gpu else "cpu", memory, estimate.BYTES[runtime.compute_dtype(params.bnb_4bit_compute_dtype)]


def _needed_gb(shape: estimate.Shape, params: Prompted, kind: str, width: int) -> float:
    logits = 4 * params.batch_size * shape.vocabulary / estimate.GB
    held = estimate.weight_bytes(shape, params, width) / estimate.GB + _cache_gb(shape, params, width) + logits
    return estimate.LIBRARIES_GB[kind] + 1.1 * held  # a tenth for what comes and goes within a layer


def _cache_gb(shape: estimate.Shape, params: Prompted, width: int) -> float:
    """Return the keys and values of the shared prompt and of every row; a trace grows by a step and what it showed."""
    step = params.max_new_tokens + getattr(params, "max_observation_chars", 0) // CHARACTERS_A_TOKEN
    row = QUESTION_TOKENS + step * getattr(params, "max_steps", 1)
    tokens = PROMPT_TOKENS + params.batch_size * row
    return 2 * shape.layers * shape.kv_heads * shape.head_dim * width * tokens / estimate.GB


def _changes(params: Prompted, kind: str) -> Iterator[dict]:
    """Yield changes of settings: smaller batches first, which change no answer, then 4 bits where there is a GPU."""
    sizes = [size for size in (16, 8, 4, 1) if size < params.batch_size]
    yield from ({"batch_size": size} for size in sizes)
    if kind == "cuda" and not params.load_in_4bit:
        yield {"load_in_4bit": True}
        yield from ({"load_in_4bit": True, "batch_size": size} for size in sizes)
