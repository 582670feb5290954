"""What a fine-tuning will take, before a weight is downloaded: parameters, memory, minutes, and settings that fit.

>>> expected = preflight(params, rows, DEVICES["T4"])       # rows of finetune.rows; their tokens are known by now
>>> expected.peak_gb, expected.minutes, expected.memory_gb
>>> expected.changes                     # settings with which it fits, {} if it does as it is, None if none is found
{'gradient_checkpointing': True}
>>> compare(expected, history)["minutes"]                   # once it was trained
{'predicted': 61.0, 'measured': 58.2}

All follows from the architecture's numbers by counting what a Llama-like block keeps for its backward pass. The three
constants of a CPU (what the allocator adds, seconds an element, the efficiency of attention) were fitted to the bundled
model on an EPYC with two cores: memory and time within 10 % for packs of 8 and 16, long prompts and short ones, ranks
16 and 32, fp32, bf16 and 4 bits, without gradient checkpointing; see bench/estimate.py. With checkpointing a CPU takes
up to twice the memory estimated, as its allocator gives little back. The GPUs' rates are their data sheets' times an
assumed efficiency and have not been measured. Memory is in GB of 2**30 bytes.
"""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from helpers import bundled, runtime
from helpers.params import Model, Qlora
from helpers.training_rows import Row

log = logging.getLogger(__name__)

GB = 2**30
ALLOCATOR = {"cpu": 1.7, "cuda": 1.1}  # memory held over memory asked for, while activations come and go
LIBRARIES_GB = {"cpu": 0.5, "cuda": 0.5}  # torch, transformers and peft themselves; a CUDA context
SECONDS_AN_ELEMENT = 5e-9  # of one core, for all that is not a matrix product, a number that a layer keeps
ATTENTION = 0.5  # of the rate of large products: a CPU's attention makes small ones, and powers between them
EFFICIENCY = {"cpu": 1.0, "cuda": 0.35}  # a CPU's rate is measured on a product, a GPU's is from its data sheet
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
LORA_STATE = 16  # bytes of a trainable weight: itself, its gradient and two moments, fp32


@dataclass(frozen=True)
class Shape:
    """The numbers of a Llama-like architecture on which cost depends."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    tied: bool

    @property
    def modules(self) -> dict[str, tuple[int, int]]:
        """Return (inputs, outputs) of the linear modules of one layer."""
        attended, shared = self.heads * self.head_dim, self.kv_heads * self.head_dim
        return {"q_proj": (self.hidden, attended), "k_proj": (self.hidden, shared), "v_proj": (self.hidden, shared),
                "o_proj": (attended, self.hidden), "gate_proj": (self.hidden, self.intermediate),
                "up_proj": (self.hidden, self.intermediate), "down_proj": (self.intermediate, self.hidden)}

    @property
    def linear(self) -> int:
        """Return the parameters that 4-bit loading quantises."""
        return self.layers * sum(inputs * outputs for inputs, outputs in self.modules.values())

    @property
    def embedded(self) -> int:
        """Return the parameters of embeddings, head and norms, which stay whole."""
        return (1 if self.tied else 2) * self.vocabulary * self.hidden + (2 * self.layers + 1) * self.hidden


@dataclass(frozen=True)
class Device:
    """Where training runs: a "cpu" or "cuda" device, its memory, cores, and matrix products in TFLOP/s by dtype."""

    kind: str
    memory_gb: float
    tflops: dict[str, float]
    cores: int = 1
    dtype: str = "float32"


DEVICES = {
    "T4": Device("cuda", 15.0, {"float16": 65.0}, dtype="float16"),
    "L4": Device("cuda", 22.5, {"bfloat16": 121.0}, dtype="bfloat16"),
    "A100-40GB": Device("cuda", 40.0, {"bfloat16": 312.0}, dtype="bfloat16"),
    "A100-80GB": Device("cuda", 80.0, {"bfloat16": 312.0}, dtype="bfloat16"),
}


@dataclass(frozen=True)
class Tokens:
    """Lengths in tokens: what all prompts share, and what a row adds to it, its completion included."""

    prefix: int
    suffix: int
    completion: int

    def packed(self, rows: int) -> int:
        """Return the length of a pack of so many rows."""
        return self.prefix + rows * self.suffix


@dataclass(frozen=True)
class Estimate:
    """What a training is expected to take, and what `preflight` says of it: the device's memory, and `changes`."""

    parameters: int
    trainable: int
    weights_gb: float
    adapter_gb: float
    activations_gb: float
    peak_gb: float
    steps: int
    step_s: float
    minutes: float
    memory_gb: float = 0.0
    changes: dict | None = None


