"""Fine-tune a model on questions and their SQL: QLoRA with peft and transformers' Trainer, over packed rows.

>>> contexts = finetune.contexts(context, pool, params.train_k, seed=7)  # zero and three exemplars, say
>>> rows = finetune.rows(train, contexts, finetune.unloaded("bundled"), seed=7)
>>> model = models.load("bundled", load_in_4bit=True)
>>> history = finetune.train(model, rows, params, run.folder, held_out=[*dev, *test])
>>> finetune.save(model, run.folder, params, data={"train.jsonl": sha256(path)})     # run.folder / "adapter"

    accelerate launch --config_file params/accelerate/ddp.yaml -m helpers.finetune params/colab_t4/05_qlora.yaml

Every field of `params.Qlora` goes to the library under the library's name. A batch is one pack of at most
`per_device_train_batch_size` rows that share their prefix; see `packing`. A training that was killed goes on from its
last checkpoint and ends, on a CPU, with the adapter it would have had. With `eval_steps` a callable of the caller's
scores checkpoints by what they answer, and the best one's adapter is the result; see `checkpoints`. Over several
processes the packs of a step are dealt, so the steps are those of one process; an epoch of an odd number of packs
shows some pack twice. It knows no metrics, and has not run on a GPU.

A 4-bit model on a CPU must not generate between `models.load` and `train`: its weights would be repacked, and the
gradients wrong without a sign. After training load base and adapter anew to answer.
"""

import contextlib
import hashlib
import json
import logging
import os
import sys
import warnings
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from helpers import adapter_card, checkpoints, journal, models, runtime
from helpers.dataset import Example
from helpers.params import Qlora
from helpers.training_rows import FinetuneError, Row, contexts, refuse, rows, unloaded

__all__ = ["FinetuneError", "Row", "contexts", "refuse", "rows", "save", "train", "unloaded"]

log = logging.getLogger(__name__)

save = adapter_card.save
STEPS_KEPT = 100  # steps after which the allocator gives its holes back: filling them anew takes seconds
HEAP = 16 * 2**30  # bytes that may come in huge pages; none is taken before it is used
PATIENCE_S = 4 * 3600  # how long processes wait for the first one, which alone scores checkpoints


def train(model: models.Model, rows: Sequence[Row], params: Qlora, folder: str | Path, *,
          held_out: Iterable[Example] = (), choose: checkpoints.Score | None = None) -> list[dict]:
    """Train an adapter on `rows` and leave it on `model.model`; return the Trainer's log, a dict a step.

    Checkpoints go to FOLDER/checkpoints, and the last complete one there is gone on from. With `choose` and
    `eval_steps` the adapter left is that of the checkpoint which `choose` scored best; the weights of a module that is
    sharded over processes stay the last step's (see `checkpoints.chosen`). Raises FinetuneError, before any step, for
    what would spoil the training (see `refuse`) and for checkpoints of another training.
    """
    from transformers import Trainer
    from transformers.trainer_callback import PrinterCallback

    from helpers import packing

    refuse(model, rows, max_length=params.max_length, held_out=held_out)
    folder = Path(folder)
    last = _last_checkpoint(folder / "checkpoints", _identity(model, rows, params))
    base, model.model = model.model, _with_lora(model, params)
    way = packing.way(base)
    packs = packing.Packs(list(rows), params.per_device_train_batch_size, params.seed)
    sharing, ready = contextlib.ExitStack(), partial(_in_training, base, way, model, params)
    exam, clock = None, checkpoints.Clock(folder, params.max_minutes)
    if choose and params.eval_steps:
        exam = checkpoints.Exam(choose, model, params, folder, plain=partial(_without, sharing, ready),
                                spread=os.environ.get("ACCELERATE_USE_FSDP") == "true")
    trainer = Trainer(model.model, _arguments(model, params, folder / "checkpoints"), data_collator=way.collate,
                      train_dataset=packs, callbacks=[_callback(exam, clock)],
                      optimizers=(_optimizer(model.model, params), None))
    trainer.remove_callback(PrinterCallback)
    log.info("Training on %d rows in %d packs an epoch, %s%s.", len(rows), len(packs), way.name,
             f", from {last.name}" if last else "")
    with runtime.keeping_memory(size=HEAP), sharing:
        sharing.enter_context(ready())
        history = _run(trainer, last, exam, clock)
    if exam:
        log.info("%s is the best of %d.", checkpoints.chosen(folder).name, len(checkpoints.read(folder)))
    if exam and not exam.spread:
        _wear(model.model, checkpoints.chosen(folder))
    model.model.eval()
    return history


