"""Questions: read from anyone's file, dealt by template, refused when they would make a score wrong."""

import json

import pytest

from helpers import database, dataset, params, runs
from helpers.dataset import DatasetError, Example

PAIRS = [
    {"nlq": "How many orders?", "sql": "SELECT COUNT(*) FROM orders"},
    {"nlq": "Cities of offices?", "sql": "SELECT city FROM offices"},
]


@pytest.fixture(scope="module")
def sample():
    with database.connect("sample") as opened:
        yield opened


@pytest.mark.parametrize(
    "write", [json.dumps, lambda rows: "\n".join(map(json.dumps, rows)) + "\n"], ids=["array", "lines"]
)
def test_a_plain_list_of_pairs_loads_as_it_is(tmp_path, write):
    path = tmp_path / "pairs.json"
    path.write_text(write(PAIRS))
    first, second = dataset.load(path)
    assert (first.id, first.nlq, first.difficulty, first.features) == (
        "q0001",
        "How many orders?",
        "easy",
        ("aggregate",),
    )
    assert second.id == "q0002"


WRONG = [
    ("", None, "cannot be read"),
    ("missing field", '[{"nlq": "How many?"}]', "item 1: `nlq` and `sql` must be there"),
    ("empty field", '[{"nlq": "a", "sql": "b"}, {"nlq": "", "sql": "SELECT 1"}]', "item 2"),
    ("no JSON", "nlq,sql\n", "neither JSON lines nor a JSON array"),
    (
        "an id twice",
        '{"id": "a", "nlq": "x", "sql": "y"}\n{"id": "a", "nlq": "x", "sql": "y"}',
        "the id a occurs twice",
    ),
    ("binary", b"\xff\xfe\x00", "cannot be read"),
]


@pytest.mark.parametrize("content, said", [case[1:] for case in WRONG], ids=[case[0] or "no file" for case in WRONG])
def test_an_unreadable_file_is_named(tmp_path, content, said):
    path = tmp_path / "questions.jsonl"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DatasetError, match=said) as caught:
        dataset.load(path)
    assert "questions.jsonl" in str(caught.value)


def test_what_is_saved_loads_the_same(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(PAIRS))
    examples = dataset.load(path)
    assert dataset.load(dataset.save(tmp_path / "b.jsonl", examples)) == examples


def test_dealing_keeps_a_template_together_and_repeats_with_its_seed():
    examples = [
        Example(f"{t}-{n}", f"{t} {n}", f"SELECT c{t} FROM t WHERE x = {n}") for t in range(10) for n in range(3)
    ]
    splits = dataset.split(examples, test=0.4, dev=0.2, seed=7)
    assert [len(part) for part in splits.values()] == [12, 6, 12]
    assert dataset.overlap(splits) == []
    assert (
        splits
        == dataset.split(examples, test=0.4, dev=0.2, seed=7)
        != dataset.split(examples, test=0.4, dev=0.2, seed=8)
    )


def test_a_shared_question_or_template_is_found():
    train = [
        Example("a", "How many orders?", "SELECT COUNT(*) FROM orders"),
        Example("b", "x", "SELECT 1 FROM t WHERE a = 1"),
    ]
    test = [Example("c", "how many  ORDERS?", "SELECT 2"), Example("d", "y", "SELECT 1 FROM t WHERE a = 9")]
    found = dataset.overlap({"train": train, "test": test})
    assert [(a.id, b.id) for _, a, _, b in found] == [("a", "c"), ("b", "d")]


def test_a_failing_gold_stops_the_run_and_is_named(sample):
    bad = Example("b7", "?", "SELECT nme FROM products")
    with pytest.raises(DatasetError, match=r"1 gold statements fail on sample: b7 \(Unknown column 'nme'"):
        dataset.execute({"test": [bad]}, sample)
    alternative = Example("b8", "?", "SELECT 1", alternatives=("SELECT 1 FROM nowhere",))
    with pytest.raises(DatasetError, match="b8"):
        dataset.execute({"test": [alternative]}, sample)


def test_publishing_writes_splits_and_a_card_that_datasets_reads(tmp_path, sample):
    import datasets

    examples = [
        Example(f"q{n}", f"question {n}", f"SELECT {'city' if n % 2 else 'phone'}{n} FROM offices") for n in range(6)
    ]
    splits = dataset.split(examples, test=0.4, dev=0.2, seed=7)
    run = runs.start(params.check("02_curate", {"out": str(tmp_path)}, where="test"))
    card = dataset.publish(run, splits, sample)
    for name, part in splits.items():
        assert runs.sha256(run.folder / f"{name}.jsonl") in card
        loaded = datasets.load_dataset(
            "json", data_files=str(run.folder / f"{name}.jsonl"), cache_dir=str(tmp_path / "c")
        )
        assert loaded["train"]["nlq"] == [e.nlq for e in part]


def test_publishing_refuses_a_leak(tmp_path, sample):
    run = runs.start(params.check("02_curate", {"out": str(tmp_path)}, where="test"))
    leak = {"train": [Example("a", "x", "SELECT 1")], "test": [Example("b", "y", "SELECT 2")]}
    with pytest.raises(DatasetError, match=r"a \(train\) and b \(test\)"):
        dataset.publish(run, leak, sample)


def test_the_shipped_splits_load_in_one_call(tmp_path):
    import datasets

    files = {name: str(dataset.FOLDER / f"{name}.jsonl") for name in dataset.SPLITS}
    loaded = datasets.load_dataset("json", data_files=files, cache_dir=str(tmp_path))
    assert {name: part.num_rows for name, part in loaded.items()} == {"train": 20000, "dev": 100, "test": 200}
