"""A run of a fake model that is killed at seeded moments until it is through; `test_kills` starts it.

    python -m tests.killed_run FOLDER SEED KILLS        # prints one JSON object: what each attempt came to

Every attempt is a forked process that sends itself SIGKILL at a line of the suite's code, drawn from those that are
left to the run's end, or from the first third of them, by turns; they are counted in a rehearsal on a copy. So kills
fall into the start of a run, between two rows, between a row and its time, and into the sorting and closing at the end.
"""

import json
import os
import random
import shutil
import signal
import sys
from pathlib import Path

sys.modules["torch"] = None  # the fake model needs none, and importing it takes seconds

from helpers import fewshot, models, params, prompts, runs  # noqa: E402
from helpers.dataset import Example  # noqa: E402

EXAMPLES = [Example(f"q{n:02}", f"How many orders were shipped in week {n}?", "SELECT 1") for n in range(40)]


def run(out: Path) -> None:
    """Answer all examples, as 03_baseline does; the answer is a function of the question."""
    opened = runs.start(params.check("03_baseline", {"out": str(out)}, where="test"))
    opened.depends(schema="fixed")
    model = models.fake(lambda asked: f"SELECT '{asked[-1]['content'][::-1]}' AS é;")
    fewshot.answer(opened, EXAMPLES, prompts.Context("orders (week)"), model, method="few-shot k=0")
    # Rows arrive as they are ready, in no order of the questions'; here, the last ones first.
    opened.finish({"answered": len(EXAMPLES)}, order=sorted((e.id for e in EXAMPLES), reverse=True))


def attempt(out: Path, fatal: int | None) -> tuple[int, int]:
    """Run in a child process that kills itself at line `fatal`; return its exit status and the lines it ran."""
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        lines = traced(fatal)
        run(out)
        os.write(tell, str(lines()).encode())
        os._exit(0)
    os.close(tell)
    _, status = os.waitpid(child, 0)
    with os.fdopen(told) as pipe:
        return status, int(pipe.read() or 0)


def traced(fatal: int | None):
    """Count the lines of the suite's code from here on, die at line `fatal`, and return the counter."""
    count = 0

    def trace(frame, event, arg):
        nonlocal count
        if "/helpers/" not in frame.f_code.co_filename:
            return None
        if event == "line":
            count += 1
            if count == fatal:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)
    return lambda: count


def main(folder: Path, seed: int, kills: int) -> dict:
    """Kill a run `kills` times, let it end, and say how many lines each attempt had and how many rows were kept."""
    draw, killed = random.Random(seed), folder / "killed"
    calm, _ = attempt(folder / "calm", None)
    attempts = []
    for number in range(kills):
        rehearsal = folder / f"rehearsal{number}"
        shutil.copytree(killed, rehearsal) if killed.exists() else None
        _, left = attempt(rehearsal, None)
        fatal = draw.randint(1, left if number % 2 else left // 3)
        status, _ = attempt(killed, fatal)
        journal = killed / "03_baseline" / "predictions.jsonl"
        rows = journal.read_bytes().count(b"\n") if journal.exists() else 0
        attempts.append({"left": left, "fatal": fatal, "signal": os.WTERMSIG(status), "rows": rows})
    status, _ = attempt(killed, None)
    return {"calm": calm, "attempts": attempts, "end": status}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
