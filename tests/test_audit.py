"""The doctor: planted faults are caught, sound questions pass, and the shipped data meets its own promises."""

import csv
import json
from pathlib import Path

import pytest

from helpers import audit, data_card, database, dataset, gold_checks, leakage, mysqlite, sample, split_style
from helpers.dataset import Example
from helpers.diagnosis import about

FIXTURES = Path(__file__).parent / "fixtures" / "audit"
FAULTS = [json.loads(line) for line in (FIXTURES / "faults.jsonl").read_text(encoding="utf-8").splitlines()]
SOUND = dataset.load(FIXTURES / "sound.jsonl")


@pytest.fixture(scope="module")
def db():
    with database.connect("sample") as opened:
        yield opened


@pytest.fixture(scope="module")
def shipped(db):
    splits = dataset.load_splits(dataset.FOLDER)
    return splits, audit.examine(splits, db)


def test_sound_questions_pass(db):
    diagnosis = audit.examine({"test": SOUND}, db)
    assert diagnosis.findings == ()
    assert diagnosis.tables["splits"] == [
        {"split": "test", "questions": 6, "templates": 6, "largest template": 1, "effective n": 6.0}
    ]
    assert diagnosis.tables["results"][0]["distinct results"] == 6


@pytest.mark.parametrize("fault", FAULTS, ids=[fault["fault"] for fault in FAULTS])
def test_a_planted_fault_is_caught(fault, db, tmp_path):
    splits = {"test": SOUND}
    for name in ("train", "exemplars", "test"):
        if name in fault:
            path = tmp_path / f"{name}.json"
            path.write_text(json.dumps(fault[name]), encoding="utf-8")
            splits[name] = [*splits.get(name, []), *dataset.load(path)]
    diagnosis = audit.examine(splits, db)
    wanted = (fault["check"], fault["split"], fault["level"])
    found = [f for f in diagnosis.findings if (f.check, f.split, f.level) == wanted]
    assert any(f.items == tuple(fault["items"]) and fault["said"] in f.sentence for f in found), diagnosis.findings
    errors = [f for f in diagnosis.findings if f.level == "error"]
    assert bool(errors) == (fault["level"] == "error"), errors


def test_a_dropped_table_is_caught(tmp_path):
    whole, rows = sample.schema(), sample.rows()
    kept = tuple(table for table in whole.tables if table.name != "payments")
    mysqlite.create(tmp_path / "shop.sqlite", type(whole)("classicmodels", kept), rows)
    with database.connect(f"sqlite:///{tmp_path / 'shop.sqlite'}") as shop:
        diagnosis = audit.examine({"test": SOUND}, shop)
    [finding] = diagnosis.at("error")
    assert (finding.check, finding.items) == ("gold_fails", ("a5",)) and "payments" in finding.sentence


def test_a_cut_result_is_caught():
    long = Example("x1", "All customers?", "SELECT customerName FROM customers")
    with database.connect("sample", max_rows=50) as narrow:
        diagnosis = audit.examine({"test": [long]}, narrow)
    assert {"gold_truncated", "gold_as_prediction"} <= {finding.check for finding in diagnosis.at("error")}


def test_results_are_the_same_whatever_their_order():
    one = database.Result(("a", "b"), [(1, "x"), (2.0, "y")])
    other = database.Result(("b", "a"), [("y", 2), ("x", 1.0)])
    assert gold_checks.content(one) == gold_checks.content(other)
    assert gold_checks.content(one) != gold_checks.content(database.Result(("a", "b"), [(1, "y"), (2, "x")]))
    assert gold_checks.content(one) != gold_checks.content(database.Result(("a", "b"), [(1, "x"), (1, "x"), (2, "y")]))


