"""Few-shot answers: one a question, votes among samples, second attempts, and going on after a kill."""

import json
from dataclasses import replace

import pytest

from helpers import database, fewshot, models, prompts, runs, voting
from helpers.dataset import Example
from helpers.params import Baseline, ParameterError, check

QUESTIONS = [Example(f"q{n}", f"How many {what}?", "") for n, what in enumerate(["orders", "offices", "payments"])]
CONTEXT = prompts.Context("the schema")
GOOD, SAME, OTHER = "SELECT COUNT(*) FROM orders;", "SELECT 326;", "SELECT 7;"
WRONG, WRONG_TOO, EMPTY = "SELECT nme FROM orders;", "SELECT 1 FROM order;", "SELECT 1 FROM orders WHERE 1 = 0;"


@pytest.fixture(scope="module")
def db():
    with database.connect("sample") as opened:
        yield opened


@pytest.fixture
def start(tmp_path):
    """Return a function that begins, or goes on with, a run of these parameters."""
    return lambda **values: runs.start(Baseline(out=str(tmp_path / "suite"), **values))


def answer(run, model, db, examples=QUESTIONS, context=CONTEXT):
    return fewshot.answer(run, examples, context, model, method="few-shot", database=db)


def rows(run, name):
    return [json.loads(line) for line in (run.folder / name).read_text().splitlines()]


def test_each_question_is_asked_in_its_own_context(start, db):
    model = models.fake([GOOD] * 3)
    contexts = [prompts.Context(f"schema {n}") for n in range(3)]
    found = answer(start(), model, db, context=contexts)
    assert [asked[0]["content"].split("\n\n")[1] for asked in model.model.asked] == ["schema 0", "schema 1", "schema 2"]
    assert [p.sql for p in found] == [GOOD[:-1]] * 3 and {p.steps for p in found} == {1}


def test_what_is_off_leaves_no_file_and_needs_no_database(start):
    run = start()
    assert len(answer(run, models.fake([WRONG] * 3), None)) == 3
    assert not [name for name in ("votes.jsonl", "repairs.jsonl") if (run.folder / name).exists()]


@pytest.mark.parametrize("values", [{"n": 3, "temperature": 0.7}, {"decoding": "grammar"}, {"self_repair": True}])
def test_what_looks_at_the_database_asks_for_it(start, values):
    with pytest.raises(ValueError, match="needs a database"):
        answer(start(**values), models.fake([]), None)


def test_samples_of_a_greedy_model_are_refused_with_the_parameters():
    with pytest.raises(ParameterError, match="n = 5 needs a temperature above 0"):
        check("03_baseline", {"n": 5}, where="here")
    assert check("03_baseline", {"n": 5, "temperature": 0.5}, where="here").n == 5


@pytest.mark.parametrize(
    "samples, winner, groups, failed, agreement",
    [
        ([OTHER, GOOD, SAME], 1, ((1, 2), (0,)), (), 2 / 3),
        ([OTHER, GOOD], 0, ((0,), (1,)), (), 1 / 2),
        ([WRONG, WRONG, OTHER], 2, ((2,),), (0, 1), 1 / 3),
        ([WRONG, WRONG_TOO], 0, (), (0, 1), 0),
        (["DROP TABLE orders", EMPTY], 1, ((1,),), (0,), 1 / 2),
        (["SELECT 1 UNION ALL SELECT 2", "SELECT 3", "SELECT 2 UNION ALL SELECT 1"], 0, ((0, 2), (1,)), (), 2 / 3),
        (["SELECT 1, 'a'", "SELECT 'a', 1"], 0, ((0, 1),), (), 1),
        (["SELECT 1", "SELECT 1 UNION ALL SELECT 1", "SELECT 1, 1"], 0, ((0,), (1,), (2,)), (), 1 / 3),
        ([EMPTY, "SELECT 1, 2 FROM orders WHERE 1 = 0", GOOD], 0, ((0,), (1,), (2,)), (), 1 / 3),
        (["SELECT 0.1 + 0.2", "SELECT 0.3"], 0, ((0, 1),), (), 1),
    ],
)
def test_the_result_of_most_samples_wins(db, samples, winner, groups, failed, agreement):
    vote = voting.elect([sample.rstrip(";") for sample in samples], db)
    assert (vote.winner, vote.groups, vote.failed) == (winner, groups, failed)
    assert vote.agreement == pytest.approx(agreement)


