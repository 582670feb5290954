"""Fine-tune a model on questions and their SQL: QLoRA with peft and transformers' Trainer, over packed rows.

>>> contexts = finetune.contexts(context, pool, params.train_k, seed=7)  # zero and three exemplars, say
>>> rows = finetune.rows(train, contexts, model, seed=7)                # model: fresh from models.load
>>> history = finetune.train(model, rows, params, run.folder, held_out=[*dev, *test])
>>> finetune.save(model, run.folder, params, data={"train.jsonl": sha256(path)})     # run.folder / "adapter"

Every field of `params.Qlora` goes to the library under the library's name. A batch is one pack of at most
`per_device_train_batch_size` rows that share their prefix; see `packing`. A training that was killed goes on from its
last checkpoint and ends, on a CPU, with the adapter it would have had. It does not choose a checkpoint by what the
model answers, knows no metrics, and has not run on a GPU.

A 4-bit model on a CPU must not generate between `models.load` and `train`: its weights would be repacked, and the
gradients wrong without a sign. After training load base and adapter anew to answer.
"""

import hashlib
import json
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from helpers import adapter_card, models, runtime
from helpers.dataset import Example
from helpers.params import Qlora
from helpers.training_rows import FinetuneError, Row, contexts, refuse, rows

__all__ = ["FinetuneError", "Row", "contexts", "refuse", "rows", "save", "train"]

log = logging.getLogger(__name__)

save = adapter_card.save


def train(model: models.Model, rows: Sequence[Row], params: Qlora, folder: str | Path, *,
          held_out: Iterable[Example] = ()) -> list[dict]:
    """Train an adapter on `rows` and leave it on `model.model`; return the Trainer's log, a dict a step.

    Checkpoints go to FOLDER/checkpoints, and the last complete one there is gone on from. Raises FinetuneError, before
    any step, for what would spoil the training (see `refuse`) and for checkpoints of another training.
    """
    from transformers import Trainer
    from transformers.trainer_callback import PrinterCallback

    from helpers import packing

    refuse(model, rows, max_length=params.max_length, held_out=held_out)
    checkpoints = Path(folder) / "checkpoints"
    last = _last_checkpoint(checkpoints, _identity(model, rows, params))
    way = packing.way(model.model)
    base, model.model = model.model, _with_lora(model, params)
    packs = packing.Packs(list(rows), params.per_device_train_batch_size, params.seed)
    trainer = Trainer(model.model, _arguments(model, params, checkpoints), data_collator=way.collate,
                      train_dataset=packs, callbacks=[_reporter()], optimizers=(_optimizer(model.model, params), None))
    trainer.remove_callback(PrinterCallback)
    log.info("Training on %d rows in %d packs an epoch, %s%s.", len(rows), len(packs), way.name,
             f", from {last.name}" if last else "")
    with packing.using(base, way):
        trainer.train(resume_from_checkpoint=str(last) if last else None)
    model.model.eval()
    return trainer.state.log_history


def _with_lora(model: models.Model, params: Qlora):
    """Put a fresh adapter, fp32 whatever the base computes in, on the model's module."""
    from peft import LoraConfig, get_peft_model
    from transformers import set_seed

    missing = [name for name in params.target_modules
               if not any(path.split(".")[-1] == name for path, _ in model.model.named_modules())]
    if missing:
        raise FinetuneError(f"{model.id} has no module called {', '.join(missing)}: correct target_modules.")
    set_seed(params.seed)
    return get_peft_model(model.model, LoraConfig(
        task_type="CAUSAL_LM", r=params.lora_r, lora_alpha=params.lora_alpha, lora_dropout=params.lora_dropout,
        target_modules=params.target_modules, use_rslora=params.use_rslora, use_dora=params.use_dora))


def _arguments(model: models.Model, params: Qlora, checkpoints: Path):
    """Translate the parameters for transformers; a batch of the Trainer is one pack."""
    from transformers import TrainingArguments

    cuda = model.model.device.type == "cuda"
    return TrainingArguments(
        output_dir=str(checkpoints), per_device_train_batch_size=1, train_sampling_strategy="sequential",
        gradient_accumulation_steps=params.gradient_accumulation_steps, learning_rate=params.learning_rate,
        lr_scheduler_type=params.lr_scheduler_type, warmup_steps=params.warmup_steps,
        num_train_epochs=params.num_train_epochs, max_steps=params.max_steps, max_grad_norm=params.max_grad_norm,
        neftune_noise_alpha=params.neftune_noise_alpha or None, seed=params.seed,
        activation_checkpointing=params.gradient_checkpointing,
        activation_checkpointing_kwargs={"use_reentrant": False}, save_steps=params.save_steps, save_total_limit=2,
        logging_steps=1, disable_tqdm=True, report_to="none", remove_unused_columns=False,
        use_cpu=not cuda, dataloader_pin_memory=cuda,
        fp16=cuda and model.dtype == "float16", bf16=cuda and model.dtype == "bfloat16",
    )


def _optimizer(module, params: Qlora):
    """Return LoRA+'s optimizer (Hayou et al. 2024, arXiv:2402.12354) if a ratio is set, else None for the usual."""
    import torch
    from peft.optimizers import create_loraplus_optimizer

    if not params.loraplus_lr_ratio:
        return None
    return create_loraplus_optimizer(module, torch.optim.AdamW, lr=params.learning_rate,
                                     loraplus_lr_ratio=params.loraplus_lr_ratio)


def _reporter():
    """Return a callback that shows progress as the rest of the suite does."""
    from transformers import TrainerCallback

    callback = TrainerCallback()

    def begin(args, state, control, **kwargs) -> None:
        callback.advance = runtime.ticker(label="training steps", total=state.max_steps - state.global_step)

    callback.on_train_begin = begin
    callback.on_step_end = lambda args, state, control, **kwargs: callback.advance()
    return callback


def _identity(model: models.Model, rows: Sequence[Row], params: Qlora) -> str:
    """Return a sha256 of all that a training's course depends on."""
    course = {name: value for name, value in params.model_dump().items() if name not in ("out", "variant")}
    return hashlib.sha256(repr((model.id, model.dtype, sorted(course.items()), list(rows))).encode()).hexdigest()


def _last_checkpoint(folder: Path, identity: str) -> Path | None:
    """Return the last checkpoint that was written to its end; raise FinetuneError if another training left it."""
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / "training.sha256"
    if mark.exists() and mark.read_text() != identity:
        raise FinetuneError(f"{folder} holds checkpoints of a training with other rows or parameters: choose another "
                            "folder or variant, or delete it.")
    mark.write_text(identity)
    complete = [path for path in folder.glob("checkpoint-*") if _is_complete(path)]
    return max(complete, key=lambda path: int(path.name.split("-")[1]), default=None)


def _is_complete(checkpoint: Path) -> bool:
    """Tell whether the Trainer got to the end of writing a checkpoint: its state comes last."""
    try:
        return bool(json.loads((checkpoint / "trainer_state.json").read_text()))
    except (FileNotFoundError, ValueError):
        return False