def test_near_duplicates_are_found_beyond_one_block(monkeypatch):
    monkeypatch.setattr(leakage, "BLOCK", 2)
    texts = ["How many orders were cancelled?", "aaa bbb", "ccc ddd", "eee fff", "How many orders were canceled?"]
    found = leakage.pairs({"test": [Example(f"q{n}", text, f"SELECT {n} FROM t{n}") for n, text in enumerate(texts)]})
    assert [(pair.kind, pair.item, pair.other_item) for pair in found] == [("near-duplicate", "q0", "q4")]
    assert leakage.across(found) == []


def test_exemplars_may_be_what_train_is(db):
    assert leakage.pairs({"train": SOUND, "exemplars": SOUND[:2]}) == []


def test_effective_n():
    examples = [Example(f"q{n}", "?", f"SELECT c{n % 3} FROM t WHERE x = {n}") for n in range(9)]
    lone = Example("q9", "?", "SELECT 1 FROM u")
    [row] = split_style.templates({"test": [*examples[::3], lone]})
    assert row == {"split": "test", "questions": 4, "templates": 2, "largest template": 3, "effective n": 1.6}


def test_a_finding_names_the_first_items_and_counts_all():
    finding = about("error", "check", "test", [f"q{n}" for n in range(8)], "golds at fault", "Mend them.")
    assert finding.sentence == "test: golds at fault: 8 (q0, q1, q2, q3, q4, …). Mend them."
    assert len(finding.items) == 8


def test_no_questions_at_all_is_a_mistake(db):
    with pytest.raises(dataset.DatasetError, match="no questions to examine"):
        audit.examine({"test": []}, db)


def test_the_command_line_exits_by_what_it_finds(tmp_path, capsys):
    leaked = tmp_path / "train.json"
    leaked.write_text(json.dumps([{"id": "x1", "nlq": SOUND[0].nlq, "sql": SOUND[0].sql}]), encoding="utf-8")
    sound = ["--examples", str(FIXTURES / "sound.jsonl"), "--database", "sample"]
    assert audit.main([*sound, "--out", str(tmp_path)]) == 0
    assert "0 errors" in capsys.readouterr().out
    assert audit.main([*sound, "--train", str(leaked), "--out", str(tmp_path)]) == 1
    assert "error    test: items with the question of an item of train: 1 (a1)" in capsys.readouterr().out
    doctor = json.loads((tmp_path / "doctor.json").read_text(encoding="utf-8"))
    assert doctor["counts"]["error"] == 1 and doctor["findings"][0]["items"] == ["a1"]
    with (tmp_path / "leakage.csv").open(encoding="utf-8") as file:
        assert [row["kind"] for row in csv.DictReader(file)] == ["question"]
    assert audit.main(["--examples", "nowhere.jsonl", "--database", "sample"]) == 2
    assert "nowhere.jsonl" in capsys.readouterr().err


def test_the_shipped_questions_have_nothing_that_makes_a_score_wrong(shipped):
    _, diagnosis = shipped
    assert [finding.sentence for finding in (*diagnosis.at("error"), *diagnosis.at("warning"))] == []


def test_the_shipped_questions_keep_their_promises(shipped):
    splits, diagnosis = shipped
    shape = {row["split"]: row for row in diagnosis.tables["splits"]}
    results = {row["split"]: row for row in diagnosis.tables["results"]}
    assert (len(splits["test"]), len(splits["dev"])) == (200, 100) and len(splits["train"]) >= 3_000
    assert shape["test"]["templates"] >= 100 and shape["test"]["largest template"] <= 3
    assert shape["test"]["effective n"] >= 100 and shape["train"]["templates"] >= 250
    for name in ("test", "dev"):
        assert results[name]["constant baseline"] <= 0.02 and results[name]["vacuous"] <= 0.03
    assert diagnosis.tables["leakage"] == []


def test_the_committed_card_is_the_one_that_is_written(db):
    committed = (dataset.FOLDER / "README.md").read_text(encoding="utf-8")
    assert committed == data_card.card(dataset.FOLDER, db), "run: python -m helpers.audit --card data/classicmodels"
