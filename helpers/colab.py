"""What a notebook's setup cell calls: in Colab, install what the suite needs and the runtime lacks.

>>> install_missing()          # nothing to do outside Colab: the Makefile has made the environment there
[]

Colab comes with torch, numpy, pandas and much more. What meets the lower bound kept in requirements.txt stays, and
the rest is installed under the present versions as constraints, so that nothing loaded is replaced. Standard library
only, as it runs before anything is installed. It has run against a stand-in of Colab, not in Colab itself.
"""

import importlib
import logging
import re
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

from helpers import runtime

log = logging.getLogger(__name__)

REQUIREMENTS = Path(__file__).resolve().parent.parent / "requirements.txt"
# What the kernel itself runs on, and what must go with the runtime's torch: replaced, a session does not come back.
UNTOUCHED = ("ipykernel", "ipython", "ipywidgets", "jupyter-client", "pyzmq", "tornado", "traitlets", "pillow",
             "torchvision", "torchaudio")
_LINE = re.compile(r"^(?P<name>[\w.-]+)(?P<extras>\[[\w,]+\])?==(?P<pin>\S+)\s+#\s*>=\s*(?P<low>\S+)")


class SetupError(Exception):
    """Say what the setup cell could not do and what to do instead."""


def install_missing() -> list[str]:
    """Install, in Colab, every requirement that is missing or below its bound; return what was installed.

    Raises SetupError when the installer fails, or when a package of which something is loaded was replaced, in
    which case the session has to be restarted before anything else is done.
    """
    if not runtime.is_colab():
        return []
    before = versions()
    lines = [match for match in map(_LINE.match, REQUIREMENTS.read_text(encoding="utf-8").splitlines()) if match]
    lacking = [line for line in lines if _older(before.get(_key(line["name"]), ""), line["low"])]
    if not lacking:
        return []
    present = [line["name"] for line in lines if line not in lacking] + [name for name in UNTOUCHED if name in before]
    wanted = [f"{line['name']}{line['extras'] or ''}=={line['pin']}" for line in lacking]
    _install(wanted, list(dict.fromkeys(f"{name}=={before[_key(name)]}" for name in present)))
    importlib.invalidate_caches()
    after = versions()
    replaced = [name for name, version in before.items() if after.get(name) != version and is_loaded(name)]
    if replaced:
        raise SetupError(f"{', '.join(replaced)} was loaded and has been replaced: choose Runtime > Restart session, "
                         "then run this notebook from its first cell; nothing will be installed again.")
    return wanted


def versions() -> dict[str, str]:
    """Return the version of every installed distribution by its normalised name, as an import would find it."""
    found = {}
    for distribution in metadata.distributions():
        if distribution.name:  # what an interrupted installation left behind has none
            found.setdefault(_key(distribution.name), distribution.version)
    return found


def is_loaded(name: str) -> bool:
    """Tell whether this process has imported a file of the distribution.

    By file, not by name: PyYAML is imported as `yaml`, and `google` belongs to dozens of distributions.
    """
    loaded = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    try:
        return any(str(file.locate()) in loaded for file in metadata.files(name) or ())
    except metadata.PackageNotFoundError:
        return False


def _install(wanted: list[str], constraints: list[str]) -> None:
    """Install by uv, which Colab holds and which is many times quicker, else by pip."""
    runtime.show_log()
    log.info("Installing %s; what is here already stays.", ", ".join(wanted))
    uv = shutil.which("uv")
    installer = [uv, "pip", "install", "--python", sys.executable] if uv else [sys.executable, "-m", "pip", "install"]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "constraints.txt"
        file.write_text("\n".join(constraints), encoding="utf-8")
        command = [*installer, "--quiet", "--constraint", str(file), *wanted]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = " ".join(done.stderr.split("\n")[-4:]).strip() or f"exit code {done.returncode}"
        raise SetupError(f"Installing {', '.join(wanted)} failed: check the network and run this cell again ({said}).")


def _key(name: str) -> str:
    """Normalise a distribution's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _older(version: str, low: str) -> bool:
    return not version or _numbers(version) < _numbers(low)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.match(r"[\d.]*\d", version).group().split("."))
