"""Ten kills at any moment of a run leave the predictions of a run that nothing disturbed, to the byte."""

import json
import subprocess
import sys

import pytest

KILLS = 10


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_run_killed_ten_times_ends_with_the_same_bytes(tmp_path, seed):
    command = [sys.executable, "-m", "tests.killed_run", str(tmp_path), str(seed), str(KILLS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["calm"] == told["end"] == 0
    assert [attempt["signal"] for attempt in told["attempts"]] == [9] * KILLS, "every attempt was to be killed"

    calm, killed = ((tmp_path / name / "03_baseline") for name in ("calm", "killed"))
    expected = (calm / "predictions.jsonl").read_bytes()
    assert expected.count(b"\n") == 40
    assert (killed / "predictions.jsonl").read_bytes() == expected
    assert (killed / "status").read_text() == "finished"
    assert [json.loads(line)["example_id"] for line in (killed / "timings.jsonl").open()] == [
        json.loads(line)["example_id"] for line in expected.splitlines()
    ]
    kept = [attempt["rows"] for attempt in told["attempts"]]
    assert kept == sorted(kept), "a kill loses no row that was kept by the one before"
