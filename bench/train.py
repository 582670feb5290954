"""Measure fine-tuning the bundled model: rows a second and memory, beside TRL's default and one row at a time.

    python bench/train.py [--rows 8] [--steps 4] [--skip trl]

Every way trains on the same rows, with the same adapter, in a process of its own; seconds are those of all optimizer
steps but the first, in which memory is touched for the first time, and the cores' seconds a row stand beside them for a
machine that is busy. Prompts show a few of the sample's tables, since TRL's padded batch of the whole schema takes more
than 20 GB; those of `…_whole` show all, as the suite's prompts do by default. Prints a table and, as its last line, one
JSON object: ratio_trl, ratio_one_by_one and ratio_one_by_one_whole (rows a second of packed rows over theirs, fp32),
ratio_one_by_one_16 (packs of twice the rows over the same), rows_per_s and peak_gb (packed, fp32) and the same with
_16, _bf16, _nf4_bf16 and _whole, max_rel_grad_error (packed beside separate rows, fp32) and max_rel_grad_error_nf4
(packed in 4 bits beside separate rows with the dequantised weights).
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from transformers import TrainerCallback
from transformers.trainer import DEFAULT_CALLBACKS

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from helpers import dataset, finetune, models, prompts, runtime, sample  # noqa: E402
from helpers.params import Qlora  # noqa: E402

TABLES = 4
FIXED = Qlora(lora_dropout=0.0)  # no two ways would draw the same dropout, and gradients are to be equal
HALF = {"compute_dtype": "bfloat16"}
WAYS = {  # name: how the model is loaded, the batch as a multiple of --rows, whether it is one pack
    "packed": ({}, 1, True), "packed_16": ({}, 2, True), "packed_bf16": (HALF, 1, True),
    "packed_nf4_bf16": (HALF | {"load_in_4bit": True}, 1, True), "packed_whole": ({}, 1, True),
    "one_by_one": ({}, 1, False), "one_by_one_whole": ({}, 1, False),
}


class Stopwatch(TrainerCallback):
    """Note the time at the end of every optimizer step, of the clock and of the cores."""

    def __init__(self):
        self.ends = []
        Stopwatch.last = self

    def on_step_end(self, args, state, control, **kwargs) -> None:
        self.ends.append((time.perf_counter(), time.process_time()))


DEFAULT_CALLBACKS.append(Stopwatch)  # every Trainer gets one, TRL's too


def training_rows(model: models.Model, count: int, whole: bool = False) -> list[finetune.Row]:
    """Return rows of the shipped training questions that share a prompt: the whole schema, or about half of it."""
    schema = sample.schema()
    shown = schema if whole else replace(schema, tables=schema.tables[:TABLES])
    description = prompts.describe(shown, prompts.blurbs(dataset.FOLDER))
    examples = dataset.load(dataset.FOLDER / "train.jsonl")
    return finetune.rows((examples * count)[:count], [prompts.Context(description)], model, seed=7)


def train(name: str, size: int, steps: int) -> dict:
    """Train `steps` steps one of our ways and return its figures."""
    import peft  # noqa: F401  (imports are not training, and take seconds)

    load, scale, packed = WAYS[name]
    model, batch = models.load("bundled", **load), size * scale
    params = FIXED.model_copy(update={"per_device_train_batch_size": batch if packed else 1, "max_steps": steps,
                                      "gradient_accumulation_steps": 1 if packed else batch})
    with tempfile.TemporaryDirectory() as folder:
        finetune.train(model, training_rows(model, batch * steps, name.endswith("_whole")), params, folder)
    return figures(batch)


def train_trl(size: int, steps: int) -> dict:
    """Train the same rows with TRL's SFTTrainer as it comes, but for what the comparison fixes."""
    import datasets
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    model = models.load("bundled")
    rows = [{"input_ids": [*row.prompt, *row.completion],
             "completion_mask": [0] * len(row.prompt) + [1] * len(row.completion)}
            for row in training_rows(model, size * steps)]
    lora = LoraConfig(task_type="CAUSAL_LM", r=FIXED.lora_r, lora_alpha=FIXED.lora_alpha,
                      lora_dropout=FIXED.lora_dropout, target_modules=FIXED.target_modules)
    with tempfile.TemporaryDirectory() as folder:
        trainer = SFTTrainer(model.model, SFTConfig(
            output_dir=folder, per_device_train_batch_size=size, max_steps=steps, learning_rate=FIXED.learning_rate,
            max_length=FIXED.max_length, completion_only_loss=True, bf16=False, use_cpu=True, report_to="none",
            save_strategy="no", disable_tqdm=True,
        ), train_dataset=datasets.Dataset.from_list(rows), processing_class=model.tokenizer, peft_config=lora)
        trainer.train()
    return figures(size)


