"""The parameters of each notebook: one pydantic model a notebook, the only list of what can be set.

>>> load("params/demo/03_baseline.yaml").k
3
>>> read("03_baseline", {"k": 0}).k          # the same check on a notebook's own variables
0

A YAML file is checked before its notebook runs, the variables once more inside it, by the same model: an unknown
name is refused by name, text such as "1e-4" becomes a number, ranges are checked. Field names are the library's own
(`lora_r`, `learning_rate`, `per_device_train_batch_size`). It knows nothing of what the parameters do.
"""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

OTHERS = ("In", "Out", "REPO_URL", "REPO_REF")  # a notebook's variables that are no parameters: Jupyter's, setup's

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(ge=0, le=1)]


class ParameterError(Exception):
    """Name the parameter that is wrong and what it may be."""


class Common(BaseModel):
    """What every notebook has: where its run folder goes, and its seed."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    out: str = Field("outputs/demo", description="suite folder; the run folder is OUT/NOTEBOOK[/VARIANT]")
    variant: str = Field("", pattern=r"^[\w.=,+-]*$", description="name of a variant of this run, such as k=0")
    seed: Count = Field(7, description="seed of everything random")
    copy_to: str = Field("", description="folder to which the run folder is copied, such as one on a mounted Drive")


class Source(Common):
    """What every notebook with a database has."""

    source: str = Field("sample", min_length=1, description="database: sample, dump:PATH, local-mysql, cloudsql, …")
    timeout_s: float = Field(10.0, gt=0, le=600, description="time limit of one statement, in seconds")
    max_rows: Positive = Field(10_000, description="rows fetched of one result at most")


class Connect(Source):
    """01: reach the database and look at it."""

    sample_rows: Count = Field(5, le=100, description="rows shown of each table")


class Curate(Source):
    """02: check the questions and write the splits."""

    questions: str = Field("data/classicmodels", description="folder of train, dev and test.jsonl, or one file")
    test_size: Rate = Field(0.4, description="share of templates put into test, for questions without a split")
    dev_size: Rate = Field(0.2, description="share of templates put into dev, for questions without a split")


class Model(Source):
    """What every notebook with a model has."""

    model_id: str = Field("bundled", min_length=1, description="bundled, a hub id, a folder, or openai:URL#NAME")
    adapter: str = Field("", description="run folder of 05_qlora, or an adapter's folder, to load on top")
    load_in_4bit: bool = Field(False, description="quantise the weights to 4 bits with bitsandbytes")
    bnb_4bit_quant_type: Literal["nf4", "fp4"] = Field("nf4", description="4-bit number format")
    bnb_4bit_use_double_quant: bool = Field(True, description="quantise the quantisation constants too")
    bnb_4bit_compute_dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="dtype to compute in; auto goes by the GPU's capability"
    )


class Prompted(Model):
    """What every notebook that answers questions has."""

    curated: str = Field("02_curate", description="run of 02_curate whose splits are used, below OUT or a path")
    split: Literal["train", "dev", "test"] = Field("test", description="which questions are answered")
    limit: Count = Field(0, description="answer only the first so many questions; 0 = all")
    k: Count = Field(3, le=32, description="number of exemplars in the prompt")
    schema_format: Literal["ddl", "compact"] = Field("ddl", description="how the prompt writes the schema")
    sample_values: Count = Field(0, le=20, description="values shown of each column in the prompt's schema")
    prefill: str = Field("", description="what every answer is made to begin with, such as SELECT")
    max_new_tokens: Positive = Field(160, le=4096, description="length limit of one completion, in tokens")
    batch_size: Positive = Field(32, le=1024, description="questions generated at the same time")


class Replying(Prompted):
    """What notebooks have whose replies are statements."""

    linking: bool = Field(False, description="replies name their tables in a comment before the statement")


class Baseline(Replying):
    """03: few-shot prompting."""

    exemplar_policy: Literal["fixed", "random", "similar"] = Field("fixed", description="how exemplars are chosen")
    same_template: bool = Field(False, description="let exemplars share their question's SQL template")
    n: Positive = Field(1, le=64, description="answers sampled a question; the majority of their results wins")
    temperature: float = Field(
        0.0, ge=0, le=2, validate_default=True, description="temperature of sampling; 0 = greedy, for n = 1 only"
    )
    decoding: Literal["free", "grammar"] = Field("free", description="grammar: only SELECTs over the schema's names")
    self_repair: bool = Field(False, description="show a failed statement its error, and let it be written once more")

    @field_validator("temperature")
    @classmethod
    def _samples_differ(cls, temperature: float, others: ValidationInfo) -> float:
        if others.data.get("n", 1) > 1 and temperature == 0:
            raise ValueError(f"n = {others.data['n']} needs a temperature above 0, or all answers would be the same")
        return temperature


class React(Prompted):
    """04: Thought, Action, Observation."""

    prefill: str = Field("", description="what every step's thought is made to begin with")
    max_steps: Positive = Field(6, le=30, description="actions a question may take at most")
    max_observation_chars: Positive = Field(600, le=20_000, description="length of an observation at most")
    max_trace_tokens: Count = Field(0, description="tokens one question's trace may hold; 0 = no limit")
    max_seconds: float = Field(0.0, ge=0, description="seconds one question may take; 0 = no limit")


class Qlora(Replying):
    """05: train an adapter and answer with it."""

    train_limit: Count = Field(0, description="train on the first so many examples; 0 = all")
    train_k: list[Count] = Field([0, 3], min_length=1, description="numbers of exemplars in training prompts, mixed")
    lora_r: Positive = Field(16, le=512, description="rank of the adapter")
    lora_alpha: Positive = Field(32, description="scale of the adapter; alpha / r multiplies its output")
    lora_dropout: Rate = Field(0.05, description="dropout before the adapter")
    target_modules: list[str] = Field(
        ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        min_length=1,
        description="linear modules that receive an adapter",
    )
    use_rslora: bool = Field(False, description="scale by alpha / sqrt(r) (rsLoRA)")
    use_dora: bool = Field(False, description="learn magnitude and direction apart (DoRA)")
    loraplus_lr_ratio: float = Field(0.0, ge=0, description="learning rate of B over that of A (LoRA+); 0 = off")
    neftune_noise_alpha: float = Field(0.0, ge=0, description="noise on the embeddings (NEFTune); 0 = off")
    gradient_checkpointing: bool = Field(False, description="compute activations anew in the backward pass")
    per_device_train_batch_size: Positive = Field(4, description="rows a forward pass")
    gradient_accumulation_steps: Positive = Field(4, description="forward passes a step")
    learning_rate: float = Field(2e-4, gt=0, le=1, description="peak learning rate")
    max_grad_norm: float = Field(1.0, gt=0, description="norm to which gradients are clipped")
    lr_scheduler_type: str = Field("cosine", description="schedule of the learning rate, by transformers' name")
    warmup_steps: Count = Field(10, description="steps until the peak learning rate")
    max_length: Positive = Field(2048, description="longest training row, in tokens; a longer one is refused")
    num_train_epochs: float = Field(2.0, gt=0, description="passes over the training set")
    max_steps: int = Field(-1, ge=-1, description="steps in all; -1 = by num_train_epochs")
    max_minutes: float = Field(0.0, ge=0, description="training ends at the first checkpoint after these; 0 = no limit")
    save_steps: Positive = Field(50, description="steps between checkpoints, from which a killed run goes on")
    eval_steps: Count = Field(0, description="steps between checkpoints that answer dev; the best is kept; 0 = never")
    eval_limit: Count = Field(0, description="answer the first so many dev questions at a checkpoint; 0 = all")
    early_stopping_patience: Count = Field(0, description="checkpoints without a better EX until it stops; 0 = never")
    merge: bool = Field(False, description="also write the model with the adapter merged in, as safetensors")
    gguf: bool = Field(False, description="also write the merged model as GGUF, by llama.cpp's converter")
    push_to_hub: bool = Field(False, description="upload the adapter to the Hugging Face hub")
    hub_model_id: str = Field("", description="name of the adapter's repository on the hub")


class Evaluate(Source):
    """06: score and compare."""

    curated: str = Field("02_curate", description="run of 02_curate whose questions are the gold, below OUT or a path")
    compare: list[str] = Field(
        ["03_baseline", "04_react", "05_qlora"], min_length=1, description="runs compared, below OUT or paths"
    )
    split: Literal["train", "dev", "test"] = Field("test", description="split the predictions answer")
    max_variants: Count = Field(24, le=1000, description="database variants of the test suite; 0 = no TS")
    testsuite_seconds: float = Field(300.0, gt=0, description="time limit of distilling the test suite")
    jobs: Positive = Field(1, le=1024, description="processes that score")


class Playground(Replying):
    """07: ask."""

    endpoint: str = Field("", description="OpenAI-compatible server offered as a predictor, openai:URL#NAME")


NOTEBOOKS: dict[str, type[Common]] = {
    "01_connect": Connect,
    "02_curate": Curate,
    "03_baseline": Baseline,
    "04_react": React,
    "05_qlora": Qlora,
    "06_evaluate": Evaluate,
    "07_playground": Playground,
}


def notebook_of(parameters: Common) -> str:
    """Return the name of the notebook these parameters belong to."""
    return next(name for name, model in NOTEBOOKS.items() if type(parameters) is model)


def quantisation(parameters: Model) -> dict[str, Any]:
    """Return how the weights are to be loaded, as `models.load` takes it."""
    return {
        "load_in_4bit": parameters.load_in_4bit,
        "bnb_4bit_quant_type": parameters.bnb_4bit_quant_type,
        "bnb_4bit_use_double_quant": parameters.bnb_4bit_use_double_quant,
        "compute_dtype": parameters.bnb_4bit_compute_dtype,
    }


def load(path: str | Path, **overrides: Any) -> Common:
    """Read and check a notebook's YAML file, whose name is the notebook's; `overrides` win over the file.

    Raises ParameterError for a missing or unreadable file and for any value the model refuses.
    """
    path = Path(path)
    if path.stem not in NOTEBOOKS:
        raise ParameterError(f"{path}: no notebook is called {path.stem}; there are {', '.join(NOTEBOOKS)}.")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise ParameterError(f"{path} cannot be read ({error.strerror}): check the profile's folder.") from error
    except yaml.YAMLError as error:
        raise ParameterError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise ParameterError(f"{path} must hold one `name: value` a line, not a {type(values).__name__}.")
    return check(path.stem, {**values, **overrides}, where=str(path))


def read(notebook: str, variables: Mapping[str, Any]) -> Common:
    """Check the parameters among a notebook's variables, usually `globals()`.

    papermill sets whatever it is given, so a misspelt parameter only shows as one more variable: every variable
    with a plain literal value must be a parameter. Once read, its own variables are there too, and a cell that is run
    again is not refused for them. Raises ParameterError.
    """
    model = NOTEBOOKS[notebook]
    again = any(type(value) is model for value in variables.values())
    literal = () if again else (bool, int, float, str, list, dict, type(None))
    values = {
        name: value
        for name, value in variables.items()
        if name in model.model_fields or (type(value) in literal and name[0] != "_" and name not in OTHERS)
    }
    return check(notebook, values, where=notebook)


def check(notebook: str, values: Mapping[str, Any], *, where: str) -> Common:
    """Build a notebook's parameters from `values`, or raise ParameterError naming every fault and `where` it is."""
    try:
        return NOTEBOOKS[notebook](**values)
    except ValidationError as error:
        faults = "; ".join(_fault(notebook, fault) for fault in error.errors())
        raise ParameterError(f"{where}: {faults}.") from None


def _fault(notebook: str, fault: Mapping[str, Any]) -> str:
    name = ".".join(str(part) for part in fault["loc"])
    if fault["type"] != "extra_forbidden":
        return f"{name} = {fault['input']!r}: {fault['msg'][0].lower()}{fault['msg'][1:]}"
    near = difflib.get_close_matches(name, NOTEBOOKS[notebook].model_fields, n=1)
    return f"{notebook} has no parameter {name}" + (f", did you mean {near[0]}?" if near else "")
