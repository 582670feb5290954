"""The OpenAI back end against a real HTTP server: overload, dropped connections, silence, death half-way."""

import json
import threading
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from helpers import models
from helpers.models import ModelError


@contextmanager
def serving(answer, *, troubles=()):
    """Run a chat server: each request meets the next trouble, and is answered by `answer(body)` once none is left.

    A trouble is "drop" (close the connection), "hang" (send nothing until the server ends), "die" (drop this and
    all that follow), or a status code. Yields the server's URL and the list of bodies it has answered.
    """
    troubles, answered, ended, lock = list(troubles), [], threading.Event(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                trouble = troubles[0] if troubles else None
                if troubles and trouble != "die":
                    troubles.pop(0)
            if trouble == "hang":
                ended.wait(10)
            elif isinstance(trouble, int):
                self._send(trouble, {"error": {"message": "trouble"}})
            elif not trouble or trouble == "fine":
                with lock:
                    text = answer(body)
                    answered.append(body)
                self._send(200, text)

        def _send(self, status, body):
            if isinstance(body, str):
                body = {"id": "1", "object": "chat.completion", "created": 0, "model": "m",
                        "choices": [{"index": 0, "finish_reason": "stop",
                                     "message": {"role": "assistant", "content": body}}],
                        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}}
            data = json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", "Content-Length": len(data),
                                "Retry-After-Ms": 1}.items():
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments):
            """Say nothing on stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", answered
    finally:
        ended.set()
        server.shutdown()
        thread.join()
        server.server_close()


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


@pytest.mark.parametrize("troubles", [[429, 429], ["drop"], [503, "drop"], ["hang"]], ids=str)
def test_passing_troubles_are_retried(troubles):
    with serving(echo, troubles=troubles) as (url, answered):
        model = asking(url, timeout=0.3, max_retries=3)
        done = models.generate(model, questions(3), max_new_tokens=9, batch_size=2)
    assert [f"question {i}" in c.text for i, c in enumerate(done)] == [True] * 3
    assert len(answered) == 3


def test_a_server_that_dies_half_way_loses_nothing_and_a_resumed_run_asks_for_the_rest():
    journal = {}
    with serving(echo, troubles=["fine"] * 5 + ["die"]) as (url, _):
        with pytest.raises(ModelError, match="resume the run"):
            models.generate(asking(url, max_retries=0), questions(12), max_new_tokens=9, batch_size=2,
                            on_result=journal.__setitem__)
    assert len(journal) == 5
    rest = [i for i in range(12) if i not in journal]
    with serving(echo) as (url, answered):
        again = models.generate(asking(url), [questions(12)[i] for i in rest], max_new_tokens=9)
    journal |= dict(zip(rest, again, strict=True))
    assert len(answered) == 7
    assert [journal[i].text for i in range(12)] == [f"SELECT 'question {i};' FROM t; Done." for i in range(12)]


@pytest.mark.parametrize("status, remedy", [(401, "OPENAI_API_KEY"), (404, "path"), (400, "shorten")])
def test_a_refusal_says_what_to_do(status, remedy, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    with serving(echo, troubles=[status]) as (url, _):
        with pytest.raises(ModelError, match=remedy) as refused:
            models.generate(asking(url), questions(1), max_new_tokens=9)
    assert "sk-very" not in str(refused.value)


def test_samples_and_a_begun_answer():
    with serving(lambda body: f" {body['seed']}") as (url, answered):
        done = models.generate(asking(url), questions(2), max_new_tokens=9, prefill="SELECT", n=2, temperature=1,
                               seed=5)
    assert [c.text for c in done] == ["SELECT 5", "SELECT 6", "SELECT 5", "SELECT 6"]
    assert all(body["messages"][-1] == {"role": "assistant", "content": "SELECT"} and body["continue_final_message"]
               for body in answered)


@pytest.mark.parametrize("model_id", ["openai:http://host/v1", "openai:host#name", "openai:"])
def test_a_half_named_server_is_refused(model_id):
    with pytest.raises(ModelError, match="openai:http://HOST:PORT/v1#MODEL"):
        models.load(model_id)