def shape_of(model_id: str) -> Shape:
    """Return the shape of a model from its config.json, which is fetched if need be; raises OSError without one."""
    if model_id == "bundled" and not (bundled.folder() / "config.json").exists():
        return Shape(30, 576, 1536, 9, 3, 64, 49152, True)
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(bundled.folder() if model_id == "bundled" else model_id)
    config, heads = config.get_text_config(), config.get_text_config().num_attention_heads
    return Shape(config.num_hidden_layers, config.hidden_size, config.intermediate_size, heads,
                 getattr(config, "num_key_value_heads", None) or heads,
                 getattr(config, "head_dim", None) or config.hidden_size // heads, config.vocab_size,
                 config.tie_word_embeddings)


def preflight(params: Qlora, rows: Sequence[Row], device: Device | None = None) -> Estimate:
    """Estimate the training of these rows on a device, by default this machine's; warn if memory will not suffice.

    Memory is that of the packs with the longest prompts, time that of all. The model's configuration is fetched if
    need be, its weights are not.
    """
    shape, device = shape_of(params.model_id), device or this_device()
    groups = [[row for row in rows if row.context == context] for context in sorted({row.context for row in rows})]
    lengths = [tokens_of(group) for group in groups]
    parts = [estimate(shape, params, device, tokens=tokens, rows=len(group))
             for tokens, group in zip(lengths, groups, strict=True)]
    heaviest = max(range(len(parts)), key=lambda n: parts[n].peak_gb)
    step_s = sum(part.step_s * len(group) for part, group in zip(parts, groups, strict=True)) / len(rows)
    steps = estimate(shape, params, device, tokens=lengths[0], rows=len(rows)).steps
    changes = fitting(shape, params, device, tokens=lengths[heaviest], rows=len(rows))
    expected = replace(parts[heaviest], steps=steps, step_s=round(step_s, 2), minutes=round(steps * step_s / 60, 1),
                       memory_gb=round(device.memory_gb, 1), changes=changes)
    if changes != {}:
        remedy = ", ".join(f"{name} = {value}" for name, value in (changes or {}).items())
        log.warning("Training will take about %.1f GB of %.1f GB: set %s.", expected.peak_gb, device.memory_gb,
                    remedy or "model_id to a smaller model")
    return expected


def compare(expected: Estimate, history: Sequence[Mapping], *, peak_gb: float | None = None) -> dict[str, dict]:
    """Return what was predicted beside what was measured, as metrics.json holds it; to be called right after training.

    Minutes are those of all predicted steps at the measured speed, without the scoring of checkpoints. `peak_gb` is
    the peak of this process unless it is given.
    """
    if peak_gb is None:
        measured = runtime.peak_memory()
        peak_gb = (measured["peak_vram_mb"] or measured["peak_rss_mb"]) / 1024
    end = history[-1]
    minutes = expected.steps / end["steps"] * (end["seconds"] - end["scoring_seconds"]) / 60
    return {"peak_gb": {"predicted": expected.peak_gb, "measured": round(peak_gb, 2)},
            "minutes": {"predicted": expected.minutes, "measured": round(minutes, 2)}}


def tokens_of(rows: Sequence[Row]) -> Tokens:
    """Return the lengths of rows that begin alike: what they share, and the means of what they do not."""
    from helpers.shared_prefix import common_prefix

    prefix = len(common_prefix([list(row.prompt) for row in rows]))
    suffix = sum(len(row.prompt) - prefix + len(row.completion) for row in rows) / len(rows)
    return Tokens(prefix, round(suffix), round(sum(len(row.completion) for row in rows) / len(rows)))


def estimate(shape: Shape, params: Qlora, device: Device, *, tokens: Tokens, rows: int) -> Estimate:
    """Estimate a training of `rows` rows by these parameters on the device."""
    dtype = device.dtype if params.bnb_4bit_compute_dtype == "auto" else params.bnb_4bit_compute_dtype
    size = params.per_device_train_batch_size
    length = tokens.packed(size)
    weights = weight_bytes(shape, params, BYTES[dtype]) / GB
    trainable = _adapters(shape, params)
    kept = _kept(shape, params, BYTES[dtype]) * length
    logits = 3 * 4 * size * tokens.completion * shape.vocabulary  # fp32: logits, their softmax, their gradient
    activations = ALLOCATOR[device.kind] * kept / GB + logits / GB
    adapter = LORA_STATE * trainable / GB
    loading = max(weights, BYTES[dtype] * (shape.linear + shape.embedded) / GB) if device.kind == "cpu" else weights
    step = params.gradient_accumulation_steps * _pass_seconds(shape, params, device, dtype, tokens)
    packs = math.ceil(rows / size)
    steps = params.max_steps if params.max_steps > 0 else math.ceil(
        params.num_train_epochs * packs / params.gradient_accumulation_steps)
    return Estimate(shape.linear + shape.embedded, trainable, round(weights, 2), round(adapter, 2),
                    round(activations, 2), round(LIBRARIES_GB[device.kind] + loading + adapter + activations, 2),
                    steps, round(step, 2), round(steps * step / 60, 1))


