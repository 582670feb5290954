"""An adapter as something to keep and to share: its weights, and a model card that says how it came about.

    adapter/adapter_model.safetensors · adapter_config.json · README.md · scores.json

    $ python -m helpers.adapter_card outputs/cpu/05_qlora --scores outputs/cpu/06_evaluate/metrics.json

The folder loads with `peft.PeftModel.from_pretrained` and with `models.load(…, adapter=folder)`. The card is in the
form of the Hugging Face hub: base model, data by sha256, the recipe under the libraries' names, and scores with their
intervals, which are added as they become known: dev's when the checkpoint is chosen, test's by the command above once
06_evaluate has run. It knows no training; what it is not told (licence of the base, scores) it does not make up.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from helpers import journal, models
from helpers.params import Qlora

FILES = ["adapter_model.safetensors", "adapter_config.json", "README.md", "scores.json"]
RATES = ("ex", "ex_strict", "ex_superset", "ts", "va")
BUNDLED = "HuggingFaceTB/SmolLM2-135M-Instruct"
RECIPE = (
    "load_in_4bit", "bnb_4bit_quant_type", "bnb_4bit_use_double_quant", "train_k", "linking", "lora_r",
    "lora_alpha", "lora_dropout", "target_modules", "use_rslora", "use_dora", "loraplus_lr_ratio",
    "neftune_noise_alpha", "per_device_train_batch_size", "gradient_accumulation_steps", "learning_rate",
    "lr_scheduler_type", "warmup_steps", "num_train_epochs", "max_steps", "max_minutes", "max_length", "seed",
)


class CardError(Exception):
    """Say in one sentence why scores cannot be put on a card, and the remedy."""


def save(model: models.Model, folder: str | Path, params: Qlora, *, data: Mapping[str, str],
         dev: Mapping[str, Any] | None = None, license: str = "") -> Path:
    """Write the adapter that `model` wears, and its card, to FOLDER/adapter; return that folder.

    `data` names each file trained on and its sha256; `dev` holds the metrics of the chosen checkpoint, if there are
    any.
    """
    target = Path(folder) / "adapter"
    base = BUNDLED if model.id == "bundled" else model.id
    for config in model.model.peft_config.values():
        config.base_model_name_or_path = base  # a folder of this machine says nothing to anyone else
    model.model.save_pretrained(str(target), save_embedding_layers=False)
    text = card(base, params, data=data, license=license or ("apache-2.0" if model.id == "bundled" else ""))
    (target / "README.md").write_text(text, encoding="utf-8")
    (target / "scores.json").unlink(missing_ok=True)  # those of an adapter that was here before
    if dev:
        update(target, {"dev": dev})
    return target


def update(adapter: Path, scores: Mapping[str, Mapping]) -> None:
    """Put the metrics of splits, `{"test": {"n": 200, "ex": 0.61, "intervals": …}}`, on an adapter's card.

    They join those of other splits that the card has. Raises CardError if the folder holds no card.
    """
    page, kept = adapter / "README.md", adapter / "scores.json"
    if not page.is_file():
        raise CardError(f"{adapter} holds no model card: give a finished run of 05_qlora, or its adapter folder.")
    before = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    now = before | {split: _kept(metrics) for split, metrics in scores.items()}
    journal.replace_file(kept, json.dumps(now, indent=1) + "\n")
    recipe, _, limits = page.read_text(encoding="utf-8").partition("\n## Limits\n")
    recipe = recipe.partition("\n## Scores\n")[0]
    journal.replace_file(page, f"{recipe}\n## Scores\n\n{_scores(now)}\n\n## Limits\n{limits}")


def card(base: str, params: Qlora, *, data: Mapping[str, str], license: str = "") -> str:
    """Write the model card; raises ValueError if the hub would not accept its metadata."""
    from huggingface_hub import ModelCardData

    metadata = ModelCardData(base_model=base, library_name="peft", pipeline_tag="text-generation", language="en",
                             license=license or None, tags=["lora", "text-to-sql", "mysql"])
    values = params.model_dump()
    recipe = [(name, values[name]) for name in RECIPE if name in values]
    return _CARD.format(metadata=metadata.to_yaml(), base=base, recipe=_table(recipe),
                        data=_table((name, f"`{sha}`") for name, sha in data.items()))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 2 and one sentence on stderr for a mistake in what was given."""
    parser = argparse.ArgumentParser(prog="python -m helpers.adapter_card", description="Put scores on a model card.")
    parser.add_argument("run", type=Path, help="run folder of 05_qlora, or its adapter folder")
    parser.add_argument("--scores", type=Path, required=True, help="metrics.json of 06_evaluate or helpers.evaluate")
    parser.add_argument("--method", default="", help="name of the run in that file, if it compares several")
    parser.add_argument("--split", default="test", help="the questions that were answered")
    given = parser.parse_args(arguments)
    try:
        adapter = given.run / "adapter" if (given.run / "adapter").is_dir() else given.run
        update(adapter, {given.split: _metrics(given.scores, given.method or _method_of(given.run))})
    except (CardError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _metrics(path: Path, method: str) -> Mapping:
    """Return one method's metrics from a file that holds them, alone or among others."""
    found = json.loads(path.read_text(encoding="utf-8"))
    if "methods" in found and method not in found["methods"]:
        raise CardError(f"{path} has no run {method}, but {', '.join(found['methods'])}: choose one by --method.")
    return found["methods"][method] if "methods" in found else found


def _method_of(run: Path) -> str:
    """Return the name under which 06_evaluate lists a run: its folder below the suite's."""
    parts = run.resolve().parts
    return "/".join(parts[parts.index("05_qlora"):]) if "05_qlora" in parts else run.name


def _kept(metrics: Mapping) -> dict:
    names = ("step", "n", *RATES, "intervals")
    return {name: metrics[name] for name in names if metrics.get(name) is not None}


def _scores(splits: Mapping[str, Mapping]) -> str:
    """Write rates and their intervals as a table, a split a row."""
    shown = [name for name in RATES if any(name in metrics for metrics in splits.values())]
    rows = [[split, str(metrics["n"]), *(_rate(metrics, name) for name in shown)]
            for split, metrics in splits.items()]
    head = ["questions", "n", *(name.upper() for name in shown)]
    lines = [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
    steps = [f"The {split} questions chose the checkpoint of step {metrics['step']}, and are no test of it."
             for split, metrics in splits.items() if "step" in metrics]
    return "\n".join([*lines, "", "In brackets: 95 % interval, questions of one SQL template taken as one.", *steps])


def _rate(metrics: Mapping, name: str) -> str:
    if name not in metrics:
        return "–"
    span = metrics.get("intervals", {}).get(name)
    return f"{metrics[name]:.1%}" + (f" ({span['low']:.1%} to {span['high']:.1%})" if span else "")


def _table(pairs) -> str:
    lines = [f"| {name} | {', '.join(map(str, value)) if isinstance(value, list) else value} |"
             for name, value in pairs]
    return "\n".join(["| | |", "|---|---|", *lines])


_CARD = """---
{metadata}
---
# SQL adapter for {base}

A LoRA adapter that answers questions about a MySQL database with one SELECT statement. It was trained on the replies
alone, with prompts that show the schema; give it prompts of the same form.

```python
from peft import PeftModel
from transformers import AutoModelForCausalLM

model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained("{base}"), "adapter")
```

## Training data

{data}

## Recipe

{recipe}

## Limits

It knows one schema and one dialect. What it writes must be guarded before it is run, and checked before it is believed.
"""


if __name__ == "__main__":
    sys.exit(main())
