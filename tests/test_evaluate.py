"""Scoring: verdicts on a tiny database whose answers are seen at a glance, metrics, the command line."""

import json
import random
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from joblib import parallel_config

from helpers import dataset, evaluate, local_mysql, mysqlite, sample
from helpers.comparison import CONVENTIONS
from helpers.database import connect
from helpers.dataset import Example
from helpers.journal import Prediction
from helpers.neighbours import neighbours
from helpers.schema import from_ddl

DDL = """
CREATE TABLE pets (id int NOT NULL, name varchar(20) NOT NULL, kind varchar(20), weight decimal(5,2),
  PRIMARY KEY (id));
CREATE TABLE walks (id int NOT NULL, pet int NOT NULL, km int,
  PRIMARY KEY (id), FOREIGN KEY (pet) REFERENCES pets (id));
"""
ROWS = {
    "pets": [
        (1, "Rex", "dog", Decimal("20.50")),
        (2, "Mia", "cat", Decimal("4.00")),
        (3, "Bo", "dog", Decimal("20.50")),
        (4, "Zed", None, None),
    ],
    "walks": [(1, 1, 3), (2, 1, 5), (3, 3, 5)],
}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("pets") / "pets.sqlite"
    mysqlite.create(path, from_ddl(DDL), ROWS)
    return f"sqlite:///{path}"


@pytest.fixture
def pets(source):
    with connect(source) as database:
        yield database


def verdict(database, gold, predicted, **more):
    example = Example("q", "", gold, **more)
    return evaluate.score([example], [Prediction("q", sql=predicted)], database)[0]


NAMES = "SELECT name FROM pets"
TABLE = [
    # gold, prediction, conventions that accept it
    (NAMES, "SELECT name FROM pets ORDER BY name", "ex ex_strict ex_superset ex_set ex_spider"),
    (NAMES, "SELECT id, name FROM pets", "ex_superset"),
    (NAMES, "SELECT name FROM pets WHERE id < 4", ""),
    ("SELECT name, kind FROM pets", "SELECT kind, name FROM pets", "ex ex_superset ex_spider"),
    ("SELECT kind FROM pets", "SELECT DISTINCT kind FROM pets", "ex_set ex_spider"),
    ("SELECT COUNT(kind) FROM pets", "SELECT COUNT(DISTINCT kind) FROM pets", "ex_spider"),
    (
        "SELECT name FROM pets WHERE id > 1 ORDER BY weight",
        "SELECT name FROM pets WHERE id > 1 ORDER BY weight DESC",
        "ex_strict ex_set",
    ),
    (
        "SELECT name FROM pets ORDER BY weight DESC LIMIT 1",
        "SELECT name FROM pets WHERE id = 3",
        "ex ex_superset",
    ),
    ("SELECT name FROM pets ORDER BY weight DESC, id LIMIT 1", "SELECT name FROM pets WHERE id = 3", ""),
    ("SELECT weight / 3 FROM pets WHERE id = 2", "SELECT 1.3333333 FROM pets WHERE id = 2", "ex ex_superset"),
    (
        "SELECT name FROM pets WHERE id > 9",
        "SELECT kind FROM pets WHERE id > 8",
        "ex ex_strict ex_superset ex_set ex_spider",
    ),
]


@pytest.mark.parametrize("gold, predicted, accepting", TABLE)
def test_conventions_differ_where_they_say_so(pets, gold, predicted, accepting):
    found = verdict(pets, gold, predicted)
    assert [name for name in evaluate.CONVENTIONS if getattr(found, name)] == accepting.split()
    assert found.va


def test_a_prediction_that_fails_is_wrong_under_all_and_says_why(pets):
    found = verdict(pets, NAMES, "SELECT nam FROM pets")
    assert not any(getattr(found, name) for name in ("va", *evaluate.CONVENTIONS))
    assert (found.error_code, found.error_class) == ("1054", "invalid SQL") and "nam" in found.error
    refused = verdict(pets, NAMES, "DELETE FROM pets")
    assert (refused.va, refused.error_code, refused.error_class) == (False, "guard", "guard rejection")


def test_alternatives_and_optional_columns_serve_ex_but_not_ex_strict(pets):
    other = verdict(pets, NAMES, "SELECT id FROM pets", alternatives=("SELECT id FROM pets",))
    assert other.ex and other.ex_superset and not other.ex_strict and not other.ex_set and not other.ex_spider
    fewer = verdict(pets, "SELECT name, kind FROM pets", NAMES, optional_columns=("kind",))
    assert fewer.ex and fewer.ex_superset and not fewer.ex_strict


