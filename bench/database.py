"""How fast is the embedded engine beside raw SQLite and MariaDB, and how long do the other sources take to stand?

    python bench/database.py [--dump FILE]

Every statement is a gold of the test and dev sets, first unseen, then seen. Both sides are measured in one run.
"""

import argparse
import json
import sqlite3
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from helpers import database, dataset, local_mysql, mysqlite, runtime, sample  # noqa: E402

PUBLIC_DUMP = Path(__file__).resolve().parents[2] / "shared" / "classicmodels" / "mysqlsampledatabase.sql"


def seconds(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def milliseconds(works) -> float:
    return 1000 * statistics.median(seconds(work) for work in works)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dump", type=Path, default=PUBLIC_DUMP, help="a dump of the public classicmodels")
    given = parser.parse_args()
    golds = [e.sql for name in ("test", "dev") for e in dataset.load(dataset.FOLDER / f"{name}.jsonl")]
    opened = database.connect("sample")
    [path] = [p for p in (runtime.cache_dir() / "databases").glob("sample-*") if database.connect(f"sqlite:///{p}")][
        -1:
    ]
    engine = mysqlite.open(path)
    engine.run("SELECT 1")
    rewritten = {gold: seconds(lambda gold=gold: mysqlite.rewrite(gold, engine.catalog)) for gold in golds}
    sqlite_ms = milliseconds(lambda gold=gold: engine.run(gold) for gold in golds)
    mysqlite.rewrite.cache_clear()
    unseen_ms = milliseconds(lambda gold=gold: opened.execute(gold) for gold in golds)
    seen_ms = milliseconds(lambda gold=gold: opened.execute(gold) for gold in golds)
    figures = {
        "unseen_ms": round(unseen_ms - sqlite_ms, 3),
        "seen_ms": round(seen_ms, 4),
        "run_rewritten_ms": round(sqlite_ms, 3),
        "rewrite_ms": round(1000 * statistics.median(rewritten.values()), 3),
        "raw_sqlite_ms": round(raw_sqlite_ms(), 3),
        "statements_4000_s": round(distinct(opened, golds), 2),
        "dump_s": round(dump_s(given.dump), 3) if given.dump.exists() else None,
        **servers(golds),
    }
    for name, value in figures.items():
        print(f"{name:20} {value}")
    print(f"machine: {runtime.hardware()['cpu']}, {runtime.hardware()['cores']} cores")
    print(json.dumps(figures))


def raw_sqlite_ms() -> float:
    """Time a join and group by that SQLite runs as it is, without the engine."""
    joined = "customers c JOIN orders o ON o.customerNumber = c.customerNumber"
    statement = f"SELECT c.country, COUNT(*) FROM {joined} GROUP BY c.country"
    path = sorted((runtime.cache_dir() / "databases").glob("sample-*"))[-1]
    connection = sqlite3.connect(path)
    return milliseconds(lambda: connection.execute(statement).fetchall() for _ in range(50))


def distinct(opened, golds: list[str]) -> float:
    """Time 4,000 statements no two of which are the same."""
    statements = [
        f"SELECT * FROM ({gold}) AS q LIMIT {n}" for n in range(1, 16) for gold in golds if "WITH" not in gold
    ]
    return seconds(lambda: [opened.execute(statement) for statement in statements[:4000]])


def dump_s(path: Path) -> float:
    from helpers import dump

    target = runtime.cache_dir() / "bench-dump.sqlite"
    took = seconds(lambda: dump.load(path, target))
    target.unlink()
    return took


def servers(golds: list[str]) -> dict[str, float]:
    began = time.perf_counter()
    server = local_mysql.start()
    ready = time.perf_counter() - began
    url = local_mysql.load(server, sample.schema(), sample.rows())
    with database.connect(url) as served:
        mariadb_ms = milliseconds(lambda gold=gold: served.execute(gold) for gold in golds)
    local_mysql.stop(server)
    return {"local_mysql_s": round(ready, 2), "mariadb_ms": round(mariadb_ms, 3)}


if __name__ == "__main__":
    main()
