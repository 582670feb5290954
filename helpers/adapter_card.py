"""An adapter as something to keep and to share: its weights, and a model card that says how it came about.

    adapter/adapter_model.safetensors · adapter_config.json · README.md

The folder loads with `peft.PeftModel.from_pretrained` and with `models.load(…, adapter=folder)`. The card is in the
form of the Hugging Face hub: base model, data by sha256, the recipe under the libraries' names, and the figures it is
given. It knows no training; what it is not told (licence of the base, scores) it does not make up.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from helpers import models
from helpers.params import Qlora

BUNDLED = "HuggingFaceTB/SmolLM2-135M-Instruct"
RECIPE = (
    "load_in_4bit", "bnb_4bit_quant_type", "bnb_4bit_use_double_quant", "train_k", "lora_r", "lora_alpha",
    "lora_dropout", "target_modules", "use_rslora", "use_dora", "loraplus_lr_ratio", "neftune_noise_alpha",
    "per_device_train_batch_size", "gradient_accumulation_steps", "learning_rate", "lr_scheduler_type", "warmup_steps",
    "num_train_epochs", "max_steps", "max_length", "seed",
)


def save(model: models.Model, folder: str | Path, params: Qlora, *, data: Mapping[str, str],
         figures: Mapping[str, Any] | None = None, license: str = "") -> Path:
    """Write the adapter that `model` wears, and its card, to FOLDER/adapter; return that folder.

    `data` names each file trained on and its sha256; `figures` are results to print, such as the last loss.
    """
    target = Path(folder) / "adapter"
    base = BUNDLED if model.id == "bundled" else model.id
    for config in model.model.peft_config.values():
        config.base_model_name_or_path = base  # a folder of this machine says nothing to anyone else
    model.model.save_pretrained(str(target), save_embedding_layers=False)
    text = card(base, params, data=data, figures=figures or {},
                license=license or ("apache-2.0" if model.id == "bundled" else ""))
    (target / "README.md").write_text(text, encoding="utf-8")
    return target


def card(base: str, params: Qlora, *, data: Mapping[str, str], figures: Mapping[str, Any], license: str = "") -> str:
    """Write the model card; raises ValueError if the hub would not accept its metadata."""
    from huggingface_hub import ModelCardData

    metadata = ModelCardData(base_model=base, library_name="peft", pipeline_tag="text-generation", language="en",
                             license=license or None, tags=["lora", "text-to-sql", "mysql"])
    values = params.model_dump()
    recipe = [(name, values[name]) for name in RECIPE if name in values]
    return _CARD.format(metadata=metadata.to_yaml(), base=base, recipe=_table(recipe),
                        data=_table((name, f"`{sha}`") for name, sha in data.items()),
                        figures=f"\n## Figures\n\n{_table(figures.items())}\n" if figures else "")


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
{figures}
## Limits

It knows one schema and one dialect. What it writes must be guarded before it is run, and checked before it is believed.
"""
