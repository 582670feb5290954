"""Where am I: dtype, seeds, progress, hardware. Secrets have a file of their own."""

import logging
import random
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import runtime


@pytest.mark.parametrize(
    "requested, capability, chosen",
    [
        ("auto", None, "float32"),
        ("auto", (7, 5), "float16"),
        ("auto", (8, 0), "bfloat16"),
        ("auto", (9, 0), "bfloat16"),
        ("float16", None, "float16"),
        ("bfloat16", (7, 5), "bfloat16"),
    ],
)
def test_the_dtype_goes_by_the_gpus_capability(monkeypatch, requested, capability, chosen):
    monkeypatch.setattr(runtime, "_gpu", lambda: {"capability": list(capability)} if capability else None)
    assert runtime.compute_dtype(requested) == chosen


def test_a_seed_reaches_python_numpy_and_torch():
    import numpy
    import torch

    def draw():
        runtime.seed_everything(11)
        return random.random(), numpy.random.rand(), torch.rand(1).item()

    assert draw() == draw()


def test_the_machine_is_described():
    found = runtime.hardware()
    assert found["cores"] >= 1 and found["ram_gb"] > 0 and found["cpu"]
    assert runtime.packages()["sqlglot"] and runtime.peak_memory()["peak_rss_mb"] > 1


def test_headless_progress_is_a_line_now_and_then(monkeypatch, caplog):
    clock = iter([0.0, *[n * 10.0 for n in range(1, 11)]])
    monkeypatch.setattr(runtime.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(runtime, "is_interactive", lambda: False)
    with caplog.at_level(logging.INFO, logger="helpers"):
        assert list(runtime.progress(range(10), label="rows")) == list(range(10))
    assert [record.getMessage() for record in caplog.records] == [
        "rows: 3 of 10 in 30 s",
        "rows: 6 of 10 in 60 s",
        "rows: 9 of 10 in 90 s",
        "rows: 10 of 10 in 100 s",
    ]


def test_a_person_sees_a_bar(monkeypatch, capsys):
    monkeypatch.setattr(runtime, "is_interactive", lambda: True)
    assert list(runtime.progress([1, 2], label="rows")) == [1, 2]
    assert "rows" in capsys.readouterr().err


@pytest.mark.parametrize("variable", ["CI", "NO_PROMPT"])
def test_nobody_is_asked_in_ci(monkeypatch, variable):
    monkeypatch.setenv(variable, "1")
    assert not runtime.is_interactive()


def test_rooms_import_without_the_heavy_libraries():
    rooms = "database, runs, prompts, react, evaluate, report, playground, suite"
    heavy = "{'torch', 'transformers', 'trl', 'pandas', 'matplotlib', 'scipy', 'sqlalchemy', 'IPython'}"
    script = f"import sys; from helpers import {rooms}; found = {heavy} & set(sys.modules); assert not found, found"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc can be asked to give memory back")
def test_memory_that_is_no_longer_used_goes_back():
    """Blocks of which every hundredth lives on: what lies between them stays with the process until it is asked."""
    script = """if True:
        import gc, psutil
        from helpers import runtime
        resident = lambda: psutil.Process().memory_info().rss / 2**20
        blocks = [b"x" * 20_000 for _ in range(15_000)]
        full, kept = resident(), blocks[::100]
        del blocks
        gc.collect()
        held = resident()
        runtime.give_back_memory()
        assert full - held < 50 and held - resident() > 200, (full, held, resident())
    """
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc can be asked to keep memory")
def test_memory_that_is_asked_for_again_is_kept_and_given_back_in_the_end():
    """Pages that the system hands out anew are counted as minor faults, one for each 4 kB."""
    script = """if True:
        import psutil, resource
        from helpers import runtime
        faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        def again():
            before = faults()
            len(b"x" * 2**26)
            return faults() - before
        resident = psutil.Process().memory_info().rss
        usual = [again(), again()]
        with runtime.keeping_memory():
            kept = [again(), again()]
        assert min(*usual, kept[0]) > 10_000 and kept[1] < 100 and again() > 10_000, (usual, kept)
        assert psutil.Process().memory_info().rss - resident < 2**24
    """
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def huge_pages() -> str:
    path = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    return path.read_text() if path.exists() else "[never]"


@pytest.mark.skipif("[never]" in huge_pages(), reason="this system has no huge pages to give")
def test_memory_that_is_kept_comes_in_huge_pages():
    script = """if True:
        import re
        from pathlib import Path
        from helpers import runtime
        huge = lambda: int(re.search(r"AnonHugePages: +([0-9]+)", Path("/proc/self/smaps_rollup").read_text())[1])
        with runtime.keeping_memory(size=2**28):
            before, block = huge(), b"x" * 2**26
            assert huge() - before > 2**15, (before, huge())  # in kB: half of the block at least
    """
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