def _run(trainer, last: Path | None, exam: checkpoints.Exam | None, clock: checkpoints.Clock) -> list[dict]:
    """Train from the last checkpoint to the end, or not at all if that is where it is; return the log.

    The log's last entry says how many steps there were, in how many seconds over all starts, and how many of these
    went into the scoring of checkpoints.
    """
    state = json.loads((last / "trainer_state.json").read_text()) if last else {}
    if last:
        _wear(trainer.model, last)
    if exam:
        exam.resume(state.get("global_step", 0), state.get("max_steps", 0))
    if not last or not (state["global_step"] >= state["max_steps"] or clock.is_up or (exam and exam.exhausted)):
        trainer.train(resume_from_checkpoint=str(last) if last else None)
        state = {"global_step": trainer.state.global_step, "log_history": trainer.state.log_history}
    scoring = sum(row["seconds"] for row in checkpoints.read(exam.folder)) if exam else 0.0
    state["log_history"][-1] |= {"steps": state["global_step"], "seconds": clock.spent, "scoring_seconds": scoring}
    return state["log_history"]


@contextlib.contextmanager
def _in_training(base, way, model: models.Model, params: Qlora):
    """Let the model attend within a pack, and in half precision its adapter compute in that precision too.

    Autocast gives the adapter's weights the dtype of its input; peft would give the input the weights' first.
    """
    from peft.helpers import disable_input_dtype_casting

    from helpers import packing

    half = any(_half_precision(model).values()) and not params.use_dora  # DoRA multiplies weights by inputs itself
    with packing.using(base, way), disable_input_dtype_casting(model.model, active=half):
        yield


@contextlib.contextmanager
def _without(sharing: contextlib.ExitStack, ready):
    """Let the module compute as it usually does for a while: `sharing` holds it `ready` for training."""
    sharing.close()
    try:
        yield
    finally:
        sharing.enter_context(ready())


def _wear(module, checkpoint: Path) -> None:
    """Give the module's adapter the weights of a checkpoint."""
    from peft import set_peft_model_state_dict
    from peft.utils import load_peft_weights

    set_peft_model_state_dict(module, load_peft_weights(str(checkpoint), device=str(module.device)))


def _with_lora(model: models.Model, params: Qlora):
    """Put a fresh adapter, fp32 whatever the base computes in, on the model's module."""
    from peft import LoraConfig, get_peft_model
    from transformers import set_seed

    missing = [name for name in params.target_modules
               if not any(path.split(".")[-1] == name for path, _ in model.model.named_modules())]
    if missing:
        raise FinetuneError(f"{model.id} has no module called {', '.join(missing)}: correct target_modules.")
    set_seed(params.seed)
    config = LoraConfig(
        task_type="CAUSAL_LM", r=params.lora_r, lora_alpha=params.lora_alpha, lora_dropout=params.lora_dropout,
        target_modules=params.target_modules, use_rslora=params.use_rslora, use_dora=params.use_dora)
    with warnings.catch_warnings():  # peft asks transformers for a property under its former name
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        return get_peft_model(model.model, config)