@pytest.mark.parametrize(
    "gold, flags",
    [
        ("SELECT name FROM pets WHERE id > 9", ("uninformative", "vacuous")),
        ("SELECT MAX(km) FROM walks WHERE km > 9", ("uninformative",)),
        ("SELECT COUNT(*) FROM walks WHERE km > 9", ("uninformative",)),
        ("SELECT COUNT(*) FROM walks", ()),
    ],
)
def test_golds_that_say_nothing_are_flagged(pets, gold, flags):
    assert verdict(pets, gold, gold).flags == flags


def test_a_row_cap_that_was_hit_makes_an_item_wrong_and_flagged(source):
    with connect(source, max_rows=3) as capped:
        found = verdict(capped, NAMES, NAMES)
    assert found.va and not found.ex and not found.ex_set and "truncated" in found.flags


def test_a_gold_that_fails_is_the_users_mistake(pets):
    with pytest.raises(evaluate.GoldFailed, match="Example q.*nope"):
        verdict(pets, "SELECT nope FROM pets", NAMES)


def test_ids_that_do_not_fit_are_named(pets, caplog):
    examples = [Example("a", "", NAMES), Example("b", "", NAMES)]
    with pytest.raises(evaluate.EvaluationError, match="No such example: z"):
        evaluate.score(examples, [Prediction("z", sql=NAMES)], pets)
    with pytest.raises(evaluate.EvaluationError, match="More than one prediction for a"):
        evaluate.score(examples, [Prediction("a", sql=NAMES), Prediction("a", sql="SELECT 1")], pets)
    first, second = evaluate.score(examples, [Prediction("a", sql=NAMES)], pets)
    assert first.ex and not second.ex and second.flags == ("missing",) and second.error_code == "missing"
    assert "No prediction for b" in caplog.text


def test_each_distinct_statement_is_run_once(pets):
    asked = []
    counted = replace(pets, run=lambda sql: asked.append(sql) or pets.run(sql), kept={}, kept_rows=0)
    examples = [Example(str(n), "", NAMES) for n in range(20)]
    evaluate.score(examples, [Prediction(str(n), sql="SELECT name FROM pets WHERE id < 9") for n in range(20)], counted)
    assert len(asked) == len(set(asked)) == 2


@pytest.mark.parametrize("split", ["test", "dev"])
def test_gold_as_prediction_is_right_everywhere(split):
    golds = dataset.load(Path(f"data/classicmodels/{split}.jsonl"))
    with connect("sample") as database:
        scored = evaluate.score(golds, [Prediction(e.id, sql=e.sql) for e in golds], database, suite=[database])
    assert [v.example_id for v in scored if not all(getattr(v, n) for n in ("va", *evaluate.CONVENTIONS, "ts"))] == []


def test_ts_asks_every_variant_and_never_exceeds_ex(pets, tmp_path):
    mysqlite.create(
        tmp_path / "v.sqlite",
        from_ddl(DDL),
        ROWS | {"pets": [*ROWS["pets"], (5, "Rex", "dog", Decimal("1.00"))]},
    )
    guesses = [
        "SELECT name FROM pets",
        "SELECT DISTINCT name FROM pets",
        "SELECT kind FROM pets",
        "SELECT x FROM pets",
        "",
    ]
    examples = [Example(str(n), "", NAMES) for n in range(len(guesses))]
    predictions = [Prediction(str(n), sql=guess) for n, guess in enumerate(guesses)]
    with connect(f"sqlite:///{tmp_path}/v.sqlite") as variant:
        scored = evaluate.score(examples, predictions, pets, suite=[variant])
    assert [v.ex for v in scored] == [True, True, False, False, False]
    assert [v.ts for v in scored] == [True, False, False, False, False]
    assert [v.ts for v in evaluate.score(examples, predictions, pets)] == [None] * len(guesses)


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_workers_reach_the_same_verdicts(pets, backend):
    examples = [Example(str(n), "", gold) for n, (gold, _, _) in enumerate(TABLE)]
    predictions = [Prediction(str(n), sql=predicted) for n, (_, predicted, _) in enumerate(TABLE)]
    alone = evaluate.score(examples, predictions, pets, suite=[pets])
    with parallel_config(backend=backend):
        spread = evaluate.score(examples, predictions, pets, suite=[pets], jobs=2)
    assert [replace(v, seconds=0.0) for v in alone] == [replace(v, seconds=0.0) for v in spread]