def fitting(shape: Shape, params: Qlora, device: Device, *, tokens: Tokens, rows: int) -> dict | None:
    """Return the least change of settings with which the training fits the device's memory, or None if none does.

    The effective batch stays as it is: smaller packs, accumulated longer, are the same training, only slower.
    """
    for changes in _changes(params):
        tried = params.model_copy(update=changes)
        if estimate(shape, tried, device, tokens=tokens, rows=rows).peak_gb <= 0.95 * device.memory_gb:
            return changes
    return None


def this_device() -> Device:
    """Return the GPU that is here, by its data sheet, or else this machine's CPU, measured in a second."""
    gpu = runtime.hardware()["gpu"]
    if not gpu:
        return this_cpu()
    known = next((name for name in DEVICES if name.split("-")[0] in gpu["name"].split()[-1].split("-")), None)
    if not known:
        log.warning("The speed of a %s is not known here: minutes are estimated for a T4.", gpu["name"])
    device = DEVICES[known or "T4"]
    return replace(device, memory_gb=gpu["vram_gb"], dtype=runtime.compute_dtype(), tflops={
        runtime.compute_dtype(): next(iter(device.tflops.values()))})


def this_cpu() -> Device:
    """Measure this machine's cores and matrix products, and the memory that is free; takes a second."""
    import time

    import psutil
    import torch

    rates = {}
    for dtype in ("float32", "bfloat16"):
        matrix, times = torch.randn(1024, 1024).to(getattr(torch, dtype)), []
        for _ in range(8):
            start = time.perf_counter()
            matrix @ matrix
            times.append(time.perf_counter() - start)
        rates[dtype] = 2 * 1024**3 / min(times) / 1e12
    return Device("cpu", psutil.virtual_memory().available / GB, rates, torch.get_num_threads())


def weight_bytes(shape: Shape, params: Model, width: int) -> float:
    """Return the bytes of the loaded weights; 4 bits come with a scale for 64, itself in 8 bits if quantised twice."""
    if not params.load_in_4bit:
        return width * (shape.linear + shape.embedded)
    bits = 4 + (8 / 64 + 32 / (64 * 256) if params.bnb_4bit_use_double_quant else 32 / 64)
    return shape.linear * bits / 8 + width * shape.embedded


def _adapters(shape: Shape, params: Qlora) -> int:
    """Return the parameters of the adapters, which are all that is trained."""
    return shape.layers * params.lora_r * sum(
        sum(shape.modules[name]) for name in params.target_modules if name in shape.modules)


def _elements(shape: Shape) -> int:
    """Return the numbers a layer keeps of one token: two norms, queries to output, and the gated product."""
    attended, shared = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    return 6 * shape.hidden + 3 * attended + 2 * shared + 4 * shape.intermediate


def _kept(shape: Shape, params: Qlora, width: int) -> float:
    """Return the bytes kept of one token for the backward pass, over all layers."""
    inputs = sum(shape.modules[name][0] for name in params.target_modules if name in shape.modules)
    # With dropout an adapter keeps the mask too, in the dtype of its input.
    layer = width * (_elements(shape) + (inputs if params.lora_dropout else 0))
    return layer + shape.layers * width * shape.hidden if params.gradient_checkpointing else shape.layers * layer


def _pass_seconds(shape: Shape, params: Qlora, device: Device, dtype: str, tokens: Tokens) -> float:
    """Return the seconds of one forward and backward pass over a pack."""
    again = 1.5 if params.gradient_checkpointing else 1.0  # forward, backward, and forward once more
    length = tokens.packed(params.per_device_train_batch_size)
    operations = again * length * (4 * shape.linear + 6 * _adapters(shape, params))
    rate = EFFICIENCY[device.kind] * device.tflops.get(dtype, device.tflops[device.dtype]) * 1e12
    seconds = operations / rate
    if device.kind == "cpu":
        seen = tokens.prefix**2 / 2 + (length - tokens.prefix) * (tokens.prefix + tokens.suffix / 2)
        attended = 14 * seen * shape.layers * shape.heads * shape.head_dim  # two products forward, five backward
        kept = length * shape.layers * _elements(shape)
        seconds += again * attended / (ATTENTION * rate)
        seconds += (1 + again) / 2 * kept * SECONDS_AN_ELEMENT / device.cores
    return seconds


def _changes(params: Qlora) -> Iterator[dict]:
    """Yield changes of settings, the cheapest first: a smaller pack computes the prefix more often."""
    size, accumulation = params.per_device_train_batch_size, params.gradient_accumulation_steps
    while size:
        smaller = {"per_device_train_batch_size": size, "gradient_accumulation_steps": accumulation}
        for base in ({}, {"gradient_checkpointing": True}, {"gradient_checkpointing": True, "load_in_4bit": True}):
            yield {name: value for name, value in (base | smaller).items() if getattr(params, name) != value}
        size, accumulation = size // 2, accumulation * 2
