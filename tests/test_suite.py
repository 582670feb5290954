"""The suite through papermill: order, overrides, sweeps, failures, and going on after a kill."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from helpers import params, runs, suite

DEMO = Path("params/demo")
QUESTIONS = Path("tests/fixtures/suite/questions.jsonl")


def command(out, *words):
    return [sys.executable, "-m", "helpers.suite", "params/demo", "--out", str(out), *words]


def run(out, *words):
    return subprocess.run(command(out, *words), capture_output=True, text=True, check=False)


def plan(**words):
    return suite.plan(DEMO, **words)


def test_a_profile_is_planned_in_order_and_without_the_playground():
    assert [params.notebook_of(p) for p in plan()] == list(suite.HEADLESS)


def test_settings_reach_the_notebooks_that_have_them():
    planned = {
        params.notebook_of(p): p for p in plan(settings=["k=1", "04_react.limit=3", "train_k=[0, 2]"], out="outputs/x")
    }
    assert planned["03_baseline"].k == planned["04_react"].k == 1
    assert (planned["04_react"].limit, planned["03_baseline"].limit) == (
        3,
        params.load(DEMO / "03_baseline.yaml").limit,
    )
    assert planned["05_qlora"].train_k == [0, 2] and all(p.out == "outputs/x" for p in planned.values())


def test_a_sweep_makes_a_variant_of_each_combination():
    planned = plan(only=["02_curate", "03_baseline"], sweep=["seed=7,17", "k=0,3"])
    assert [p.variant for p in planned] == [
        "seed=7",
        "seed=17",
        "seed=7,k=0",
        "seed=7,k=3",
        "seed=17,k=0",
        "seed=17,k=3",
    ]
    assert planned[3].k == 3 and planned[3].seed == 7


@pytest.mark.parametrize(
    "words, said",
    [
        ({"only": ["3_baseline"]}, "No notebook is called 3_baseline"),
        ({"settings": ["kk=3"]}, "has a parameter kk"),
        ({"settings": ["k=-1"]}, "k = -1"),
        ({"settings": ["k"]}, "not of the form name=value"),
        ({"sweep": ["03_baseline.learning_rate=1,2"]}, "has a parameter 03_baseline.learning_rate"),
    ],
)
def test_a_wrong_request_is_refused_before_anything_runs(words, said):
    with pytest.raises(params.ParameterError, match=said):
        plan(**words)


@pytest.mark.parametrize("profile", ["params/dmo", "helpers"])
def test_a_wrong_profile_is_one_sentence_and_a_non_zero_exit(profile):
    done = subprocess.run([sys.executable, "-m", "helpers.suite", profile], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "is no profile: give a folder under params/" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_missing_upstream_run_is_one_sentence_and_a_failed_run(tmp_path):
    done = run(tmp_path, "--only", "03_baseline")
    assert done.returncode == 1
    assert (
        "03_baseline failed: RunError:" in done.stderr
        and "02_curate is not a finished run: run 02_curate first" in done.stderr
    )
    assert runs.status(tmp_path / "03_baseline") == "failed"
    assert (tmp_path / "03_baseline" / "notebook.ipynb").exists()


def test_a_notebook_that_fails_half_way_keeps_what_was_written(tmp_path):
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"nlq": "How many?", "sql": "SELECT COUNT(*) FROM nowhere"}\n')
    done = run(tmp_path, "--only", "01_connect", "02_curate", "--set", f"questions={bad}")
    assert done.returncode == 1 and "q0001 (Table 'classicmodels.nowhere' doesn't exist)" in done.stderr
    assert runs.status(tmp_path / "01_connect") == "finished"
    folder = tmp_path / "02_curate"
    assert runs.status(folder) == "failed" and "q0001" in json.loads((folder / "metrics.json").read_text())["error"]
    assert (folder / "config.yaml").exists()


def test_finished_work_is_not_done_again(tmp_path):
    assert run(tmp_path, "--only", "01_connect").returncode == 0
    before = (tmp_path / "01_connect" / "notebook.ipynb").stat().st_mtime_ns
    again = run(tmp_path, "--only", "01_connect")
    assert "finished before" in again.stdout
    assert (tmp_path / "01_connect" / "notebook.ipynb").stat().st_mtime_ns == before


def test_killed_and_started_again_it_ends_as_if_undisturbed(tmp_path):
    words = [
        "--only",
        "02_curate",
        "03_baseline",
        "--set",
        f"questions={QUESTIONS}",
        "limit=6",
        "k=0",
        "max_new_tokens=12",
        "batch_size=2",
    ]
    calm = tmp_path / "calm"
    assert run(calm, *words).returncode == 0
    expected = (calm / "03_baseline" / "predictions.jsonl").read_bytes()
    assert expected.count(b"\n") == 6

    killed = tmp_path / "killed"
    journal = killed / "03_baseline" / "predictions.jsonl"
    process = subprocess.Popen(command(killed, *words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not (journal.exists() and journal.stat().st_size) and process.poll() is None and time.monotonic() < deadline:
        os.sched_yield()
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for member in family:
        member.kill()
    process.wait()
    psutil.wait_procs(family, timeout=30)
    kept = journal.read_bytes()
    assert 0 < kept.count(b"\n") < 6, "the run was to be killed while it was answering"

    assert run(killed, *words).returncode == 0
    assert journal.read_bytes() == expected
    assert set(kept.splitlines()[:-1]) <= set(expected.splitlines())
