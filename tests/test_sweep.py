"""A sweep in shared kernels: killed and started again, with a variant that fails, it leaves what plain runs leave."""

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from helpers import kernels, params, runs, suite
from tests import tiny_model

QUESTIONS = Path("tests/fixtures/suite/questions.jsonl")
DEMO = Path("params/demo")


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A sweep over k that was killed in the middle and started again; k=30 fails, since the pool is smaller."""
    folder = tmp_path_factory.mktemp("swept")
    out = curated(folder / "suite")
    model = tiny_model.save(folder / "tiny")
    words = ["--only", "03_baseline", "--out", str(out), "--sweep", "k=0,1,30,2,3", "--set", f"model_id={model}"]
    words += ["limit=3", "max_new_tokens=6", "batch_size=1", "schema_format=compact"]
    command = [sys.executable, "-m", "helpers.suite", str(DEMO), *words]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    kill_when(first, out / "03_baseline" / "k=1" / "predictions.jsonl")
    left = {path.parent.name: path.read_text() for path in out.glob("03_baseline/*/status")}
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    return out / "03_baseline", left, again


def curated(out):
    """Write what 02_curate leaves and 03_baseline reads, without the notebook."""
    run = runs.start(params.check("02_curate", {"out": str(out)}, where="test"))
    rows = [row | {"id": f"q{n}"} for n, row in enumerate(runs.read_rows(QUESTIONS))]
    for name, part in (("train", rows[8:]), ("dev", rows[4:8]), ("test", rows[:4])):
        run.write(f"{name}.jsonl", "".join(runs.to_line(row | {"split": name}) for row in part))
    run.finish()
    return out


def kill_when(process, journal):
    """Kill a suite and its kernel, as kill -9 does, when the journal holds a row."""
    while process.poll() is None and not (journal.exists() and journal.stat().st_size):
        try:
            process.wait(0.02)
        except subprocess.TimeoutExpired:
            continue
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for member in family:
        member.kill()
    process.wait()
    psutil.wait_procs(family, timeout=30)


def metrics(folder):
    return json.loads((folder / "metrics.json").read_text())


def test_a_sweep_that_is_killed_goes_on_with_what_is_left(swept):
    folder, left, again = swept
    assert left["k=0"] == "finished" and len(left) < 5, "the sweep was to be killed in the middle"
    assert f"{folder / 'k=0'}: finished before" in again.stdout
    states = {path.name: runs.status(path) for path in sorted(folder.iterdir())}
    assert states == {"k=0": "finished", "k=1": "finished", "k=2": "finished", "k=3": "finished", "k=30": "failed"}


def test_a_variant_that_fails_is_named_and_does_not_stop_the_others(swept):
    _, _, again = swept
    assert again.returncode == 1
    assert again.stderr.count("03_baseline failed:") == 1 and "k=30" in again.stderr


def test_the_model_is_loaded_once_a_kernel_and_the_metrics_say_so(swept):
    folder, _, _ = swept
    assert metrics(folder / "k=3")["model_reused"] is True
    assert metrics(folder / "k=2")["model_reused"] is False, "the kernel before it ended with the variant that failed"


def test_each_variants_notebook_is_that_of_a_process_of_its_own(swept):
    folder, _, _ = swept
    for name in ("k=2", "k=3"):
        cells = json.loads((folder / name / "notebook.ipynb").read_text())["cells"]
        counts = [cell["execution_count"] for cell in cells if cell["cell_type"] == "code"]
        assert counts == list(range(1, len(counts) + 1))
        assert f"k = {name[-1]}" in "".join("".join(cell["source"]) for cell in cells)
        assert "model_cache" not in json.dumps(cells)


def test_a_variant_with_a_reused_model_is_reproduced_by_a_run_of_its_own(swept):
    """`--reproduce` runs plain papermill with one kernel a run: the same bytes, and every field that decides."""
    folder, _, _ = swept
    command = [sys.executable, "-m", "helpers.suite", "--reproduce", str(folder / "k=3")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    again = folder.parent.with_name("suite-reproduced") / "03_baseline" / "k=3"
    assert done.returncode == 0, done.stdout + done.stderr
    assert (again / "predictions.jsonl").read_bytes() == (folder / "k=3" / "predictions.jsonl").read_bytes()
    assert "model_reused" not in metrics(again)
    told = json.loads((again / "reproduction.json").read_text())
    names = {field["name"] for field in told["fields"] if field["kind"] == "decides"}
    assert told["reproduced"] and not told["drifted"]
    assert {"data: questions", "data: train", "schema hash", "prompt template hash"} <= names
    assert {"predictions", "score: va", "score: ex"} <= names
    assert "3 of 3 equal" in done.stdout and "Reproduced: all" in done.stdout

    once_more = subprocess.run(command, capture_output=True, text=True, check=False)
    assert once_more.returncode == 0 and "finished before" in once_more.stdout


@pytest.mark.parametrize(
    "notebook, shares",
    [("01_connect", False), ("02_curate", False), ("03_baseline", True), ("04_react", True), ("05_qlora", False)],
)
def test_only_runs_that_ask_a_model_and_do_not_train_it_share_a_kernel(notebook, shares):
    assert kernels.may_share(params.check(notebook, {}, where="test")) is shares


def test_variants_of_a_training_get_a_process_each(monkeypatch, tmp_path):
    shared, alone = [], []
    monkeypatch.setattr(kernels, "one_kernel", lambda: shared.append(1))
    monkeypatch.setattr(kernels, "execute", lambda parameters: alone.append(parameters.variant))
    planned = suite.plan(DEMO, only=["05_qlora"], sweep=["seed=7,17"], out=str(tmp_path))
    suite.run(planned)
    assert alone == ["seed=7", "seed=17"] and not shared


