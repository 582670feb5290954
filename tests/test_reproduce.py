"""Reproducing a run: what is compared, what counts as drift, and what a user is told who gives the wrong folder."""

import json
import subprocess
import sys

import pytest
import yaml

from helpers import drift, params, reproduce, runs
from helpers.kernels import NotebookFailed
from helpers.runs import Prediction, RunError


def made(out, notebook="03_baseline", *, answers=(("q0", "SELECT 1"), ("q1", "SELECT 2")), metrics=None, **values):
    """Make a finished run folder as a notebook would."""
    run = runs.start(params.check(notebook, {"out": str(out), **values}, where="test"))
    run.depends(schema="s" * 64, prompts="p" * 64)
    for example_id, statement in answers:
        run.record(Prediction(example_id, sql=statement, completion=statement, seconds=0.5))
    return run.finish(metrics or {"answered": len(answers)})


def edited(path, **changes):
    """Change the top-level values of a YAML or JSON file."""
    content = yaml.safe_load(path.read_text()) | changes
    path.write_text(json.dumps(content) if path.suffix == ".json" else yaml.safe_dump(content))


def compared(before, after):
    return {field.name: field for field in drift.compare(before, after, home=str(before.parent))}


@pytest.fixture
def pair(tmp_path):
    """A run and its faithful reproduction."""
    return made(tmp_path / "demo"), made(tmp_path / "demo-reproduced")


def test_a_faithful_reproduction_has_no_drift_and_its_seconds_do_not_count(pair):
    before, after = pair
    edited(after / "metrics.json", runtime_s=999.0, peak_rss_mb=1.0)
    fields = list(compared(before, after).values())
    assert drift.drifted(fields) == []
    assert {f.name for f in fields if f.kind == "measured" and not f.same} == {
        "metrics: runtime_s",
        "metrics: peak_rss_mb",
    }
    assert "· metrics: runtime_s" in drift.table(fields) and "→ 999.0" in drift.table(fields)


def row(sql):
    return {"example_id": "q1", "nlq": "", "sql": sql, "completion": sql}


DRIFTS = [
    ("config.yaml", {"inputs": {"schema": {"value": "t" * 64}}}, "schema hash", "decides"),
    ("config.yaml", {"inputs": {"prompts": {"value": "q" * 64}}}, "prompt template hash", "decides"),
    ("config.yaml", {"git_commit": "feedbeef"}, "git commit", "explains"),
    ("env.json", {"python": "2.7"}, "python", "explains"),
    ("env.json", {"packages": {"torch": "1"}}, "packages: torch", "explains"),
    ("env.json", {"cpu": "abacus"}, "hardware: cpu", "explains"),
    ("metrics.json", {"ex": 0.5}, "metrics: ex", "decides"),
    ("metrics.json", {"answered": 7}, "metrics: answered", "explains"),
]


@pytest.mark.parametrize("file, changes, name, kind", DRIFTS, ids=[f"{name}" for _, _, name, _ in DRIFTS])
def test_what_drifted_is_named_and_decides_or_explains(pair, file, changes, name, kind):
    before, after = pair
    edited(after / file, **changes)
    field = compared(before, after)[name]
    assert not field.same and field.kind == kind
    assert drift.drifted([field]) == ([name] if kind == "decides" else [])
    assert f"≠ {name}" in drift.table([field])


def test_predictions_are_counted_and_the_first_that_differ_named(tmp_path):
    before = made(tmp_path / "demo", answers=[(f"q{n}", f"SELECT {n}") for n in range(9)])
    after = made(tmp_path / "again", answers=[(f"q{n}", f"SELECT {min(n, 1)}") for n in range(9)])
    field = compared(before, after)["predictions"]
    assert field.note == "2 of 9 equal; differing: q2, q3, q4, q5, q6 and 2 more" and not field.same


def test_a_missing_answer_is_a_difference_and_a_new_field_of_a_row_is_not(pair):
    before, after = pair
    rows = runs.read_rows(after / "predictions.jsonl")
    (after / "predictions.jsonl").write_text(runs.to_line(rows[0] | {"votes": 3}))
    assert compared(before, after)["predictions"].note == "1 of 2 equal; differing: q1"


def test_data_files_decide_and_other_files_explain(pair):
    before, after = pair
    for name in ("test.jsonl", "traces.jsonl"):
        (before / name).write_text("{}\n")
        (after / name).write_text("{} \n")
    fields = compared(before, after)
    assert (fields["file: test.jsonl"].kind, fields["file: traces.jsonl"].kind) == ("decides", "explains")


def test_the_runs_that_06_compares_have_the_names_they_had(tmp_path):
    out = tmp_path / "demo"
    scores = {"methods": {"03_baseline": {"va": 1.0, "ex": 0.5}}, "flipped": ["03_baseline is ahead of 04_react."]}
    before = made(out, "06_evaluate", answers=(), metrics=scores)
    elsewhere = {"methods": {"demo/03_baseline": {"va": 1.0, "ex": 0.5}}}
    elsewhere["flipped"] = ["demo/03_baseline is ahead of demo/04_react."]
    given = {"compare": [f"{out}/{name}" for name in ("03_baseline", "04_react", "05_qlora")]}
    after = made(tmp_path / "again", "06_evaluate", answers=(), metrics=elsewhere, **given)
    fields = compared(before, after)
    score = fields["metrics: methods.03_baseline.ex"]
    assert score.same and score.kind == "decides"
    assert all(field.same or field.kind == "measured" for field in fields.values())


