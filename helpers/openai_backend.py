"""Ask a server that speaks the OpenAI chat protocol (vLLM, llama.cpp's, a hosted one) many questions at once.

>>> model = load("openai:http://127.0.0.1:8000/v1#meta-llama/Meta-Llama-3-8B-Instruct")

The server does the batching, and shares prefixes by its own cache: `prompts` lets every conversation of a run
begin with the same messages. So this room only keeps CONCURRENCY requests open, retries what may pass
(time-outs, dropped connections, 408, 409, 429, 5xx; the client backs off and heeds Retry-After), and hands
over each answer as it comes. When a request fails for good, no new one is sent, the open ones are awaited and
handed over, and only then the error is raised: what was journaled is kept, and a resumed run asks for the
rest. Errors name the server and never the key, which is why no address may hold one.

Not covered: a beginning for the answer (`prefill`, or a last assistant message) is sent the way vLLM takes
it, and other servers may refuse or ignore it; a statement's `;` is cut off here, after the server has gone on
to the end of the turn, because the protocol's stop strings know no quotes.
"""

import time
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed

from helpers import runtime
from helpers.completion import Completion, ModelError, end_of

CONCURRENCY = 16
RETRIES = 5
TIMEOUT_S = 120.0


def load(model_id: str):
    """Return a Model for "openai:URL#name" or "URL#name"; the key is the secret OPENAI_API_KEY, if any."""
    import openai

    from helpers.models import Model

    url, _, name = model_id.removeprefix("openai:").partition("#")
    if "@" in url or "?" in url:  # the id is written into every prediction
        raise ModelError("A model's address must hold no password, key or query: put the key in OPENAI_API_KEY.")
    if not url.startswith(("http://", "https://")) or not name:
        raise ModelError(f'{model_id!r} names no server and model: write "openai:http://HOST:PORT/v1#MODEL".')
    try:
        key = runtime.secret("OPENAI_API_KEY")
    except runtime.SecretMissing:
        key = "none"  # the client wants a key; a server of one's own does not look at it
    client = openai.OpenAI(base_url=url, api_key=key, timeout=TIMEOUT_S, max_retries=RETRIES)
    return Model(f"openai:{url}#{name}", "openai", client)


def _seed(seed: int, sample: int) -> int:
    """Give a sample a seed of its own: sample 1 of one run must not be sample 0 of the next."""
    return zlib.crc32(f"{seed}/{sample}".encode()) if sample else seed


def generate(model, conversations: Sequence, *, max_new_tokens: int, stop: tuple[str, ...], prefill: str,
             temperature: float, n: int, seed: int, batch_size: int,
             on_result: Callable[[int, Completion], None]) -> list[Completion]:
    """Answer every conversation; arguments as for `models.generate`, `batch_size` being the open requests.

    `on_result` is called in the caller's thread. Raises ModelError once a request has failed for good.
    """
    request = {"model": model.id.partition("#")[2], "max_tokens": max_new_tokens, "temperature": temperature}
    if strings := [rule for rule in stop if rule != "statement"]:
        request["stop"] = strings
    results: list[Completion | None] = [None] * (len(conversations) * n)
    failure = None
    with ThreadPoolExecutor(batch_size or CONCURRENCY) as threads:
        waiting: dict[Future, int] = {}
        for index in range(len(results)):
            body = {**request, "seed": _seed(seed, index % n), **_messages(conversations[index // n], prefill)}
            waiting[threads.submit(_ask, model, body, stop, prefill)] = index
        for answer in as_completed(waiting):
            if answer.cancelled():
                continue
            if error := answer.exception():
                failure = failure or error
                for other in waiting:
                    other.cancel()
                continue
            results[waiting[answer]] = answer.result()
            on_result(waiting[answer], answer.result())
    if failure:
        raise failure
    return results


def _messages(conversation, prefill: str) -> dict:
    """Return the request's messages, and how vLLM is told to go on with the last of them."""
    messages = list(conversation)
    begun = messages.pop()["content"] if messages and messages[-1]["role"] == "assistant" else ""
    if not begun + prefill:
        return {"messages": messages}
    return {"messages": [*messages, {"role": "assistant", "content": begun + prefill}],
            "extra_body": {"continue_final_message": True, "add_generation_prompt": False}}


def _ask(model, body: dict, stop: tuple[str, ...], prefill: str) -> Completion:
    """Send one request, with the client's retries, and read the answer."""
    import openai

    # The client's own errors are left out of the chain: they quote the server, and a server may quote the key.
    begun = time.perf_counter()
    try:
        reply = model.model.chat.completions.create(**body)
    except openai.APIConnectionError:  # time-outs are among these
        raise ModelError(f"{model.id} did not answer after {model.model.max_retries} retries: start the "
                         "server, or check its address, and resume the run.") from None
    except openai.APIStatusError as error:
        raise ModelError(f"{model.id} refused the request with status {error.status_code}: "
                         f"{_remedy(error.status_code)}.") from None
    if not getattr(reply, "choices", None):
        raise ModelError(f"{model.id} sent no chat completion: check the address, which usually ends in /v1.")
    choice = reply.choices[0]
    text = prefill + (choice.message.content or "")
    finish = "length" if choice.finish_reason == "length" else "turn"
    if isinstance(getattr(choice, "stop_reason", None), str):  # vLLM says which string it was
        finish = "stop"
    if end := end_of(text, stop):
        text, finish = text[: end[0]], end[1]
    usage = reply.usage
    return Completion(text, usage.prompt_tokens if usage else 0, usage.completion_tokens if usage else 0,
                      time.perf_counter() - begun, finish)


def _remedy(status: int) -> str:
    return {400: "shorten the prompt or max_new_tokens to the server's context length, or see its log",
            401: "set OPENAI_API_KEY to a key it accepts", 403: "set OPENAI_API_KEY to a key it accepts",
            404: "check the path (usually /v1) and that the model after # is the one it serves",
            429: "it stayed overloaded; lower the number of open requests and resume the run",
            }.get(status, "see its log, then resume the run")
