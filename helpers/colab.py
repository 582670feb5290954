"""What a notebook's setup cell calls: in Colab, install what the suite needs and the runtime lacks.

>>> install_missing()          # nothing to do outside Colab: the Makefile has made the environment there

Colab comes with torch, numpy, pandas and much more. What meets the lower bound kept in requirements.txt stays, and
the rest is installed under the present versions as constraints, so that nothing loaded is replaced. Standard library
only, as it runs before anything is installed. It has run against a stand-in of Colab, not in Colab itself.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

from helpers import runtime

REQUIREMENTS = Path(__file__).resolve().parent.parent / "requirements.txt"
_LINE = re.compile(r"^(?P<name>[\w.-]+)(?P<extras>\[[\w,]+\])?==(?P<pin>\S+)\s+#\s*>=\s*(?P<low>\S+)")


class SetupError(Exception):
    """Say what the setup cell could not do and what to do instead."""


def install_missing() -> list[str]:
    """Install, in Colab, every requirement that is missing or below its bound; return what was installed.

    Raises SetupError when the installer fails, or when a package that is already loaded was replaced, in which
    case the session has to be restarted before anything else is done.
    """
    if not runtime.is_colab():
        return []
    lines = [match for match in map(_LINE.match, REQUIREMENTS.read_text(encoding="utf-8").splitlines()) if match]
    lacking = [m for m in lines if _older(_installed(m["name"]), m["low"])]
    if not lacking:
        return []
    kept = [f"{m['name']}=={_installed(m['name'])}" for m in lines if m not in lacking]
    before = {m["name"]: _installed(m["name"]) for m in lines}
    wanted = [f"{m['name']}{m['extras'] or ''}=={m['pin']}" for m in lacking]
    _install(wanted, kept)
    changed = [name for name, version in before.items() if _loaded(name) and version != _installed(name)]
    if changed:
        raise SetupError(f"{', '.join(changed)} was loaded and has been replaced: restart the session, then run on.")
    return wanted


def _install(wanted: list[str], constraints: list[str]) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(constraints))
        file.flush()
        uv = shutil.which("uv")
        installer = (
            [uv, "pip", "install", "--python", sys.executable] if uv else [sys.executable, "-m", "pip", "install"]
        )
        done = subprocess.run(
            [*installer, "--quiet", "--constraint", file.name, *wanted], capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise SetupError(f"Installing {', '.join(wanted)} failed: {done.stderr.strip().splitlines()[-1]}")


def _installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _older(version: str, low: str) -> bool:
    return not version or _numbers(version) < _numbers(low)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.match(r"[\d.]*\d", version).group().split("."))


def _loaded(name: str) -> bool:
    return name.lower().replace("-", "_") in sys.modules