def figures(batch: int) -> dict:
    """Return speed and memory of the last training, whose steps had so many rows each."""
    ends = Stopwatch.last.ends
    rows = batch * (len(ends) - 1)
    seconds, core_s = (end - start for start, end in zip(ends[0], ends[-1], strict=True))
    return {"rows_per_s": round(rows / seconds, 3), "core_s_a_row": round(core_s / rows, 2),
            "peak_gb": round(runtime.peak_memory()["peak_rss_mb"] / 1024, 2)}


def gradient_error(size: int, load_in_4bit: bool) -> dict:
    """Return the largest relative error of loss and adapter gradients, packed beside separate rows."""
    from helpers import packing

    model = models.load("bundled", load_in_4bit=load_in_4bit)
    rows = training_rows(model, size)
    wearing = with_adapter(model.model)
    way = packing.way(model.model)
    packed = gradients(wearing, [way.collate([rows])], way)
    dense = dequantised(model.model) if load_in_4bit else model.model
    separate = [packing.collate_rows([[row]]) for row in rows]
    expected = gradients(with_adapter(dense) if load_in_4bit else dense, separate, packing.ROWS)
    pairs = zip(expected, packed, strict=True)
    return {"error": max(((a - b).norm() / a.norm()).item() for a, b in pairs)}


def with_adapter(module):
    """Put a random adapter into the module; both halves random, or half of the gradients would be zero."""
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(7)
    get_peft_model(module, LoraConfig(r=16, target_modules=FIXED.target_modules))
    for name, parameter in module.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.01)
    return module.train()


def dequantised(module):
    """Return the bundled model with the weights that the module's 4 bits stand for."""
    from bitsandbytes.functional import dequantize_4bit

    dense = models.load("bundled").model
    for name, layer in module.named_modules():
        if getattr(getattr(layer, "weight", None), "quant_state", None) is not None:
            plain = dense.get_submodule(name.removesuffix(".base_layer"))
            plain.weight.data = dequantize_4bit(layer.weight.data, layer.weight.quant_state).float()
    return dense


def gradients(module, batches: list[dict], way) -> list:
    """Return loss and gradients, in the order of the parameters' names."""
    import torch

    from helpers import packing

    module.zero_grad()
    count = torch.tensor(sum(int((batch["labels"] != packing.IGNORED).sum()) for batch in batches))
    total = torch.zeros(())
    with packing.using(module, way):
        for batch in batches:
            loss = module(**batch, num_items_in_batch=count, use_cache=False).loss
            loss.backward()
            total += loss.detach()
    named = sorted((name, p.grad.clone()) for name, p in module.named_parameters() if p.requires_grad)
    return [total, *(grad for _, grad in named)]


def measure(name: str, size: int, steps: int) -> dict:
    """Return the figures of one way."""
    if name.startswith("gradients"):
        return gradient_error(size, name == "gradients_nf4")
    return train_trl(size, steps) if name == "trl" else train(name, size, steps)


def in_a_process(name: str, given: argparse.Namespace) -> dict:
    """Measure one way in a process of its own, so that its peak memory is its own."""
    command = [sys.executable, __file__, "--only", name, "--rows", str(given.rows), "--steps", str(given.steps)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench/train.py", description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--only", default="")
    parser.add_argument("--skip", nargs="*", default=[])
    given = parser.parse_args()
    if given.only:
        print(json.dumps(measure(given.only, given.rows, given.steps)))
        return
    measured = {}
    for name in ("gradients", "gradients_nf4", *WAYS, "trl"):
        if name not in given.skip:
            measured[name] = in_a_process(name, given)
            print(f"{name:16} {measured[name]}", flush=True)
    speed = {name: found["rows_per_s"] for name, found in measured.items() if "rows_per_s" in found}
    pairs = {"trl": ("packed", "trl"), "one_by_one": ("packed", "one_by_one"),
             "one_by_one_16": ("packed_16", "one_by_one"),
             "one_by_one_whole": ("packed_whole", "one_by_one_whole")}
    result = {f"ratio_{name}": round(speed[ours] / speed[theirs], 2) for name, (ours, theirs) in pairs.items()
              if ours in speed and theirs in speed}
    result |= {f"rows_per_s{name.removeprefix('packed')}": speed[name] for name in speed if name.startswith("packed")}
    result |= {f"max_rel_grad_error{name.removeprefix('gradients')}": found["error"]
               for name, found in measured.items() if "error" in found}
    result |= {f"peak_gb{name.removeprefix('packed')}": measured[name]["peak_gb"]
               for name in speed if name.startswith("packed")}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
