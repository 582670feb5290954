"""Measure generation: seconds a question against one by one and llama.cpp, equality, memory, distance from the limit.

    python bench/generate.py [--questions 200] [--sample 8] [--react-questions 8] [--llama-cpp]

The prompts are those of a run: rule, the whole schema, three fixed exemplars, one question; the bundled
model; up to 48 tokens, ended by the model's turn. "One by one" is transformers' own `generate` on the full
prompt with the same end-of-turn tokens, for --sample questions spread evenly over all; its outputs are
compared with ours. llama.cpp gets the same tokens one by one, same weights as Q4_1, same end, prefix cached;
`--llama-cpp` installs it with pip, which compiles it, and its ratio is to our bf16. The arithmetic limit is
what the multiplications of the prefix, the suffixes and the answers would take at the rate of a 2048 x 2048
product measured in the same run.

Prints a table and, as its last line, one JSON object: ratio_naive_fp32, ratio_naive_bf16, ratio_llama_cpp
(null where it is not installed), ratio_limit (fp32: ours by the limit), equal_fp32, peak_gb, react_ratio.
"""

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from helpers import bundled, database, dataset, models, prompts, react, runtime, sample  # noqa: E402
from helpers.completion import end_of  # noqa: E402

DATA = Path(__file__).resolve().parent.parent / "data" / "classicmodels"
MAX_NEW_TOKENS = 48
FEW = 32  # the cost of a question is shown for so few, too


@dataclass(frozen=True)
class Task:
    """What is asked, and how many of it the slow ways answer."""

    conversations: list
    sample: int

    @property
    def picks(self) -> list[int]:
        return [i * len(self.conversations) // self.sample for i in range(self.sample)]


def task(questions: int, sampled: int) -> Task:
    """Render as many prompts as asked for; past the test questions they repeat with a number in front."""
    exemplars = prompts.fixed(dataset.load(DATA / "train.jsonl"), k=3, seed=7)
    context = prompts.Context(prompts.describe(sample.schema()), exemplars)
    asked = [example.nlq for example in dataset.load(DATA / "test.jsonl")]
    texts = [(f"{i // len(asked)}. " if i >= len(asked) else "") + asked[i % len(asked)] for i in range(questions)]
    return Task([prompts.conversation(context, text) for text in texts], min(sampled, questions))


def ours(model, conversations: list) -> tuple[float, list]:
    """Return seconds a question, prefix included, and the completions."""
    model.prefix = None
    begun = time.perf_counter()
    done = models.generate(model, conversations, max_new_tokens=MAX_NEW_TOKENS, stop="statement")
    return (time.perf_counter() - begun) / len(conversations), done


def one_by_one(model, conversations: list) -> tuple[float, list[str]]:
    """Return the same for transformers' own generate on each full prompt."""
    import torch

    texts = []
    begun = time.perf_counter()
    for conversation in conversations:
        ids = torch.tensor([models.encode(model, conversation)])
        made = model.model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=MAX_NEW_TOKENS,
                                    do_sample=False, eos_token_id=sorted(model.stop_ids), stop_strings=[";"],
                                    pad_token_id=model.tokenizer.pad_token_id, tokenizer=model.tokenizer)
        text = model.tokenizer.decode(made[0, ids.shape[1] :], skip_special_tokens=True)
        texts.append(text[: end[0]] if (end := end_of(text, ("statement",))) else text)
    return (time.perf_counter() - begun) / len(conversations), texts


def limit(model, done: list, shared: int) -> float:
    """Return the seconds a question that its multiplications take at the measured rate of a matrix product.

    A token costs two operations a weight (the embedding matrix only where a next token is chosen) and, per
    layer, four times the model's width for every token it attends to.
    """
    import torch

    square = torch.randn(2048, 2048, dtype=getattr(torch, model.dtype))
    times = []
    for _ in range(8):
        begun = time.perf_counter()
        square @ square
        times.append(time.perf_counter() - begun)
    rate = 2 * 2048**3 / min(times)
    config, head = model.model.config, model.model.get_input_embeddings().weight.numel()
    body = 2 * (sum(parameter.numel() for parameter in model.model.parameters()) - head)
    seen = 4 * config.num_hidden_layers * config.hidden_size
    operations = shared * (body + seen * shared / 2)
    for completion in done:
        own = completion.prompt_tokens - shared + completion.completion_tokens
        operations += own * (body + seen * (shared + own / 2)) + completion.completion_tokens * 2 * head
    return operations / rate / len(done)


def precision(asked: Task, dtype: str) -> dict:
    """Measure ours, one by one, and the limit in one dtype."""
    model = models.load("bundled", compute_dtype=dtype)
    ours(model, asked.conversations[:2])  # the first call also tries whether the attention can be split
    few, _ = ours(model, asked.conversations[:FEW])
    seconds, done = ours(model, asked.conversations)
    bound = limit(model, done, len(model.prefix.tokens))
    peak = runtime.peak_memory()["peak_rss_mb"] / 1024
    slow, texts = one_by_one(model, [asked.conversations[i] for i in asked.picks])
    equal = sum(text == done[i].text for text, i in zip(texts, asked.picks, strict=True))
    tokens = sum(completion.completion_tokens for completion in done) / len(done)
    print(f"{dtype:9} {len(done):5} questions of {done[0].prompt_tokens} tokens, {len(model.prefix.tokens)} shared, "
          f"{tokens:.1f} answered")
    print(f"{'':9} s a question: {seconds:.3f} ({few:.3f} for {FEW}); one by one {slow:.3f}, "
          f"{slow / seconds:.1f} times; limit {bound:.3f}, {seconds / bound:.1f} times; "
          f"{equal} of {len(texts)} outputs equal")
    short = {"float32": "fp32", "bfloat16": "bf16"}[dtype]
    return {f"ratio_naive_{short}": slow / seconds, f"equal_{short}": equal == len(texts), "peak_gb": peak,
            f"seconds_{short}": seconds, f"ratio_limit_{short}": seconds / bound}


