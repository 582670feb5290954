"""The report: the same numbers everywhere, pairs that can be paired, a page that needs nothing else."""

import csv
import json

import pytest

from helpers import database, dataset, params, report, runs
from helpers.dataset import Example
from helpers.runs import Prediction, RunError

EXAMPLES = [
    Example(f"t{n}", f"question {n}?", f"SELECT COUNT(*) AS n FROM {table}", difficulty="easy")
    for n, table in enumerate(["orders", "offices", "products", "payments", "customers", "employees"])
]
RIGHT = {e.id: e.sql for e in EXAMPLES}
WRONG = {**RIGHT, "t0": "SELECT COUNT(*) FROM offices", "t1": "SELECT nme FROM offices", "t2": ""}


@pytest.fixture(scope="module")
def sample():
    with database.connect("sample") as opened:
        yield opened


def answered(out, notebook, statements, variant=""):
    run = runs.start(params.check(notebook, {"out": str(out), "variant": variant}, where="test"))
    for example_id, sql in statements.items():
        run.record(Prediction(example_id, sql=sql, seconds=0.5, completion_tokens=10, model="fake", method=notebook))
    run.finish()


@pytest.fixture
def evaluation(tmp_path):
    answered(tmp_path, "03_baseline", WRONG)
    answered(tmp_path, "05_qlora", RIGHT)
    given = {"out": str(tmp_path), "compare": ["03_baseline", "05_qlora"]}
    return runs.start(params.check("06_evaluate", given, where="test"))


def scored(run, sample):
    compared = report.collect(run)
    return report.score(run, compared, report.answered(compared, EXAMPLES), sample, None)


def test_every_rate_has_all_questions_below_it(evaluation, sample):
    base, tuned = scored(evaluation, sample)
    assert (base.metrics["n"], base.metrics["va"], base.metrics["ex"], tuned.metrics["ex"]) == (6, 4 / 6, 0.5, 1.0)
    verdicts = runs.read_rows(evaluation.folder / "verdicts.jsonl")
    assert len(verdicts) == 12 and sum(v["ex"] for v in verdicts if v["run"] == "03_baseline") == 3


def test_table_page_and_metrics_agree(evaluation, sample):
    both = scored(evaluation, sample)
    page = report.write(evaluation, both)
    evaluation.finish(report.metrics(both))
    with (evaluation.folder / "comparison.csv").open() as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    metrics = json.loads((evaluation.folder / "metrics.json").read_text())
    for name in rows:
        assert float(rows[name]["ex"]) == metrics["methods"][name]["ex"]
        assert float(rows[name]["ex_low"]) <= float(rows[name]["ex"]) <= float(rows[name]["ex_high"])
    assert metrics["best"] == "05_qlora" and metrics["ex"] == 1.0
    text = page.read_text()
    assert "data:image/png;base64," in text and "50.0%" in text and "SELECT nme FROM offices" in text
    assert 'src="http' not in text and "<script" not in text
    assert {p.name for p in (evaluation.folder / "figures").iterdir()} == {"scores.png", "scores.svg"}


def test_a_difference_is_paired_question_by_question(evaluation, sample):
    [row] = report.differences(scored(evaluation, sample)).to_dict("records")
    assert (row["difference"], row["gained"], row["lost"], row["p_value"]) == (0.5, 3, 0, 0.25)
    assert row["low"] <= 0.5 <= row["high"]


def test_variants_are_compared_each_on_its_own(tmp_path):
    for variant in ("k=0", "k=3"):
        answered(tmp_path, "03_baseline", RIGHT, variant)
    run = runs.start(params.check("06_evaluate", {"out": str(tmp_path), "compare": ["03_baseline"]}, where="test"))
    assert [each.name for each in report.collect(run)] == ["03_baseline/k=0", "03_baseline/k=3"]


def test_runs_of_different_questions_are_refused(tmp_path):
    answered(tmp_path, "03_baseline", RIGHT)
    answered(tmp_path, "05_qlora", {"t0": "SELECT 1"})
    given = {"out": str(tmp_path), "compare": ["03_baseline", "05_qlora"]}
    compared = report.collect(runs.start(params.check("06_evaluate", given, where="test")))
    with pytest.raises(RunError, match="05_qlora and 03_baseline answered different questions"):
        report.answered(compared, EXAMPLES)


def test_a_swap_of_ranks_between_conventions_is_told(evaluation, sample):
    base, tuned = scored(evaluation, sample)
    assert report.flipped([base, tuned]) == []
    base.metrics["ex_superset"], tuned.metrics["ex_superset"] = 1.0, 0.9
    [told] = report.flipped([base, tuned])
    assert told.startswith("03_baseline is ahead of 05_qlora by ex_superset and behind by ")


def test_examples_of_failures_show_gold_prediction_and_error(evaluation, sample):
    shown = report.failures(scored(evaluation, sample)[0])
    assert list(shown["id"]) == ["t0", "t1", "t2"] and "Unknown column" in shown["error"][1]


def test_a_sweep_of_the_shipped_questions_loads():
    assert len(dataset.load(dataset.FOLDER / "test.jsonl")) == 200
