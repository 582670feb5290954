"""An adapter in other forms: merged into its base, as GGUF for llama.cpp, and in a repository on the hub.

    RUN/merged/        the whole model as safetensors, config and tokenizer: loads like any model
    RUN/merged.gguf    the same by llama.cpp's converter, found on PATH or in the folder $LLAMA_CPP
    the hub            adapter/ with its card, into the private repository `hub_model_id`

>>> export.refuse(params)                   # before training: what is missing for what `params` ask for
>>> export.write(params, run.folder)        # after it
{'merged': 'outputs/cpu/05_qlora/merged'}

The adapter is merged into a dense copy of the base on the CPU, which takes the base's size in RAM; the merged model
answers as the adapter does on that dense base, and as a 4-bit base wearing it does but for the quantisation. Only
`push_to_hub` sends anything anywhere. It knows neither training nor scores.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from helpers import adapter_card, models, runtime
from helpers.params import Qlora

CONVERTER = "convert_hf_to_gguf.py"


class ExportError(Exception):
    """Say in one sentence what is missing for an export, and the remedy."""


def refuse(params: Qlora) -> None:
    """Raise ExportError, before anything is trained, if something is missing for what the parameters ask for."""
    if params.gguf:
        converter()
    if params.push_to_hub and not params.hub_model_id:
        raise ExportError("push_to_hub needs hub_model_id: set it to user/name.")
    if params.push_to_hub:
        _token()


def write(params: Qlora, folder: Path) -> dict[str, str]:
    """Export the adapter of a run folder in every form the parameters ask for; return what went where."""
    adapter, made = folder / "adapter", {}
    if params.merge:
        made["merged"] = str(merge(params, adapter, folder / "merged"))
    if params.gguf and params.merge:
        made["gguf"] = str(gguf(folder / "merged", folder / "merged.gguf"))
    elif params.gguf:
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            made["gguf"] = str(gguf(merge(params, adapter, Path(scratch)), folder / "merged.gguf"))
    if params.push_to_hub:
        made["hub"] = push(adapter, params.hub_model_id)
    return made


def merge(params: Qlora, adapter: Path, target: Path) -> Path:
    """Merge the adapter into a dense copy of its base and save that, as safetensors, with the tokenizer."""
    model = models.load(params.model_id, adapter=adapter, compute_dtype=params.bnb_4bit_compute_dtype, device="cpu")
    model.model.merge_and_unload().save_pretrained(target)
    model.tokenizer.save_pretrained(target)
    return target


def gguf(merged: Path, target: Path) -> Path:
    """Convert a model's folder to one GGUF file; raises ExportError with what the converter said last."""
    command = [sys.executable, str(converter()), str(merged), "--outfile", str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not target.exists():
        said = (done.stderr or done.stdout).strip().splitlines() or ["nothing"]
        raise ExportError(f"{CONVERTER} could not convert {merged} (it said: {said[-1]}): update llama.cpp and its "
                          "requirements, or set gguf to false.")
    return target


def converter() -> Path:
    """Find llama.cpp's converter in $LLAMA_CPP or on PATH; raises ExportError if it is nowhere."""
    folder = os.environ.get("LLAMA_CPP", "")
    found = Path(folder) / CONVERTER if folder else Path(shutil.which(CONVERTER, mode=os.F_OK) or "")
    if not found.is_file():
        raise ExportError(f"gguf needs llama.cpp's {CONVERTER}, which is not here: clone llama.cpp and set "
                          "LLAMA_CPP to its folder, or set gguf to false.")
    return found


def push(adapter: Path, repository: str) -> str:
    """Upload the adapter and its card to a repository on the hub, made private if it is new; return its address."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api = HfApi(token=_token())
    try:
        address = api.create_repo(repository, private=True, exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=adapter, allow_patterns=adapter_card.FILES)
    except HfHubHTTPError as error:
        reason = str(error).strip().splitlines()[0]
        raise ExportError(f"{repository} could not be written on the hub ({reason}): check hub_model_id and that "
                          "HF_TOKEN may write.") from error
    return str(address)


def _token() -> str:
    """Return the token, by the hub's own order first, so that `hf auth login` is enough."""
    from huggingface_hub import get_token

    try:
        return get_token() or runtime.secret("HF_TOKEN")
    except runtime.SecretMissing as error:
        raise ExportError(f"push_to_hub needs a token that may write: {error}") from error