def _arguments(model: models.Model, params: Qlora, checkpoints: Path):
    """Translate the parameters for transformers; a batch of the Trainer is one pack."""
    from transformers import TrainingArguments

    cuda, processes = model.model.device.type == "cuda", int(os.environ.get("WORLD_SIZE", "1"))
    if params.gradient_accumulation_steps % processes:
        raise FinetuneError(
            f"gradient_accumulation_steps = {params.gradient_accumulation_steps} cannot be dealt to {processes} "
            f"processes: make it a multiple of {processes}, with a smaller per_device_train_batch_size.")
    return TrainingArguments(
        output_dir=str(checkpoints), per_device_train_batch_size=1, train_sampling_strategy="sequential",
        gradient_accumulation_steps=params.gradient_accumulation_steps // processes, learning_rate=params.learning_rate,
        lr_scheduler_type=params.lr_scheduler_type, warmup_steps=params.warmup_steps,
        num_train_epochs=params.num_train_epochs, max_steps=params.max_steps, max_grad_norm=params.max_grad_norm,
        neftune_noise_alpha=params.neftune_noise_alpha or None, seed=params.seed,
        activation_checkpointing=params.gradient_checkpointing,
        activation_checkpointing_kwargs={"use_reentrant": False}, save_steps=params.save_steps, save_total_limit=2,
        logging_steps=1, disable_tqdm=True, report_to="none", remove_unused_columns=False,
        use_cpu=not cuda, dataloader_pin_memory=cuda, ddp_find_unused_parameters=False, ddp_timeout=PATIENCE_S,
        **_half_precision(model),
    )


def _half_precision(model: models.Model) -> dict[str, bool]:
    """Return in which half precision training autocasts; fp16 needs a GPU's loss scaling."""
    cuda = model.model.device.type == "cuda"
    return {"fp16": cuda and model.dtype == "float16", "bf16": model.dtype == "bfloat16"}


def _optimizer(module, params: Qlora):
    """Return LoRA+'s optimizer (Hayou et al. 2024, arXiv:2402.12354) if a ratio is set, else None for the usual."""
    import torch
    from peft.optimizers import create_loraplus_optimizer

    if not params.loraplus_lr_ratio:
        return None
    return create_loraplus_optimizer(module, torch.optim.AdamW, lr=params.learning_rate,
                                     loraplus_lr_ratio=params.loraplus_lr_ratio)


def _callback(exam: checkpoints.Exam | None, clock: checkpoints.Clock):
    """Return a callback that shows progress as the rest of the suite does, keeps time and has checkpoints scored."""
    from transformers import TrainerCallback

    callback = TrainerCallback()

    def begin(args, state, control, **kwargs) -> None:
        callback.advance = runtime.ticker(label="training steps", total=state.max_steps - state.global_step)
        clock.on_train_begin(args, state, control)
        if exam:
            exam.protect(state, args.output_dir)

    def step(args, state, control, **kwargs) -> None:
        callback.advance()
        if args.use_cpu and state.global_step % STEPS_KEPT == 0:
            runtime.give_back_memory()
        if exam:
            exam.on_step_end(args, state, control)

    def save(args, state, control, **kwargs) -> None:
        if exam:
            exam.on_save(args, state, control)
        clock.on_save(args, state, control)

    callback.on_train_begin, callback.on_step_end, callback.on_save = begin, step, save
    return callback


def _identity(model: models.Model, rows: Sequence[Row], params: Qlora) -> str:
    """Return a sha256 of all that a training's course depends on; how long it may take only decides where it ends."""
    course = {name: value for name, value in params.model_dump().items()
              if name not in ("out", "variant", "copy_to", "max_minutes")}
    return hashlib.sha256(repr((model.id, model.dtype, sorted(course.items()), list(rows))).encode()).hexdigest()


def _last_checkpoint(folder: Path, identity: str) -> Path | None:
    """Return the last checkpoint that was written to its end; raise FinetuneError if another training left it."""
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / "training.sha256"
    if mark.exists() and mark.read_text() != identity:
        raise FinetuneError(f"{folder} holds checkpoints of a training with other rows or parameters: choose another "
                            "folder or variant, or delete it.")
    journal.replace_file(mark, identity)  # in one move, since every process of a launch writes it
    complete = [path for path in folder.glob("checkpoint-*") if _is_complete(path)]
    return max(complete, key=lambda path: int(path.name.split("-")[1]), default=None)


def _is_complete(checkpoint: Path) -> bool:
    """Tell whether the Trainer got to the end of writing a checkpoint: its state comes last."""
    try:
        return bool(json.loads((checkpoint / "trainer_state.json").read_text()))
    except (FileNotFoundError, ValueError):
        return False


if __name__ == "__main__":
    from helpers import launch

    sys.exit(launch.main())