def test_a_plan_takes_the_snapshots_parameters_and_finds_upstream_runs_where_they_were(tmp_path):
    out = tmp_path / "demo"
    for name, variant in (("02_curate", ""), ("03_baseline", "k=0"), ("03_baseline", "k=3"), ("05_qlora", "")):
        made(out, name, variant=variant)
    (out / "05_qlora" / "adapter").mkdir()
    given = {"adapter": "05_qlora", "variant": "tuned", "k": 1, "copy_to": str(tmp_path / "drive")}
    folder, again = reproduce.plan(made(out, **given))
    assert folder == out / "03_baseline" / "tuned"
    assert (again.out, again.variant, again.k) == (f"{out}-reproduced", "tuned", 1)
    assert (again.curated, again.adapter) == (str(out / "02_curate"), str(out / "05_qlora"))
    assert again.copy_to == "", "to reproduce is not to publish"
    compare = made(out, "06_evaluate", answers=(), compare=["03_baseline", "05_qlora"])
    (out / "03_baseline" / "tuned").rename(out / "aside")
    _, again = reproduce.plan(compare, out=str(tmp_path / "mine"))
    assert again.compare == [str(out / "03_baseline" / "k=0"), str(out / "03_baseline" / "k=3"), str(out / "05_qlora")]
    assert again.out == str(tmp_path / "mine")


def test_a_suite_that_was_moved_is_read_where_it_is(tmp_path):
    made(tmp_path / "demo", "02_curate")
    made(tmp_path / "demo")
    (tmp_path / "demo").rename(tmp_path / "moved")
    _, again = reproduce.plan(tmp_path / "moved" / "03_baseline")
    assert again.curated == str(tmp_path / "moved" / "02_curate")


def spoiled(tmp_path, how):
    """A folder that cannot be reproduced, in one of several ways."""
    made(tmp_path / "demo", "02_curate")
    folder = made(tmp_path / "demo", variant="k=3")
    config = folder / "config.yaml"
    if how == "missing":
        return tmp_path / "nowhere"
    if how == "holds variants":
        return folder.parent
    if how == "failed":
        (folder / "status").write_text("failed")
    if how == "unknown parameter":
        edited(config, params=yaml.safe_load(config.read_text())["params"] | {"beam_width": 4})
    if how == "not yaml":
        config.write_text("a: [")
    if how == "no notebook":
        edited(config, notebook="08_more")
    if how == "upstream gone":
        (tmp_path / "demo" / "02_curate").rename(tmp_path / "away")
    return folder


MISTAKES = {
    "missing": "is no run folder: give outputs/SUITE/NOTEBOOK[/VARIANT]",
    "holds variants": "is no run folder: give one of those in it: k=3",
    "failed": "is failed, not finished",
    "unknown parameter": "has no parameter beam_width",
    "not yaml": "config.yaml cannot be read",
    "no notebook": "names no notebook of this suite",
    "upstream gone": "02_curate, which the run was built on, is gone",
}


@pytest.mark.parametrize("how", MISTAKES)
def test_a_users_mistake_is_one_sentence_and_exit_code_2(tmp_path, capsys, how):
    assert reproduce.main(spoiled(tmp_path, how)) == 2
    said = capsys.readouterr().err
    assert MISTAKES[how] in said and len(said.strip().splitlines()) == 1


def test_a_run_is_not_reproduced_onto_itself(tmp_path):
    made(tmp_path / "demo", "02_curate")
    with pytest.raises(RunError, match="would be overwritten by its reproduction: give another --out"):
        reproduce.plan(made(tmp_path / "demo"), out=str(tmp_path / "demo"))


@pytest.mark.parametrize(
    "answer, code, said",
    [("SELECT 1", 0, "Reproduced: all"), ("SELECT 9", 1, "Drifted: predictions."), (None, 1, "03_baseline failed")],
)
def test_the_exit_code_says_whether_it_drifted(tmp_path, monkeypatch, capsys, answer, code, said):
    made(tmp_path / "demo", "02_curate")
    folder = made(tmp_path / "demo", answers=[("q0", "SELECT 1")])

    def notebook(parameters):
        if answer is None:
            raise NotebookFailed("03_baseline failed: no reason")
        values = parameters.model_dump(exclude={"out"})
        made(parameters.out, answers=[("q0", answer)], **values)

    monkeypatch.setattr(reproduce.kernels, "execute", notebook)
    assert reproduce.main(folder) == code
    shown = capsys.readouterr()
    assert said in shown.out + shown.err
    written = tmp_path / "demo-reproduced" / "03_baseline" / "reproduction.json"
    assert written.exists() is (answer is not None)
    if answer:
        assert json.loads(written.read_text())["reproduced"] is (code == 0)


def test_a_reproduction_by_the_command_line_runs_the_notebook(tmp_path):
    command = [sys.executable, "-m", "helpers.suite"]
    out = str(tmp_path / "demo")
    subprocess.run([*command, "params/demo", "--only", "01_connect", "--out", out], check=True, capture_output=True)
    words = [*command, "--reproduce", f"{out}/01_connect"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "= schema hash" in done.stdout and "= file: schema.json" in done.stdout
    assert (tmp_path / "demo-reproduced" / "01_connect" / "notebook.ipynb").exists()
    schema = tmp_path / "demo" / "01_connect" / "schema.json"
    schema.write_text(schema.read_text() + " ")
    drifted = subprocess.run(words, capture_output=True, text=True, check=False)
    assert drifted.returncode == 1 and "Drifted: file: schema.json." in drifted.stdout


@pytest.mark.parametrize("words", [["params/demo", "--reproduce", "x"], ["--reproduce", "x", "--set", "k=1"], []])
def test_a_mixed_command_is_refused(words, capsys):
    from helpers import suite

    with pytest.raises(SystemExit) as stopped:
        suite.main(words)
    assert stopped.value.code == 2 and "suite: error:" in capsys.readouterr().err
