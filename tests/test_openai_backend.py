"""The OpenAI back end against a real HTTP server: overload, dropped connections, silence, death half-way."""

import logging
import threading
import traceback
from dataclasses import replace

import pytest

from helpers import fewshot, models, params, prompts, runs
from helpers.dataset import Example
from helpers.models import ModelError
from tests import tiny_model
from tests.conftest import require
from tests.openai_server import backed_by, serving


def asking(url, **options):
    model = models.load(f"openai:{url}#small")
    return replace(model, model=model.model.with_options(**options))


def questions(count):
    return [[{"role": "user", "content": f"question {i}"}] for i in range(count)]


def echo(body):
    return "SELECT '" + body["messages"][-1]["content"] + ";' FROM t; Done."


def test_answers_come_in_the_order_of_the_questions():
    seen = []
    with serving(echo) as (url, answered):
        done = models.generate(asking(url), questions(20), max_new_tokens=9, stop=("statement", "\nObservation:"),
                               on_result=lambda index, completion: seen.append((index, completion)))
    assert [c.text for c in done] == [f"SELECT 'question {i};' FROM t;" for i in range(20)]
    assert sorted(seen, key=lambda pair: pair[0]) == list(enumerate(done))
    assert (done[0].prompt_tokens, done[0].completion_tokens, done[0].finish) == (7, 3, "statement")
    assert {(body["model"], body["max_tokens"], *body["stop"]) for body in answered} == {
        ("small", 9, "\nObservation:")}


@pytest.mark.parametrize("troubles", [[429, 429], ["drop"], ["cut"], [503, "drop"], [500, 408], ["hang"]], ids=str)
def test_passing_troubles_are_retried(troubles):
    with serving(echo, troubles=troubles) as (url, answered):
        model = asking(url, timeout=0.3, max_retries=3)
        done = models.generate(model, questions(3), max_new_tokens=9, batch_size=2)
    assert [f"question {i}" in c.text for i, c in enumerate(done)] == [True] * 3
    assert len(answered) == 3 + troubles.count("cut")


def test_requests_are_open_together():
    together = threading.Barrier(4)

    def answer(body):
        together.wait(timeout=20)
        return echo(body)

    with serving(answer) as (url, _):
        assert len(models.generate(asking(url), questions(8), max_new_tokens=9, batch_size=4)) == 8


def test_a_server_that_dies_half_way_loses_nothing_and_the_resumed_run_asks_for_the_rest(tmp_path):
    examples = [Example(f"q{i}", f"question {i}", "") for i in range(12)]
    context = prompts.Context("orders (orderNumber)", tuple(examples[:2]))

    def run(url):
        opened = runs.start(params.check("03_baseline", {"out": str(tmp_path), "batch_size": 2}, where="test"))
        return fewshot.answer(opened, examples, context, asking(url, max_retries=0), method="few-shot")

    with serving(echo, troubles=["fine"] * 5 + ["die"]) as (url, first):
        with pytest.raises(ModelError, match="resume the run"):
            run(url)
    kept = (tmp_path / "03_baseline" / "predictions.jsonl").read_text()
    assert kept.count("\n") == len(first) == 5
    with serving(echo) as (url, rest):
        done = run(url)
    assert [p.sql for p in done] == [f"SELECT 'question {i};' FROM t" for i in range(12)]
    assert (tmp_path / "03_baseline" / "predictions.jsonl").read_text().startswith(kept)
    asked = [body["messages"] for body in [*first, *rest]]
    assert sorted(m[-1]["content"] for m in asked) == sorted(e.nlq for e in examples)
    assert all(m[:-1] == asked[0][:-1] for m in asked)  # what the server's own prefix cache goes by


@pytest.mark.parametrize("status, remedy", [(401, "OPENAI_API_KEY"), (404, "path"), (400, "shorten"), (429, "lower")])
def test_a_refusal_says_what_to_do_and_never_the_key(status, remedy, monkeypatch, caplog):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    caplog.set_level(logging.DEBUG)
    with serving(echo, troubles=[status] * 2) as (url, _):
        with pytest.raises(ModelError, match=remedy) as refused:
            models.generate(asking(url, max_retries=1), questions(1), max_new_tokens=9)
    assert "sk-very" not in "".join(traceback.format_exception(refused.value)) + caplog.text


def test_an_answer_that_is_none_is_a_fault_of_the_address():
    with serving(echo, troubles=["odd"]) as (url, _):
        with pytest.raises(ModelError, match="no chat completion"):
            models.generate(asking(url), questions(1), max_new_tokens=9)


@pytest.mark.parametrize("weights", ["tiny", "bundled"])
def test_a_model_behind_a_server_answers_as_it_does_at_home(weights, tmp_path):
    try:
        model = models.load("bundled" if weights == "bundled" else str(tiny_model.save(tmp_path)))
    except ModelError as error:
        require(False, f"the bundled model is not here: {error}")
    settings = {"max_new_tokens": 12, "prefill": "SELECT", "batch_size": 3}
    with serving(backed_by(model)) as (url, _):
        away = models.generate(asking(url), questions(3), **settings)
    home = models.generate(model, questions(3), **settings)
    assert [replace(c, seconds=0) for c in away] == [replace(c, seconds=0) for c in home]


def test_samples_and_a_begun_answer():
    with serving(lambda body: f" {body['seed']}") as (url, answered):
        done = models.generate(asking(url), questions(2), max_new_tokens=9, prefill="SELECT", n=2, temperature=1,
                               seed=5)
        later = models.generate(asking(url), questions(1), max_new_tokens=9, prefill="SELECT", n=2, temperature=1,
                                seed=6)
    assert done[0].text == "SELECT 5" and [c.text for c in done[2:]] == [c.text for c in done[:2]]
    assert len({c.text for c in [*done, *later]}) == 4, "no sample is drawn twice"
    assert all(body["messages"][-1] == {"role": "assistant", "content": "SELECT"} and body["continue_final_message"]
               for body in answered)


@pytest.mark.parametrize("model_id", ["openai:http://host/v1", "openai:host#name", "openai:"])
def test_a_half_named_server_is_refused(model_id):
    with pytest.raises(ModelError, match="openai:http://HOST:PORT/v1#MODEL"):
        models.load(model_id)


def test_a_key_in_the_address_is_refused_without_being_repeated():
    with pytest.raises(ModelError, match="OPENAI_API_KEY") as refused:
        models.load("openai:http://me:sk-very-secret@host/v1#name")
    assert "sk-very" not in str(refused.value)
