"""A language model's weights and tokenizer, from a folder or the hub, whole or in 4 bits, with an adapter.

>>> module, tokenizer = load("meta-llama/Meta-Llama-3-8B-Instruct", dtype="float16")
ModelError: meta-llama/Meta-Llama-3-8B-Instruct is gated: accept its licence on its model page and set
HF_TOKEN.

What the hub, transformers, bitsandbytes and peft raise becomes one sentence with the remedy. HF_TOKEN is found by
huggingface_hub itself: in the environment, among Colab's secrets, in its own token file. Device maps,
fp16 on a T4 and CUDA's 4-bit kernels are written by the libraries' documentation and have not run on a GPU.
"""

from pathlib import Path

from helpers import runtime
from helpers.completion import ModelError

# Tokens that end a turn in common chat formats, whatever a repository's generation config forgot to list.
TURN_ENDS = ("<|eot_id|>", "<|end_of_text|>", "<|im_end|>", "<|endoftext|>", "<|end|>", "<end_of_turn>")
# Tokens that no text holds, first choice first. A pad token that ends turns would be masked out of a loss.
PADS = ("<|finetune_right_pad_id|>", "<|reserved_special_token_0|>", "<|endoftext|>", "<pad>", "<unk>")


def load(model_id: str, *, dtype: str, device: str = "auto", revision: str = "", quantisation=None):
    """Return the torch module in `dtype` and its tokenizer; raise ModelError for what cannot be loaded."""
    options = {"revision": revision} if revision else {}
    _quieten()
    try:
        tokenizer = _tokenizer(model_id, options)
        options["quantization_config"] = quantisation
        return _module(model_id, dtype, device, options), tokenizer
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        raise ModelError(f"{model_id} {_remedy(error)}.") from error


def four_bit(quant_type: str, double_quant: bool, dtype: str):
    """Describe 4-bit loading for transformers; raise ModelError where bitsandbytes cannot be imported."""
    import torch
    from transformers import BitsAndBytesConfig

    try:
        import bitsandbytes  # noqa: F401  (transformers would report it missing only after the download)
    except (ImportError, RuntimeError) as error:
        raise ModelError("4-bit loading needs bitsandbytes, which does not import here "
                         f"({_first_line(error)}): reinstall it for this machine, or set load_in_4bit to "
                         "false.") from error
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type=quant_type,
                              bnb_4bit_use_double_quant=double_quant,
                              bnb_4bit_compute_dtype=getattr(torch, dtype))


def with_adapter(module, folder: Path, name: str = "default"):
    """Put the LoRA adapter in `folder` on `module`, as `name` and beside those that it has already."""
    from peft import PeftModel

    if not (folder / "adapter_config.json").is_file():
        raise ModelError(f"{folder} holds no adapter (no adapter_config.json): give the `adapter` folder of "
                         "a fine-tuning run.")
    try:
        if isinstance(module, PeftModel):
            module.load_adapter(str(folder), adapter_name=name)
            return module
        return PeftModel.from_pretrained(module, str(folder), adapter_name=name)
    except (RuntimeError, ValueError, OSError) as error:
        raise ModelError(f"The adapter in {folder} does not fit {module.config._name_or_path} "
                         f"({_first_line(error)}): load the base model it was trained on.") from error


def stop_ids(module, tokenizer) -> frozenset[int]:
    """Collect the ids that end a turn: the generation config's, the tokenizer's, and known ones it holds."""
    listed = module.generation_config.eos_token_id
    listed = [listed] if isinstance(listed, int) else listed or []
    known = tokenizer.get_vocab()
    ends = [*listed, tokenizer.eos_token_id, *(known[end] for end in TURN_ENDS if end in known)]
    return frozenset(end for end in ends if end is not None)


def packed_for_inference(module) -> bool:
    """Tell whether a 4-bit layer has been repacked for inference on a CPU, so that its gradients are wrong.

    `module` is the torch module. bitsandbytes repacks at the first forward pass without gradients in eval
    mode, and `train()` does not undo it: load the model anew before training.
    """
    states = (getattr(getattr(layer, "weight", None), "quant_state", None) for layer in module.modules())
    return any(getattr(state, "packing_format_for_cpu", False) for state in states)


def _tokenizer(source: str, options: dict):
    """Load the tokenizer, padding on the left with a token that ends no turn."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(source, **options)
    if tokenizer.pad_token in (None, tokenizer.eos_token):
        known = tokenizer.get_vocab()
        tokenizer.pad_token = next((pad for pad in PADS if pad in known and pad != tokenizer.eos_token),
                                   tokenizer.eos_token)
    tokenizer.padding_side = "left"
    return tokenizer


def _module(source: str, dtype: str, device: str, options: dict):
    import torch
    from transformers import AutoModelForCausalLM

    place = device if device != "auto" else "auto" if torch.cuda.is_available() else "cpu"
    options = {**options, "dtype": getattr(torch, dtype), "device_map": place}
    return AutoModelForCausalLM.from_pretrained(source, **options)


def _quieten() -> None:
    """Let transformers and the hub show no bars where nobody watches: a notebook would keep them as widget state."""
    from transformers.utils import logging

    if not runtime.is_interactive():
        logging.disable_progress_bar()


def _remedy(error: Exception) -> str:
    """Say in words what the hub or transformers meant, and what to do."""
    causes, said = _causes(error), str(error)
    if "GatedRepoError" in causes or "gated repo" in said:
        return "is gated: accept its licence on its model page and set HF_TOKEN"
    if causes & {"LocalEntryNotFoundError", "OfflineModeIsEnabled", "ConnectError", "ConnectionError"}:
        return 'could not be fetched from the hub: check the network, or use "bundled"'
    if "RepositoryNotFoundError" in causes or "is not a valid model identifier" in said:
        return "is neither a folder nor on the hub: check its spelling, and set HF_TOKEN if it is private"
    if "out of memory" in said:
        return "does not fit in memory: set load_in_4bit, or choose a smaller model"
    return f"could not be loaded ({_first_line(error)}): check that the folder or revision is complete"


def _causes(error: BaseException | None) -> set[str]:
    """Return the class names, bases included, of an error and of everything that led to it."""
    names = set()
    while error is not None:
        names |= {base.__name__ for base in type(error).__mro__}
        error = error.__cause__ or error.__context__
    return names


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".:")
