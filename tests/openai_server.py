"""A chat server over HTTP for tests: it speaks the OpenAI protocol, and gets into trouble as told.

    with serving(echo, troubles=[429, "drop"]) as (url, answered):
        models.load(f"openai:{url}#small")
"""

import json
import threading
from collections import deque
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from helpers import models


@contextmanager
def serving(answer, *, troubles=()):
    """Run a server: each request meets the next trouble, and is answered by `answer(body)` once none is left.

    A trouble is "fine" (answer), "drop" (close the connection), "cut" (close it within the answer), "hang" (send
    nothing until the server ends), "die" (drop this and all that follow), "odd" (an answer that is none), or a status
    code, whose message repeats the key it was sent. Yields the server's URL and the list of bodies it has answered.
    """
    troubles, answered, ended, lock = deque(troubles), [], threading.Event(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                trouble = troubles[0] if troubles else "fine"
                if troubles and trouble != "die":
                    troubles.popleft()
            if trouble == "hang":
                ended.wait(10)
            elif trouble == "odd":
                self.send(200, {"detail": "not a chat server"})
            elif isinstance(trouble, int):
                self.send(trouble, {"error": {"message": f"trouble for {self.headers['Authorization']}"}})
            elif trouble in ("fine", "cut"):
                reply = _reply(body, answer(body))
                with lock:
                    answered.append(body)
                self.send(200, reply, missing=5 if trouble == "cut" else 0)

        def send(self, status, body, *, missing=0):
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Retry-After-Ms", "1")
            self.end_headers()
            self.wfile.write(data[: len(data) - missing])

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


def backed_by(model):
    """Return an `answer` for `serving` that asks a loaded model, one request at a time."""
    lock = threading.Lock()

    def answer(body):
        with lock:
            [completion] = models.generate(model, [body["messages"]], max_new_tokens=body["max_tokens"],
                                           stop=body.get("stop", "turn"), temperature=body["temperature"],
                                           seed=body["seed"])
        return completion

    return answer


def _reply(body, said):
    """Write what the model said, a text or a Completion, as the protocol has it."""
    said = models.Completion(said, 7, 3) if isinstance(said, str) else said
    return {"id": "1", "object": "chat.completion", "created": 0, "model": body["model"],
            "choices": [{"index": 0, "finish_reason": "length" if said.finish == "length" else "stop",
                         "message": {"role": "assistant", "content": said.text}}],
            "usage": {"prompt_tokens": said.prompt_tokens, "completion_tokens": said.completion_tokens,
                      "total_tokens": said.prompt_tokens + said.completion_tokens}}
