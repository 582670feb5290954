"""What notebook 05 does, as a command, so that several processes can do it together.

    accelerate launch --config_file params/accelerate/ddp.yaml -m helpers.finetune params/colab_t4/05_qlora.yaml
    accelerate launch --config_file params/accelerate/fsdp_qlora.yaml -m helpers.finetune FILE --set lora_r=32

Every process renders the same rows and trains on its share of each step's packs; the first one alone writes the run
folder, scores checkpoints, saves, answers and exports. 02_curate must have been run. Without `accelerate launch` it
is one process that does all.

Two processes on a CPU are tested. DDP and FSDP on GPUs follow the documentation of accelerate, peft and bitsandbytes
and have not run: FSDP shards 4-bit weights because they are stored in the dtype that is computed in
(`bnb_4bit_quant_storage`), and needs room on the first GPU for a whole 4-bit copy where checkpoints are scored.
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from helpers import (
    adapter_card,
    checkpoints,
    database,
    dataset,
    estimate,
    export,
    fewshot,
    finetune,
    models,
    params,
    prompts,
    runs,
    validation,
    weights,
)
from helpers.params import ParameterError, Qlora

REFUSALS = (ParameterError, runs.RunError, finetune.FinetuneError, export.ExportError, models.ModelError,
            dataset.DatasetError, database.DatabaseError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 2 and one sentence on stderr for a mistake in what was given."""
    parser = argparse.ArgumentParser(prog="python -m helpers.finetune", description="Train an adapter as 05 does.")
    parser.add_argument("file", type=Path, help="YAML file of 05_qlora, such as params/cpu/05_qlora.yaml")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", dest="settings", help="set a parameter")
    given = parser.parse_args(arguments)
    try:
        pairs = (word.partition("=") for word in given.settings)
        p = params.load(given.file, **{name: yaml.safe_load(value) for name, _, value in pairs})
        if not isinstance(p, Qlora):
            raise ParameterError(f"{given.file} is not for 05_qlora: give its YAML file.")
        tune(p)
    except REFUSALS as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def tune(p: Qlora) -> None:
    """Train with all processes of the launch; then the first one saves the adapter, answers and exports."""
    first = int(os.environ.get("RANK", "0")) == 0
    run = runs.start(p) if first else runs.Run(runs.folder_of(p), p)
    logging.getLogger("helpers").setLevel(logging.INFO if first else logging.ERROR)
    curated = runs.upstream(p.out, p.curated)
    examples = dataset.load(curated / f"{p.split}.jsonl")[: p.limit or None]
    pool, dev = dataset.load(curated / "train.jsonl"), dataset.load(curated / "dev.jsonl")
    with database.connect(p.source, timeout_s=p.timeout_s, max_rows=p.max_rows) as db:
        context = prompts.Context(
            prompts.describe(db.with_samples(p.sample_values), prompts.blurbs(dataset.FOLDER),
                             schema_format=p.schema_format),
            prompts.fixed(pool, k=p.k, seed=p.seed, answered=examples), linking=p.linking)
        if first:
            run.depends(questions=curated / f"{p.split}.jsonl", train=curated / "train.jsonl", schema=db.schema.hash,
                        prompts=prompts.fingerprint(context))
        export.refuse(p)
        contexts = finetune.contexts(context, pool, p.train_k, seed=p.seed, answered=[*dev, *examples])
        rows = finetune.rows(pool[: p.train_limit or None], contexts, finetune.unloaded(p.model_id), seed=p.seed)
        expected = estimate.preflight(p, rows) if first else None
        choose = validation.scorer(run, dev[: p.eval_limit or None], context, db)
        model = load(p)
        history = finetune.train(model, rows, p, run.folder, held_out=[*dev, *examples], choose=choose)
    if first:
        del model
        _conclude(run, examples, context, history, expected)


def load(p: Qlora) -> models.Model:
    """Load the base on this process's own device, in a form that FSDP can shard if that is what was launched."""
    local, together = int(os.environ.get("LOCAL_RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")) > 1
    cuda = _has_cuda()
    if os.environ.get("ACCELERATE_USE_FSDP") != "true" or not p.load_in_4bit:
        device = f"cuda:{local}" if cuda and together else "auto"
        return models.load(p.model_id, device=device, **params.quantisation(p))
    import torch

    from helpers import runtime

    dtype = runtime.compute_dtype(p.bnb_4bit_compute_dtype)
    bits = weights.four_bit(p.bnb_4bit_quant_type, p.bnb_4bit_use_double_quant, dtype)
    bits.bnb_4bit_quant_storage = getattr(torch, dtype)  # FSDP shards tensors of one floating dtype only
    module, tokenizer = weights.load(p.model_id, dtype=dtype, device=f"cuda:{local}" if cuda else "cpu",
                                     quantisation=bits)
    return models.Model(p.model_id, "transformers", module, tokenizer, weights.stop_ids(module, tokenizer), dtype)


def _conclude(run: runs.Run, examples: list, context: prompts.Context, history: list, expected) -> None:
    """Save the chosen adapter, let it answer, export it, and close the run: what the first process does alone."""
    p = run.params
    measured = estimate.compare(expected, history)
    run.write("log_history.json", history)
    model = models.load(p.model_id, adapter=checkpoints.chosen(run.folder), device="cuda:0" if _has_cuda() else "cpu",
                        **params.quantisation(p))
    data = {"train.jsonl": runs.sha256(runs.upstream(p.out, p.curated) / "train.jsonl")}
    adapter_card.save(model, run.folder, p, data=data, dev=validation.of_best(run.folder))
    predictions = fewshot.answer(run, examples, context, model, method=f"qlora k={p.k}")
    exported = export.write(p, run.folder)
    run.finish({"answered": len(predictions), "estimate": measured, "exported": exported},
               order=[example.id for example in examples])


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()
