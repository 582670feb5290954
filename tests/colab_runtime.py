"""A stand-in for Colab's runtime: a virtual environment with the versions Colab holds, and no torch.

>>> python = layer(tmp_path / "runtime", older(), claimed=True)       # a fresh session on top of it
>>> python = layer(tmp_path / "lane", older(), site_packages())       # the same versions, the rest from this .venv

The environment is built once by pip and kept in the suite's cache under a hash of its list. A layer is a virtual
environment that sees another's packages behind its own and is all that an installation in it can change.
"""

import fcntl
import hashlib
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

from helpers import runtime

HELD = """
pandas==2.2.2 numpy==2.0.2 scipy==1.16.3 statsmodels==0.14.6 matplotlib==3.10.0 pydantic==2.12.3 PyYAML==6.0.3
psutil==5.9.5 SQLAlchemy==2.0.44 Jinja2==3.1.6 ipython==7.34.0 ipykernel==6.17.1 jupyter-client==7.4.9
""".split()
# What Colab holds, or a model needs, and no CPU notebook imports: only their names and versions are there.
CLAIMED = """
torch transformers tokenizers accelerate bitsandbytes peft trl datasets huggingface_hub gguf safetensors llguidance
openai cloud-sql-python-connector google-cloud-secret-manager cryptography papermill jupytext ipywidgets nbconvert
tenacity joblib tqdm
""".split()


def older() -> Path:
    """Return the site-packages of the environment with HELD; raise CalledProcessError if pip cannot build it."""
    digest = hashlib.sha256(" ".join([sys.version, *HELD]).encode()).hexdigest()[:8]
    folder = runtime.cache_dir() / f"colab-{digest}"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two workers want it at the same time
        if not (folder / "installed").exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
            install = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", *HELD]
            subprocess.run(install, check=True, capture_output=True)
            (folder / "installed").touch()
    return folder / _below(folder)


def layer(folder: Path, *below: Path, claimed: bool = False) -> Path:
    """Make a virtual environment over the site-packages `below`, with Colab's stand-in; return its python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    names = folder / "claimed"
    for line in re.findall(r"^([\w.-]+)(?:\[\w+\])?==(\S+)", Path("requirements.txt").read_text(), re.M):
        if claimed and line[0] in CLAIMED:
            (names / f"{line[0].replace('-', '_')}-{line[1]}.dist-info").mkdir(parents=True)
            text = f"Metadata-Version: 2.1\nName: {line[0]}\nVersion: {line[1]}\n"
            (names / f"{line[0].replace('-', '_')}-{line[1]}.dist-info" / "METADATA").write_text(text)
    paths = [Path("tests/colab_standin").resolve(), names, *below]
    (folder / _below(folder) / "below.pth").write_text("\n".join(map(str, paths)))
    return folder / "bin" / "python"


def site_packages() -> Path:
    """Return where the packages of this process are."""
    return Path(sysconfig.get_path("purelib"))


def _below(folder: Path) -> Path:
    return Path(sysconfig.get_path("purelib", "venv", {"base": str(folder)})).relative_to(folder)
