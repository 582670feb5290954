"""Run folders: nothing is lost, nothing is done twice, nothing is mixed up."""

import json
import subprocess
import sys
from dataclasses import dataclass

import pytest
import yaml

from helpers import journal, params, runs
from helpers.runs import Prediction, RunError


@dataclass(frozen=True)
class Question:
    id: str


QUESTIONS = [Question(f"q{n}") for n in range(4)]


def given(tmp_path, **values):
    return params.check("03_baseline", {"out": str(tmp_path / "suite"), **values}, where="test")


def reopened(parameters):
    """Start a run as a new process would."""
    for handle in runs._locks.values():
        handle.close()
    runs._locks.clear()
    return runs.start(parameters)


def test_a_run_folder_holds_what_the_contract_names(tmp_path):
    run = runs.start(given(tmp_path))
    questions = tmp_path / "test.jsonl"
    questions.write_text("{}")
    run.depends(schema="abc", questions=questions)
    run.record(Prediction("q0", sql="SELECT 1", seconds=0.5))
    folder = run.finish({"va": 0.5})

    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["params"]["k"] == 3 and config["inputs"]["schema"] == {"value": "abc"}
    assert config["inputs"]["questions"]["sha256"] == runs.sha256(questions)
    assert len(config["config_hash"]) == 64 and {"git_commit", "git_dirty"} <= set(config)
    environment = json.loads((folder / "env.json").read_text())
    assert {"python", "packages", "cpu", "cores", "ram_gb", "gpu"} <= set(environment)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["va"] == 0.5 and {"runtime_s", "peak_rss_mb", "peak_vram_mb"} <= set(metrics)
    assert (folder / "status").read_text() == "finished"
    logbook = (tmp_path / "LOGBOOK.md").read_text().splitlines()
    assert logbook[0].startswith("| date | run | model | GPU") and "| 0.500 |" in logbook[2]


def test_predictions_carry_no_time_but_are_read_with_theirs(tmp_path):
    run = runs.start(given(tmp_path))
    run.record(Prediction("q0", sql="SELECT 1", seconds=1.25))
    run.finish()
    assert "seconds" not in (run.folder / "predictions.jsonl").read_text()
    assert runs.predictions(run.folder)[0].seconds == 1.25


def test_a_reopened_run_skips_what_is_answered_and_cuts_off_half_a_line(tmp_path):
    run = runs.start(given(tmp_path))
    run.record(Prediction("q1", sql="SELECT 1"))
    with (run.folder / "predictions.jsonl").open("a") as file:
        file.write('{"example_id": "q2", "sq')
    again = reopened(given(tmp_path))
    assert [q.id for q in again.unanswered(QUESTIONS)] == ["q0", "q2", "q3"]
    for question in again.unanswered(QUESTIONS):
        again.record(Prediction(question.id))
    again.finish(order=[q.id for q in QUESTIONS])
    assert [p.example_id for p in runs.predictions(run.folder)] == ["q0", "q1", "q2", "q3"]


def test_a_folder_made_with_other_parameters_is_refused(tmp_path):
    runs.start(given(tmp_path, k=3)).finish()
    with pytest.raises(RunError, match=r"made with k=3, not k=0: choose another --out or variant"):
        runs.start(given(tmp_path, k=0))


def test_a_run_that_is_given_more_minutes_is_the_same_run(tmp_path):
    runs.start(params.Qlora(out=str(tmp_path), max_minutes=1)).fail("killed")
    assert runs.start(params.Qlora(out=str(tmp_path), max_minutes=2)).params.max_minutes == 2


def test_a_folder_begun_with_another_input_is_refused(tmp_path):
    file = tmp_path / "test.jsonl"
    file.write_text("one")
    runs.start(given(tmp_path)).depends(questions=file)
    file.write_text("two")
    with pytest.raises(RunError, match="begun with another questions"):
        reopened(given(tmp_path)).depends(questions=file)


def test_a_variant_has_a_folder_of_its_own(tmp_path):
    assert runs.folder_of(given(tmp_path, variant="k=0")) == tmp_path / "suite" / "03_baseline" / "k=0"


