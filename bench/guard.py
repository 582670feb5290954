"""Measure the guard: hostile statements let through and run by an account with all rights, and its speed.

    python bench/guard.py [--statements 20000] [--seed 7]

Prints a table and, as its last line, one JSON object of the figures: statements, accepted (let through), ran
(without an error of the server), harmful (changed anything; has to be 0), accepted_share, guard_ms (median
over the corpora's accepted statements), seconds. Names what was harmful and then ends with status 1.
Needs mysqld or mariadbd on this machine.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from helpers import local_mysql  # noqa: E402
from helpers.guard import SqlRejected, guard  # noqa: E402
from tests import hostile  # noqa: E402

BATCH = 50
SHOP = hostile.toy_schema()


def attack(world: hostile.World, count: int, start: int) -> dict:
    """Build `count` hostile statements, run what the guard lets through, and count what came of it."""
    figures = {"statements": 0, "accepted": 0, "ran": 0, "harmful": 0}
    waiting: list[str] = []

    def flush() -> None:
        found = world.harmful(waiting)
        figures["harmful"] += len(found)
        for sql, changes in found.items():
            print(f"HARMFUL {sql!r}: {', '.join(changes)}")
        waiting.clear()

    @seed(start)
    @settings(
        max_examples=count, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(hostile.statements())
    def one(sql: str) -> None:
        figures["statements"] += 1
        try:
            waiting.append(guard(sql, SHOP))
        except SqlRejected:
            return
        figures["accepted"] += 1
        if len(waiting) == BATCH:
            flush()

    one()
    flush()
    share = round(figures["accepted"] / figures["statements"], 3)
    return {**figures, "ran": world.ran, "accepted_share": share}


def speed(rounds: int = 5) -> float:
    """Return the median milliseconds of a guard call."""
    times = []
    for sql in hostile.ACCEPTED * rounds:
        start = time.perf_counter()
        guard(sql, SHOP)
        times.append((time.perf_counter() - start) * 1000)
    return round(statistics.median(times), 3)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--statements", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    start = time.perf_counter()
    server = local_mysql.start()
    with hostile.world(server) as world:
        figures = attack(world, options.statements, options.seed)
    local_mysql.stop(server)
    figures |= {"guard_ms": speed(), "seconds": round(time.perf_counter() - start, 1)}
    for name, value in figures.items():
        print(f"{name:<16}{value:>10}")
    print(json.dumps(figures))
    return 1 if figures["harmful"] else 0


if __name__ == "__main__":
    sys.exit(main())