def test_a_vote_is_the_prediction_at_the_cost_of_all_samples(start, db):
    run = start(n=3, temperature=0.7)
    [found] = answer(run, models.fake([OTHER, GOOD, SAME]), db, QUESTIONS[:1])
    once = len(" ".join(m["content"] for m in prompts.conversation(CONTEXT, QUESTIONS[0].nlq)).split())
    assert (found.sql, found.completion, found.steps) == (GOOD[:-1], GOOD, 1)
    assert (found.prompt_tokens, found.completion_tokens) == (3 * once, 2 + 4 + 2)
    [row] = rows(run, "votes.jsonl")
    assert (row["example_id"], row["winner"], row["agreement"]) == ("q0", 1, 0.6667)
    assert row["samples"] == [OTHER[:-1], GOOD[:-1], SAME[:-1]] and row["completion_tokens"] == 8


def test_a_question_whose_samples_are_all_there_is_not_asked_again(start, db):
    values = {"n": 2, "temperature": 0.7}
    killed = models.fake([GOOD, SAME, OTHER, models.ModelError("the machine went away")])
    with pytest.raises(models.ModelError, match="went away"):
        answer(start(**values), killed, db)
    resumed = models.fake([OTHER, OTHER, GOOD, GOOD])
    run = start(**values)
    found = answer(run, resumed, db)
    assert [asked[-1]["content"] for asked in resumed.model.asked] == [e.nlq for e in QUESTIONS[1:] for _ in range(2)]
    assert [p.sql for p in found] == [GOOD[:-1], OTHER[:-1], GOOD[:-1]]
    run.finish(order=[e.id for e in QUESTIONS])
    assert [row["example_id"] for row in rows(run, "votes.jsonl")] == ["q0", "q1", "q2"]


def test_a_statement_that_fails_is_shown_its_error_once(start, db):
    run, model = start(self_repair=True), models.fake([GOOD, WRONG, EMPTY, OTHER])
    found = answer(run, model, db)
    assert [p.sql for p in found] == [GOOD[:-1], OTHER[:-1], EMPTY[:-1]]
    assert [p.steps for p in found] == [1, 2, 1]
    asked = model.model.asked[3]
    assert asked[:-2] == model.model.asked[1] and asked[-2] == {"role": "assistant", "content": WRONG}
    assert asked[-1]["role"] == "user" and "Unknown column 'nme'" in asked[-1]["content"]
    words = [sum(len(m["content"].split()) for m in turns) for turns in (model.model.asked[1], asked)]
    assert (found[1].prompt_tokens, found[1].completion_tokens) == (sum(words), 4 + 2)
    run.finish(order=[e.id for e in QUESTIONS])
    [row] = rows(run, "repairs.jsonl")
    assert (row["example_id"], row["before"], row["after"]) == ("q1", WRONG[:-1], OTHER[:-1])
    assert "Unknown column" in row["error"]


def test_the_second_attempt_is_the_last(start, db):
    model = models.fake(["DELETE FROM orders;", WRONG])
    [found] = answer(start(self_repair=True), model, db, QUESTIONS[:1])
    assert (found.sql, found.steps, len(model.model.asked)) == (WRONG[:-1], 2, 2)


def test_a_winner_that_fails_is_repaired(start, db):
    run = start(n=2, temperature=0.7, self_repair=True)
    model = models.fake([WRONG, WRONG_TOO, WRONG, GOOD, OTHER])
    found = answer(run, model, db, QUESTIONS[:2])
    assert [(p.sql, p.steps) for p in found] == [(OTHER[:-1], 2), (GOOD[:-1], 1)]
    assert found[0].completion_tokens == 4 + 4 + 2


@pytest.mark.parametrize("died", ["before the second attempt", "in the middle of a line"])
def test_a_failed_draft_outlives_a_kill(start, db, died):
    values = {"self_repair": True}
    undisturbed = answer(start(variant="undisturbed", **values), models.fake([WRONG, GOOD, OTHER]), db, QUESTIONS[:2])
    run = start(**values)
    with pytest.raises(models.ModelError, match="went away"):
        answer(run, models.fake([WRONG, GOOD, models.ModelError("the machine went away")]), db, QUESTIONS[:2])
    if died == "in the middle of a line":
        with (run.folder / "repairs.jsonl").open("a") as journal:
            journal.write('{"example_id": "q0", "bef')
    resumed = models.fake([OTHER])
    found = answer(start(**values), resumed, db, QUESTIONS[:2])
    assert [replace(p, seconds=0) for p in found] == [replace(p, seconds=0) for p in undisturbed]
    assert len(resumed.model.asked) == 1


def test_one_question_is_answered_without_a_run():
    found = fewshot.ask("How many orders?", CONTEXT, models.fake([GOOD]))
    assert (found.sql, found.nlq, found.method) == (GOOD[:-1], "How many orders?", "asked")