def test_finished_means_same_parameters_and_same_files(tmp_path):
    file = tmp_path / "test.jsonl"
    file.write_text("one")
    run = runs.start(given(tmp_path))
    run.depends(questions=file)
    assert not runs.is_finished(given(tmp_path))
    run.finish()
    assert runs.is_finished(given(tmp_path)) and not runs.is_finished(given(tmp_path, k=0))
    file.write_text("two")
    assert not runs.is_finished(given(tmp_path))


def test_an_upstream_run_must_be_finished(tmp_path):
    with pytest.raises(RunError, match="02_curate is not a finished run: run 02_curate first"):
        runs.upstream(str(tmp_path), "02_curate")
    (tmp_path / "02_curate").mkdir()
    (tmp_path / "02_curate" / "status").write_text("failed")
    with pytest.raises(RunError, match="not a finished run"):
        runs.upstream(str(tmp_path), "02_curate")


@pytest.mark.parametrize(
    "content, said", [(None, "cannot be read"), ('{"a": 1}\n{"b"', "line 2, is not JSON"), ("[1", "line 1")]
)
def test_rows_that_cannot_be_read_are_named(tmp_path, content, said):
    path = tmp_path / "predictions.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(RunError, match=said):
        runs.read_rows(path, required=True)


def test_a_full_disk_is_one_sentence_and_loses_no_row(tmp_path):
    """A file size limit stands in for the disk: the system refuses the write in the same way, with another errno."""
    script = """
import resource, signal, sys
from helpers import params, runs
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
run = runs.start(params.check("03_baseline", {"out": sys.argv[1]}, where="test"))
run.record(runs.Prediction("q0", sql="SELECT 1"))
size = (run.folder / "predictions.jsonl").stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, resource.RLIM_INFINITY))
run.append("predictions.jsonl", {"example_id": "q1", "sql": "SELECT 22222222222222222222"})
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode and "predictions.jsonl cannot be written" in last and "free some space" in last
    folder = tmp_path / "03_baseline"
    run = reopened(params.check("03_baseline", {"out": str(tmp_path)}, where="test"))
    assert [q.id for q in run.unanswered(QUESTIONS[:2])] == ["q1"]
    assert runs.predictions(folder)[0].sql == "SELECT 1"


def test_two_processes_cannot_write_to_one_folder(tmp_path):
    runs.start(given(tmp_path))
    script = "import sys; from helpers import params, runs; runs.start(params.load(sys.argv[1], out=sys.argv[2]))"
    done = subprocess.run(
        [sys.executable, "-c", script, "params/demo/03_baseline.yaml", str(tmp_path / "suite")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode and ("being written by another process" in done.stderr or "was made with" in done.stderr)


def test_a_process_that_ends_early_leaves_a_failed_run(tmp_path):
    script = "import sys; from helpers import params, runs; runs.start(params.load(sys.argv[1], out=sys.argv[2])); 1/0"
    subprocess.run(
        [sys.executable, "-c", script, "params/demo/03_baseline.yaml", str(tmp_path)], capture_output=True, check=False
    )
    assert (tmp_path / "03_baseline" / "status").read_text() == "failed"
    assert "runtime_s" in json.loads((tmp_path / "03_baseline" / "metrics.json").read_text())


@pytest.mark.parametrize("row", ['{"sql": "SELECT 1"}', '{"example_id": "q1"}', "[1]"])
def test_anyones_predictions_need_two_fields(tmp_path, row):
    path = tmp_path / "mine.jsonl"
    path.write_text('{"example_id": "q0", "sql": "SELECT 1", "confidence": 0.5}\n' + row + "\n")
    with pytest.raises(RunError, match="row 2: `example_id` and `sql` must be there"):
        runs.predictions(path)


@pytest.mark.parametrize("separator", ["\u2028", "\u0085", "\x0c"])
def test_a_question_with_a_line_separator_is_one_row(tmp_path, separator):
    path = tmp_path / "rows.jsonl"
    path.write_text(journal.to_line({"nlq": f"a{separator}b"}))
    assert journal.read_rows(path) == [{"nlq": f"a{separator}b"}]