def llama_cpp(asked: Task, install: bool) -> float | None:
    """Return llama.cpp's seconds a question, or None where it is not installed."""
    if install:
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "llama-cpp-python"], check=True)
    try:
        from llama_cpp import Llama
    except ImportError:
        return None
    model = models.load("bundled")
    with tempfile.TemporaryDirectory() as scratch:
        llama = Llama(str(bundled.download(Path(scratch))), n_ctx=2048, n_threads=runtime.hardware()["cores"],
                      verbose=False)
        given = [models.encode(model, asked.conversations[i]) for i in asked.picks]
        llama.eval(given[0][:-1])  # ours counts its prefix too, but spread over all the questions
        begun = time.perf_counter()
        for tokens in given:
            for count, token in enumerate(llama.generate(tokens, temp=0.0), start=1):
                if token in model.stop_ids or count == MAX_NEW_TOKENS or ";" in model.tokenizer.decode([token]):
                    break
        return (time.perf_counter() - begun) / len(given)


def react_ratio(questions: int, steps: int = 4) -> float:
    """Return how many times longer a plain ReAct loop takes than ours, in fp32, for the same transcripts.

    The plain loop takes one question at a time and reads the whole prompt at each of its steps, by transformers'
    own generate. A finish is turned into one more run_sql in both, so that every question takes all steps.
    Raises AssertionError if the transcripts differ.
    """
    model = models.load("bundled", compute_dtype="float32")
    asked = dataset.load(DATA / "test.jsonl")[:questions]
    exemplars = prompts.fixed(dataset.load(DATA / "train.jsonl"), k=2, seed=7, answered=asked)
    context = prompts.Context(prompts.describe(sample.schema()), exemplars, react.RULES)
    budget = react.Budget(max_steps=steps, max_new_tokens=MAX_NEW_TOKENS, max_observation_chars=300)

    def ours(conversations, stop, limit):
        return models.generate(model, conversations, stop=stop, max_new_tokens=limit, keep=True)

    def plain(conversations, stop, limit):
        return [_plain_step(model, conversation, stop, limit) for conversation in conversations]

    def solve(ask, group: int) -> tuple[float, list]:
        def without_finish(*given):
            return [replace(done, text=done.text.replace("finish(", "run_sql(")) for done in ask(*given)]

        model.prefix = None
        begun = time.perf_counter()
        with database.connect("sample") as opened:
            solved = react.solve(asked, context, opened, without_finish, budget=budget, group=group)
            traces = {trace["example_id"]: [{**step, "tokens": 0} for step in trace["steps"]] for _, trace in solved}
        return time.perf_counter() - begun, traces

    models.generate(model, [[{"role": "user", "content": "?"}]], max_new_tokens=1)  # tries how attention is split
    fast, together = solve(ours, questions)
    slow, alone = solve(plain, 1)
    assert together == alone, "ReAct's transcripts differ between the batched and the plain loop."
    print(f"ReAct     {questions} questions of {steps} steps: {fast:.1f} s; one question at a time {slow:.1f} s")
    return slow / fast


def _plain_step(model, conversation: list, stop: tuple[str, ...], limit: int):
    """Answer one conversation by transformers' own generate on the full prompt."""
    import torch

    ids = torch.tensor([models.encode(model, conversation)])
    made = model.model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=limit, do_sample=False,
                                eos_token_id=sorted(model.stop_ids), stop_strings=list(stop),
                                pad_token_id=model.tokenizer.pad_token_id, tokenizer=model.tokenizer)
    text = model.tokenizer.decode(made[0, ids.shape[1] :], skip_special_tokens=True)
    return models.Completion(text[: end[0]] if (end := end_of(text, stop)) else text)


def figures(asked: Task, install: bool) -> dict:
    """Run every measurement in turn and gather the figures under their lasting names."""
    found = precision(asked, "float32")
    gc.collect()
    half = precision(asked, "bfloat16")
    gc.collect()
    llama = llama_cpp(asked, install)
    if llama:
        print(f"llama.cpp  s a question: {llama:.3f}, {llama / half['seconds_bf16']:.1f} times bf16's")
    return {"ratio_naive_fp32": found["ratio_naive_fp32"], "ratio_naive_bf16": half["ratio_naive_bf16"],
            "ratio_llama_cpp": llama and llama / half["seconds_bf16"], "ratio_limit": found["ratio_limit_fp32"],
            "equal_fp32": found["equal_fp32"], "peak_gb": max(found["peak_gb"], half["peak_gb"])}


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--sample", type=int, default=8, help="questions the slow ways answer")
    parser.add_argument("--react-questions", type=int, default=8, help="questions of the ReAct comparison; 0 = none")
    parser.add_argument("--llama-cpp", action="store_true", help="install llama-cpp-python first")
    options = parser.parse_args()
    found = figures(task(options.questions, options.sample), options.llama_cpp)
    found["react_ratio"] = react_ratio(options.react_questions) if options.react_questions else None
    print(json.dumps({name: round(value, 2) if isinstance(value, float) else value for name, value in found.items()}))


if __name__ == "__main__":
    main()