def test_metrics_keep_every_item_in_the_denominator(pets):
    examples = [
        Example("a", "", NAMES, difficulty="easy", features=("x",)),
        Example("b", "", NAMES, difficulty="hard"),
        Example("c", "", "SELECT COUNT(*) FROM walks WHERE km > 9", difficulty="easy", features=("x", "y")),
        Example("d", "", NAMES, difficulty="hard"),
    ]
    predictions = [
        Prediction("a", sql=NAMES, seconds=2.0, prompt_tokens=10, completion_tokens=2),
        Prediction("b", sql="SELECT id, name FROM pets", seconds=4.0),
        Prediction("c", sql="SELECT 0", seconds=3.0),
    ]
    metrics = evaluate.summarise(evaluate.score(examples, predictions, pets), examples, predictions)
    assert (metrics["n"], metrics["va"], metrics["ex"], metrics["ex_superset"], metrics["ts"]) == (
        4,
        0.75,
        0.5,
        0.75,
        None,
    )
    assert metrics["informative"]["n"] == 3 and metrics["ex_informative"] == pytest.approx(1 / 3)
    assert metrics["missing"] == 1
    assert metrics["by_difficulty"]["easy"] == {"n": 2, "va": 1.0, "ts": None, **dict.fromkeys(CONVENTIONS, 1.0)}
    assert metrics["by_feature"]["x"]["n"] == 2 and metrics["by_feature"]["y"]["ex"] == 1.0
    assert metrics["error_classes"]["extra column"] == {"n": 1, "ex_if_fixed": 0.75}
    assert metrics["seconds_per_correct"] == pytest.approx(4.5)
    assert metrics["latency"]["mean_s"] == pytest.approx(3.0) and metrics["tokens"]["prompt"] == 10
    assert metrics["intervals"]["ex"]["low"] < 0.5 < metrics["intervals"]["ex"]["high"]
    assert json.loads(json.dumps(metrics)) == metrics


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_command_line_scores_anyones_files(source, tmp_path, capsys):
    examples = lines(
        tmp_path / "examples.jsonl",
        [{"id": "a", "nlq": "?", "sql": NAMES}, {"id": "b", "nlq": "?", "sql": NAMES}],
    )
    guesses = lines(
        tmp_path / "mine.jsonl", [{"example_id": "a", "sql": NAMES}, {"example_id": "b", "sql": "SELECT 1"}]
    )
    out = tmp_path / "scored"
    asked = ["--examples", examples, "--predictions", guesses, "--database", source, "--out", str(out)]
    assert evaluate.main(asked) == 0
    rows = [json.loads(line) for line in (out / "verdicts.jsonl").read_text().splitlines()]
    assert [(row["example_id"], row["ex"], row["ts"]) for row in rows] == [
        ("a", True, None),
        ("b", False, None),
    ]
    assert json.loads((out / "metrics.json").read_text())["ex"] == 0.5
    assert "ex              0.500" in capsys.readouterr().out


@pytest.mark.parametrize(
    "change, named",
    [
        ({"--examples": "nowhere.jsonl"}, "nowhere.jsonl"),
        ({"--predictions": "nothing.jsonl"}, "nothing.jsonl"),
        ({"--database": "oracle"}, "oracle"),
        ({"--testsuite": "no_folder"}, "no_folder"),
    ],
)
def test_command_line_says_in_one_sentence_what_is_wrong(source, tmp_path, capsys, change, named):
    given = {
        "--examples": lines(tmp_path / "e.jsonl", [{"id": "a", "nlq": "?", "sql": NAMES}]),
        "--predictions": lines(tmp_path / "p.jsonl", [{"example_id": "a", "sql": NAMES}]),
        "--database": source,
        "--out": str(tmp_path / "out"),
    } | change
    assert evaluate.main([part for pair in given.items() for part in pair]) == 2
    message = capsys.readouterr().err
    assert named in message and message.count("\n") == 1
    assert not (tmp_path / "out").exists()


# MariaDB refuses RANK, LAG and their like without an ORDER BY in OVER (4018); MySQL 8 takes all rows for peers.
MARIADB_REFUSES = ("4018",)


def test_embedded_and_server_scoring_agree_on_golds_and_500_near_misses(mysql_server):
    """Near misses with a LIMIT are left out: which of several ties it keeps is the server's own choice."""
    golds = dataset.load(Path("data/classicmodels/test.jsonl"))
    schema = sample.schema()
    near = [(gold, n.sql) for gold in golds for n in neighbours(gold.sql, schema) if "LIMIT" not in n.sql]
    asked = [(gold, gold.sql) for gold in golds] + random.Random(3).sample(near, 500)
    examples = [replace(gold, id=f"q{number}") for number, (gold, _) in enumerate(asked)]
    predictions = [Prediction(f"q{number}", sql=statement) for number, (_, statement) in enumerate(asked)]
    url = local_mysql.load(mysql_server, schema, sample.rows())
    with connect("sample") as here, connect(url) as there:
        pairs = zip(*(evaluate.score(examples, predictions, d) for d in (here, there)), strict=True)
    differ = [
        (mine.sql, mine.error, other.error)
        for mine, other in pairs
        if any(getattr(mine, name) != getattr(other, name) for name in ("va", *evaluate.CONVENTIONS))
        and not (mysql_server.is_mariadb and other.error_code in MARIADB_REFUSES)
    ]
    assert differ == []
