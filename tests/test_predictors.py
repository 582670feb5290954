"""Predictors: who is offered, what is loaded when, what is reported on the way, and that a stop is heeded."""

import json

import pytest

from helpers import database, dataset, models, params, predictors, prompts, runs
from tests import tiny_model


class Enough(Exception):
    """What a view raises once Stop was pressed."""


@pytest.fixture(scope="module")
def sample():
    with database.connect("sample") as opened:
        yield opened


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_model.save(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def out(tmp_path_factory, base):
    """A suite folder with two finished runs of 05_qlora, of different weights, and one that failed."""
    folder = tmp_path_factory.mktemp("suite")
    for seed, variant in enumerate(("r=2", "r=4", "broken")):
        p = params.Qlora(out=str(folder), variant=variant, model_id=str(base), k=seed, linking=variant == "r=4")
        run = runs.start(p)
        adapter(base, run.folder / "adapter", seed)
        run.fail("broken") if variant == "broken" else run.finish()
    return folder


def adapter(base, folder, seed):
    """Write an adapter of random weights."""
    import peft
    import torch

    torch.manual_seed(seed + 1)
    module = models.load(str(base)).model
    config = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"], lora_alpha=64, init_lora_weights=False,
                             task_type="CAUSAL_LM")  # fmt: skip
    peft.get_peft_model(module, config).save_pretrained(folder)


def context(sample):
    return prompts.Context(prompts.describe(sample.schema, schema_format="compact"))


def offered(sample, out, base, **values):
    p = params.Playground(out=str(out), model_id=str(base), max_new_tokens=8, **values)
    return predictors.offered(p, context(sample), sample)


def test_all_that_can_answer_are_offered_by_name_and_nothing_is_loaded(sample, out, base, monkeypatch):
    monkeypatch.setattr(models, "load", lambda *_, **__: pytest.fail("loaded before its first use"))
    assert list(offered(sample, out, base, endpoint="openai:http://127.0.0.1:1/v1#llama-3")) == [
        "few-shot", "ReAct", "adapter 05_qlora/r=2", "adapter 05_qlora/r=4", "endpoint llama-3",
    ]  # fmt: skip
    assert next(iter(offered(sample, out, base, adapter="05_qlora/r=4"))) == "adapter 05_qlora/r=4"


def test_predictors_share_one_model_and_none_disturbs_another(sample, out, base):
    """Base, then two adapters, then the base again: each answers as it does when it is loaded alone."""
    asked, alone = {}, {}
    bench = predictors.Bench({})
    folders = {"": "", **{n: str(out / "05_qlora" / n / "adapter") for n in ("r=2", "r=4")}}
    conversation = [prompts.conversation(context(sample), "How many orders?")]
    for name in ("", "r=2", "r=4", "", "r=2"):
        with predictors.using(bench, name, str(base), folders[name]) as model:
            [completion] = models.generate(model, conversation, max_new_tokens=8)
            asked.setdefault(name, set()).add(completion.text)
    for name, folder in folders.items():
        [completion] = models.generate(models.load(str(base), adapter=folder), conversation, max_new_tokens=8)
        alone[name] = {completion.text}
    assert asked == alone and len({*map(str, alone.values())}) == 3
    weights = {id(m.model.get_input_embeddings().weight) for m in bench.models.values()}
    assert len(weights) == 1


def test_a_question_is_reported_as_it_is_written_and_its_prefix_is_kept(sample, base):
    bench = predictors.Bench({})
    p = params.Playground(model_id=str(base), max_new_tokens=6)
    said = []
    with predictors.using(bench, "few-shot", str(base), "") as model:
        prediction = predictors.few_shot(model, context(sample), "How many orders?", said.append, p=p)
        assert said[-1].startswith(prediction.completion) and len(said) == prediction.completion_tokens
        read = len(model.prefix.tokens)
    with predictors.using(bench, "few-shot", str(base), "") as model:
        assert len(model.prefix.tokens) == read > 100


def test_a_stop_between_tokens_ends_the_answer(sample, out, base):
    predict = offered(sample, out, base)["few-shot"]
    said = []

    def report(text):
        said.append(text)
        if len(said) == 4:
            raise Enough

    with pytest.raises(Enough):
        predict("How many orders?", report)
    assert len(said) == 4
    assert predict("How many orders?", lambda text: None).completion_tokens > 0


def test_react_reports_its_trace_as_it_grows(sample):
    replies = [" I look.\nAction: list_tables()", " I know.\nAction: finish(SELECT COUNT(*) FROM orders)"]
    said = []
    model = models.fake(replies)
    p = params.Playground()
    prediction = predictors.act(model, context(sample), sample, "How many orders?", said.append, p=p)
    assert prediction.sql == "SELECT COUNT(*) FROM orders"
    assert said[0] == "Thought:" and "Observation: productlines" in said[2] and "Action: finish" in said[-1]
    assert all(later.startswith(earlier) for earlier, later in zip(said, said[1:], strict=False))


def test_an_adapter_is_asked_as_it_was_trained(sample, out, base, monkeypatch):
    train = dataset.load(dataset.FOLDER / "train.jsonl")[:2]
    asked = []
    monkeypatch.setattr(predictors, "few_shot", lambda model, context, question, report, p: asked.append(context))
    p = params.Playground(out=str(out), model_id=str(base), schema_format="compact", k=2)
    found = predictors.offered(p, prompts.Context("tables", tuple(train)), sample)
    for name in ("few-shot", "adapter 05_qlora/r=2", "adapter 05_qlora/r=4"):
        found[name]("How many orders?", lambda text: None)
    assert [len(each.exemplars) for each in asked] == [2, 0, 1]
    assert [each.linking for each in asked] == [False, False, True]
    assert asked[0].description == "tables" and "CREATE TABLE" in asked[1].description  # it was trained on DDL


def test_a_server_that_does_not_answer_can_be_left(sample, out, base):
    """The request is open and nobody answers: a stop does not wait for its time limit."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"openai:http://127.0.0.1:{silent.getsockname()[1]}/v1#slow"
        predict = offered(sample, out, base, endpoint=endpoint)["endpoint slow"]

        def report(text):
            raise Enough

        with pytest.raises(Enough):
            predict("How many orders?", report)


def test_questions_are_offered_for_their_own_database_alone(sample, tmp_path):
    p = params.Playground(out=str(tmp_path), limit=3)
    pool, asked = predictors.questions(p, sample)
    assert pool == dataset.load(dataset.FOLDER / "train.jsonl") and len(asked) == 3
    (tmp_path / "pets.sql").write_text("CREATE TABLE pets (petId int PRIMARY KEY);")
    with database.connect(f"dump:{tmp_path / 'pets.sql'}") as pets:
        assert predictors.questions(p, pets) == ([], [])


def test_the_splits_are_those_of_a_finished_run_or_the_suites_own(tmp_path):
    p = params.Playground(out=str(tmp_path))
    assert predictors.splits(p) == dataset.FOLDER
    run = runs.start(params.Curate(out=str(tmp_path)))
    with pytest.raises(runs.RunError, match="run 02_curate first"):
        predictors.splits(p)
    run.finish()
    assert predictors.splits(p) == run.folder
    with pytest.raises(runs.RunError, match="mine"):
        predictors.splits(p.model_copy(update={"curated": "mine"}))
    assert json.loads((run.folder / "metrics.json").read_text())
