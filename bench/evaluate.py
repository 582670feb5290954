"""Measure scoring and distilling: seconds, growth with items and variants, and kills beside random variants.

    python bench/evaluate.py [--examples FILE] [--seed 7] [--seconds 300]

Predictions are the golds and their near misses, in equal parts. Every figure starts from fresh connections and
empty caches, so that no result and no rewritten statement is known beforehand. Prints a table and, as its last
line, one JSON object: compare_ms (a 12-column, 5,000-row permutation), score_200_s, ts20_200_s, score_10000_s
(4,000 distinct statements), distil_s, kill_rate, variants, random_kill_rate (24 random variants of the same
sizes), seconds for 1, 2, 4, 8 times the items and variants, peak_gb of the whole run. Seconds are the clock's;
beside each `_s` stands `_cpu_s`, the processor's, which another program on the machine does not lengthen.
"""

import argparse
import json
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from helpers import dataset, evaluate, testsuite  # noqa: E402
from helpers.clues import Clues, clues  # noqa: E402
from helpers.columns import family  # noqa: E402
from helpers.database import Database, Result, connect  # noqa: E402
from helpers.dataset import Example  # noqa: E402
from helpers.integrity import Rows, fitted, mend  # noqa: E402
from helpers.journal import Prediction  # noqa: E402
from helpers.neighbours import neighbours  # noqa: E402
from helpers.schema import Column, Schema, parents_first  # noqa: E402

EXAMPLES = Path(__file__).resolve().parent.parent / "data" / "classicmodels" / "test.jsonl"
STEPS = (1, 2, 4, 8)


