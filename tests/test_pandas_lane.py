"""The suite's own code with what Colab holds: pandas 2.2, numpy 2.0, matplotlib 3.10, and no torch at all."""

import os
import subprocess
from pathlib import Path

import pytest

from tests import colab_runtime
from tests.conftest import require

FILES = ("dataset", "evaluate", "comparison", "intervals", "error_classes", "report", "runs", "params", "tables", "fit")
ELSEWHERE = "lane or near_misses or killed"  # nothing of pandas in them, and slow


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """Return a python that sees Colab's versions first, this environment's packages second, and no torch."""
    try:
        held = colab_runtime.older()
    except subprocess.CalledProcessError as error:
        require(False, f"no environment with older packages could be built: {error}")
    hidden = tmp_path_factory.mktemp("hidden")
    for name in ("torch", "transformers", "peft"):
        (hidden / f"{name}.py").write_text(f"raise ModuleNotFoundError('no {name} here', name='{name}')\n")
    return colab_runtime.layer(tmp_path_factory.mktemp("lane"), hidden, held, colab_runtime.site_packages())


def test_the_versions_are_the_older_ones(python):
    shown = "import numpy, pandas, matplotlib; print(numpy.__version__, pandas.__version__, matplotlib.__version__)"
    done = subprocess.run([python, "-c", shown], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2.0.2", "2.2.2", "3.10.0"]


def test_what_needs_no_torch_passes(python):
    files = [f"tests/test_{name}.py" for name in FILES]
    environment = os.environ | {"REQUIRE_ALL": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([python, "-m", "pytest", "-n", "0", "-k", f"not ({ELSEWHERE})", *files], env=environment,
                          capture_output=True, text=True, check=False, cwd=Path.cwd())
    assert done.returncode == 0, done.stdout[-6000:]
