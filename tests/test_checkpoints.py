"""Checkpoints scored by what they answer: which is kept, when training stops, and what a kill does not change."""

import json

import pytest

from helpers import checkpoints, database, finetune, models, prompts, runs, validation
from helpers.dataset import Example
from helpers.params import Qlora
from tests import tiny_model

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.usefixtures("one_thread")
QUESTIONS = [Example(f"t{n}", f"How many orders have {word}?", f"SELECT COUNT(*) FROM orders WHERE {word} IS NULL")
             for n, word in enumerate("status comments shippedDate requiredDate orderDate customerNumber".split())]
CONTEXTS = [prompts.Context("CREATE TABLE orders (status text);")]
PARAMS = Qlora(lora_r=4, lora_alpha=8, per_device_train_batch_size=2, gradient_accumulation_steps=2, max_steps=5,
               save_steps=3, eval_steps=2, warmup_steps=1, learning_rate=1e-2, lora_dropout=0.1)
RISING = {2: 0.1, 4: 0.2, 5: 0.3}
EARLY = {2: 0.5, 4: 0.5, 5: 0.2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_model.save(tmp_path_factory.mktemp("tiny"))


def answering(scores, killed_at=0):
    """Return a `choose` that lets the model answer, draws random numbers, and gives the step's score in the table."""
    def choose(model, step):
        if step == killed_at:
            raise KeyboardInterrupt
        models.generate(model, [[{"role": "user", "content": "How many?"}]] * 2, max_new_tokens=3)
        torch.rand(3)
        return {"ex": scores[step], "va": 1.0}
    return choose


def train(folder, run, choose=None, **changes):
    params = PARAMS.model_copy(update=changes)
    model = models.load(str(folder), load_in_4bit=params.load_in_4bit, compute_dtype=params.bnb_4bit_compute_dtype)
    rows = finetune.rows(QUESTIONS, CONTEXTS, model, seed=7)
    return model, finetune.train(model, rows, params, run, choose=choose)


def weights(model):
    return {name: p.detach().clone() for name, p in model.model.named_parameters() if "lora_" in name}


def losses(history):
    return [entry["loss"] for entry in history if "loss" in entry]


def steps(run):
    return [row["step"] for row in checkpoints.read(run)]


def row(step, *values):
    return {"step": step, **dict(zip(("ex", "ex_superset", "va"), values, strict=False)), "seconds": 9.0 - step}


@pytest.mark.parametrize("rows, step", [
    ([row(2, 0.1), row(4, 0.3), row(6, 0.2)], 4), ([row(2, 0.3), row(4, 0.3)], 2),
    ([row(2, 0.3, 0.4), row(4, 0.3, 0.5)], 4), ([row(2, 0.3, 0.4), row(4, 0.2, 0.9)], 2)])
def test_the_first_number_decides_the_next_breaks_ties_and_the_earlier_wins(rows, step):
    assert checkpoints.best(rows)["step"] == step


@pytest.mark.parametrize("values, patience, stops", [
    ([], 1, False), ([0.1, 0.2, 0.3], 1, False), ([0.3, 0.2], 1, True), ([0.3, 0.2], 2, False),
    ([0.3, 0.3, 0.3], 2, True), ([0.1, 0.3, 0.2, 0.2], 2, True), ([0.3, 0.2, 0.1], 0, False)])
def test_patience_counts_checkpoints_since_the_best(values, patience, stops):
    assert checkpoints.exhausted([row(2 * n, value) for n, value in enumerate(values)], patience) is stops


@pytest.fixture(scope="module", params=[{}, {"bnb_4bit_compute_dtype": "bfloat16"}, {"load_in_4bit": True}], ids=str)
def unscored(request, folder, tmp_path_factory):
    """Train without scoring anything: the course that scoring must not change."""
    if "load_in_4bit" in request.param:
        pytest.importorskip("bitsandbytes")
    run = tmp_path_factory.mktemp("unscored")
    return (request.param, *train(folder, run, eval_steps=0, **request.param))


def test_answering_between_steps_does_not_change_the_training(unscored, folder, tmp_path):
    quantisation, expected, history = unscored
    model, scored = train(folder, tmp_path, answering(RISING), **quantisation)
    assert losses(scored) == losses(history) and len(losses(scored)) == 5
    assert steps(tmp_path) == [2, 4, 5]
    after = weights(model)
    assert all(torch.equal(weight, after[name]) for name, weight in weights(expected).items())


@pytest.fixture(scope="module")
def early(folder, tmp_path_factory):
    """Train with scores that make the first of the scored checkpoints the best."""
    run = tmp_path_factory.mktemp("early")
    return run, *train(folder, run, answering(EARLY))


def test_the_adapter_left_is_that_of_the_best_checkpoint(early, folder):
    run, model, _ = early
    assert checkpoints.chosen(run).name == "checkpoint-2"
    alone = weights(models.load(str(folder), adapter=checkpoints.chosen(run)))
    assert all(torch.equal(weight, alone[name]) for name, weight in weights(model).items())
    last = weights(models.load(str(folder), adapter=run / "checkpoints" / "checkpoint-5"))
    assert not all(torch.equal(weight, last[name]) for name, weight in alone.items())


@pytest.mark.parametrize("killed_at", [2, 5])
def test_a_kill_while_a_checkpoint_answers_changes_nothing(early, folder, tmp_path, killed_at):
    run, expected, history = early
    with pytest.raises(KeyboardInterrupt):
        train(folder, tmp_path, answering(EARLY, killed_at))
    torch.manual_seed(99)
    model, resumed = train(folder, tmp_path, answering(EARLY))
    assert losses(resumed) == losses(history)
    assert [r | {"seconds": 0} for r in checkpoints.read(tmp_path)] == [r | {"seconds": 0}
                                                                        for r in checkpoints.read(run)]
    after = weights(model)
    assert all(torch.equal(weight, after[name]) for name, weight in weights(expected).items())


def test_a_training_that_is_over_is_not_gone_on_with(early, folder):
    run, expected, history = early
    model, again = train(folder, run, answering({}))
    assert losses(again) == losses(history)
    after = weights(model)
    assert all(torch.equal(weight, after[name]) for name, weight in weights(expected).items())


def test_training_stops_when_patience_is_out_and_stays_stopped(folder, tmp_path):
    patience = {"early_stopping_patience": 1, "max_steps": 8, "num_train_epochs": 9}
    falling = {2: 0.5, 4: 0.4, 6: 0.9, 8: 0.9}
    _, history = train(folder, tmp_path, answering(falling), **patience)
    _, again = train(folder, tmp_path, answering(falling), **patience)
    assert steps(tmp_path) == [2, 4] and len(losses(history)) == len(losses(again)) == 4
    assert checkpoints.chosen(tmp_path).name == "checkpoint-2"


def test_a_checkpoint_is_scored_by_what_its_answers_return(tmp_path):
    dev = [Example("d1", "How many offices?", "SELECT COUNT(*) FROM offices"),
           Example("d2", "Which cities?", "SELECT city FROM offices"),
           Example("d3", "How many orders?", "SELECT COUNT(*) FROM orders")]
    replies = {"How many offices?": "SELECT COUNT(officeCode) FROM offices;",
               "How many orders?": "SELECT 1 FROM nowhere",
               "Which cities?": "SELECT city, phone FROM offices;"}
    run = runs.start(Qlora(out=str(tmp_path)))
    stale = run.folder / "dev" / "step-20" / "predictions.jsonl"
    stale.parent.mkdir(parents=True)
    stale.write_text(json.dumps({"example_id": "d3", "sql": "SELECT COUNT(*) FROM orders"}) + "\n")
    with database.connect("sample") as db:
        choose = validation.scorer(run, dev, prompts.Context("offices (city)"), db)
        scores = choose(models.fake(lambda conversation: replies[conversation[-1]["content"]]), 20)
    assert list(scores) == list(validation.DECIDING)
    assert scores["ex"] == scores["ex_strict"] == pytest.approx(1 / 3)
    assert scores["ex_superset"] == scores["va"] == pytest.approx(2 / 3)
    assert len(runs.predictions(stale.parent)) == 3
    (run.folder / "dev" / "checkpoints.jsonl").write_text(json.dumps({"step": 20, **scores, "seconds": 1.0}) + "\n")
    best = validation.of_best(run.folder)
    assert best["step"] == 20 and best["n"] == 3 and best["intervals"]["ex"]["low"] <= 1 / 3
    run.finish()