def guesses(examples: Sequence[Example], schema: Schema, count: int, distinct: int, seed: int) -> tuple[list, list]:
    """Return `count` examples, repeated under new ids, with a prediction each out of `distinct` statements."""
    rng = random.Random(seed)
    each = -(-distinct // len(examples))
    pool = {}
    for example in examples:
        near = [neighbour.sql for neighbour in neighbours(example.sql, schema)]
        pool[example.id] = [example.sql, *rng.sample(near, min(len(near), each - 1))]
    asked = [replace(examples[n % len(examples)], id=f"q{n}") for n in range(count)]
    origin = [examples[n % len(examples)].id for n in range(count)]
    picks = [pool[name][sum(divmod(n, len(examples))) % len(pool[name])] for n, name in enumerate(origin)]
    return asked, [Prediction(example.id, sql=sql) for example, sql in zip(asked, picks, strict=True)]


def timed(name: str, work: Callable[[], object]) -> dict[str, float]:
    """Return the seconds that some work takes, by the clock and by the processor, under two keys."""
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return {
        f"{name}_s": round(time.perf_counter() - clock, 3),
        f"{name}_cpu_s": round(time.process_time() - processor, 3),
    }


def score(asked: list, predictions: list, folder: Path | None = None, variants: int = 0) -> None:
    """Score over fresh connections with empty caches, connecting included."""
    rooms = [room for name, room in sys.modules.items() if name.startswith("helpers")]
    for cached in [value for room in rooms for value in vars(room).values() if hasattr(value, "cache_clear")]:
        cached.cache_clear()
    suite = None if folder is None else testsuite.load(folder)[:variants]
    with connect("sample") as database:
        evaluate.score(asked, predictions, database, suite=suite)


def compare_ms(seed: int) -> float:
    """Return the processor's milliseconds for a permutation of 12 columns and 5,000 rows of distinct numbers."""
    rng = random.Random(seed)
    rows = [tuple(rng.random() for _ in range(12)) for _ in range(5_000)]
    order = rng.sample(range(12), 12)
    moved = [tuple(row[at] for at in order) for row in rng.sample(rows, len(rows))]
    gold, predicted = (Result(tuple(map(str, range(12))), part) for part in (rows, moved))
    seconds = timed("all", lambda: [evaluate.same_result(gold, predicted, name) for name in evaluate.CONVENTIONS])
    return round(1_000 * seconds["all_cpu_s"] / len(evaluate.CONVENTIONS), 1)


def random_rows(schema: Schema, like: Rows, found: Clues, seed: int) -> Rows:
    """Fill every table at random to the sizes of `like`, half of the values the golds' own constants where known."""
    rng = random.Random(seed)
    rows: Rows = {}
    for table in parents_first(schema):
        drawn = [[_cell(table.name, column, found, rng) for column in table.columns] for _ in like[table.name]]
        for key in table.foreign_keys:
            parents = rows.get(key.table) or []
            at = [[c.name for c in table.columns].index(name) for name in key.columns]
            there = [[c.name for c in schema.table(key.table).columns].index(name) for name in key.references]
            for row in drawn if parents else ():
                parent = rng.choice(parents)
                for index, other in zip(at, there, strict=True):
                    row[index] = parent[other]
        rows[table.name] = [tuple(row) for row in drawn]
    return mend(schema, rows)


def _cell(table: str, column: Column, found: Clues, rng: random.Random):
    near = found.values.get((table, column.name))
    if near and rng.random() < 0.5:
        return fitted(rng.choice(near), column)
    if column.nullable and rng.random() < 0.1:
        return None
    if family(column.type) == "number":
        return fitted(rng.randint(0, 20_000), column)
    if family(column.type) == "date":
        return fitted(f"200{rng.randint(3, 5)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}", column)
    return fitted("".join(rng.choices("abcdefghij", k=rng.randint(1, 8))), column)


def random_kill_rate(examples: list[Example], database: Database, manifest: dict, seed: int) -> float:
    """Return the kill rate of the original and 24 random variants, over the manifest's neighbours."""
    schema, rows = database.schema, testsuite.base_rows(database)
    found = clues([example.sql for example in examples], schema)
    with tempfile.TemporaryDirectory() as scratch:
        original = testsuite.write_and_open(Path(scratch) / "original.sqlite", schema, rows)
        alive = testsuite.tell_apart(testsuite.running_rivals(examples, original), original)[1]
        for number in range(24):
            made = random_rows(schema, rows, found, seed + number)
            variant = testsuite.write_and_open(Path(scratch) / f"{number}.sqlite", schema, made)
            usable = testsuite.all_run(examples, variant)
            alive = testsuite.tell_apart(alive, variant)[1] if usable else alive
            variant.close()
    countable = manifest["neighbours"] - manifest["equivalent"]
    return round((manifest["neighbours"] - len(alive)) / max(1, countable), 4)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench/evaluate.py", description=__doc__.partition("\n")[0])
    parser.add_argument("--examples", type=Path, default=EXAMPLES)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=300.0)
    given = parser.parse_args()
    examples = dataset.load(given.examples)
    figures: dict[str, float] = {"compare_ms": compare_ms(given.seed)}
    with connect("sample") as database, tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        distil = partial(testsuite.distil, examples, database, folder, seed=given.seed, seconds=given.seconds)
        figures |= timed("distil", distil)
        manifest = json.loads((folder / "manifest.json").read_text())
        figures |= {"kill_rate": manifest["kill_rate"], "variants": len(manifest["variants"])}
        figures["random_kill_rate"] = random_kill_rate(examples, database, manifest, given.seed)
        guess = partial(guesses, examples, database.schema, seed=given.seed)
        figures |= timed("score_200", partial(score, *guess(200, 400)))
        figures |= timed("ts20_200", partial(score, *guess(200, 400), folder, 20))
        figures |= timed("score_10000", partial(score, *guess(10_000, 4_700)))
        for step in STEPS:
            figures |= timed(f"items_x{step}", partial(score, *guess(200 * step, 200 * STEPS[-1])))
        for step in STEPS:
            figures |= timed(f"variants_x{step}", partial(score, *guess(100, 100), folder, 2 * step))
    figures["peak_gb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)
    for name, figure in figures.items():
        print(f"{name:18} {figure}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
