"""Distil database variants on which near misses of the golds show: TS asks to be right on all of them.

    python -m helpers.testsuite --examples test.jsonl --database sample --out DIR --seed 7
    # DIR/variant_01.sqlite ... DIR/manifest.json, DIR/README.md
    evaluate.score(examples, predictions, database, suite=load(DIR))

After Zhong, Yu and Klein (2020), "Semantic Evaluation for Text-to-SQL with Distilled Test Suites": make
neighbours of each gold, keep those that run, make variants of the database, and keep a variant iff it tells
some neighbour from its gold that no kept one does. Here variants start from the real rows and are mutated
(`mutations`), serve all golds at once, and are chosen greedily: each round draws a few candidates, tries them
on a sample of the neighbours still alive, keeps the best, and draws its clues from the golds that still have
survivors. Neighbours that mean the same as their gold cannot be killed; those that `canonical` proves so are
counted apart.

Everything runs on the embedded engine, whatever the source; a source's rows are read once, up to its row cap
a table. The same examples, rows and seed give the same variants, unless `seconds` ends the search early,
which the manifest says. Not covered: collation settings of the source (variants have MySQL 8's default),
views, and a LIMIT inside a gold's subquery.
"""

import argparse
import json
import logging
import random
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from helpers import dataset, journal, local_mysql, mysqlite
from helpers.clues import clues
from helpers.comparison import Expected, same_result
from helpers.database import Database, DatabaseError, connect
from helpers.dataset import Example
from helpers.expected import GoldFailed, accepted
from helpers.integrity import Rows, mend
from helpers.mutations import mutate
from helpers.neighbours import Neighbour, neighbours
from helpers.schema import Schema
from helpers.suite_manifest import content_hash, describe, readme

log = logging.getLogger(__name__)

CANDIDATES = 6
SAMPLE = 300
PATIENCE = 6
TIMEOUT_S = 1.0


@dataclass(frozen=True)
class Rival:
    """A neighbour of one example's gold."""

    example: Example
    neighbour: Neighbour


@dataclass
class Search:
    """What a distillation has found so far; nothing kept tells the rivals `alive` from their golds."""

    schema: Schema
    rows: Rows
    alive: list[Rival]
    killed: dict[str, list[Rival]] = field(default_factory=dict)
    kept: list[dict] = field(default_factory=list)


def distil(
    examples: Sequence[Example],
    database: Database,
    out: str | Path,
    *,
    seed: int,
    seconds: float = 300.0,
    max_variants: int = 24,
) -> dict:
    """Write variants, manifest.json and README.md into a folder, return the manifest; GoldFailed if a gold fails."""
    out, started = Path(out), time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    for stale in out.glob("variant_*.sqlite"):
        stale.unlink()
    schema, rows = database.schema, base_rows(database)
    with tempfile.TemporaryDirectory() as scratch:
        original = write_and_open(Path(scratch) / "original.sqlite", schema, rows)
        for example in examples:
            accepted(example, original)
        running = running_rivals(examples, original)
        killed, alive = tell_apart(running, original)
        search = Search(schema, rows, alive, {"original": killed})
        stopped = _search(search, examples, out, Path(scratch), seed, started + seconds, max_variants)
    seconds = round(time.monotonic() - started, 1)
    manifest = describe(search, examples, seed=seed, source=database.source, stopped=stopped, seconds=seconds)
    journal.replace_file(out / "manifest.json", json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
    journal.replace_file(out / "README.md", readme(manifest))
    return manifest


def load(folder: str | Path) -> list[Database]:
    """Open a suite's variants in the manifest's order; DatabaseError if the folder holds no whole suite."""
    return [connect(f"sqlite:///{path}") for path in _files(Path(folder))]


def load_on(server, folder: str | Path) -> list[Database]:
    """Write a suite's variants into scratch databases `ts_01`, `ts_02` ... of a `local_mysql` server; open them."""
    urls = [
        local_mysql.load(server, mysqlite.reflect(path), mysqlite.rows(path), database=f"ts_{number:02}")
        for number, path in enumerate(_files(Path(folder)), 1)
    ]
    return [connect(url) for url in urls]


def _files(folder: Path) -> list[Path]:
    try:
        names = [variant["file"] for variant in json.loads((folder / "manifest.json").read_text())["variants"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatabaseError(
            "no_suite", f"{folder} holds no test suite: make one with python -m helpers.testsuite."
        ) from error
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise DatabaseError("no_suite", f"{folder} lacks {', '.join(missing)}: make the suite again.")
    return [folder / name for name in names]


def base_rows(database: Database) -> Rows:
    """Read all tables of a database, up to its row cap each; children of parents beyond the cap are left out."""
    rows = {}
    for name in database.schema.names:
        _, rows[name], truncated = database.run(f"SELECT * FROM `{name}`")
        if truncated:
            log.warning("%s: only the first %d rows serve the test suite.", name, len(rows[name]))
    return mend(database.schema, rows)


def write_and_open(path: Path, schema: Schema, rows: Rows) -> Database:
    """Write rows into a SQLite file and open it with the short time limit of a search."""
    mysqlite.create(path, schema, rows)
    return connect(f"sqlite:///{path}", timeout_s=TIMEOUT_S)


def running_rivals(examples: Sequence[Example], original: Database) -> list[Rival]:
    """Return all golds' neighbours that run on the original rows; golds with the same SQL share theirs."""
    first = {(example.sql, example.alternatives, example.optional_columns): example for example in reversed(examples)}
    rivals = [
        Rival(example, neighbour)
        for example in reversed(first.values())
        for neighbour in neighbours(example.sql, original.schema)
    ]
    return [rival for rival in rivals if not original.execute(rival.neighbour.sql).error]


def tell_apart(rivals: Iterable[Rival], database: Database) -> tuple[list[Rival], list[Rival]]:
    """Split rivals into those a database tells from their golds and the rest; GoldFailed if a gold fails there."""
    answers: dict[str, tuple[Expected, ...]] = {}
    told, alive = [], []
    for rival in rivals:
        if rival.example.id not in answers:
            answers[rival.example.id] = accepted(rival.example, database)
        result = database.execute(rival.neighbour.sql)
        same = not result.error and any(same_result(answer, result, "ex") for answer in answers[rival.example.id])
        (alive if same else told).append(rival)
    return told, alive


def _search(
    search: Search,
    examples: Sequence[Example],
    out: Path,
    scratch: Path,
    seed: int,
    deadline: float,
    max_variants: int,
) -> str:
    """Keep the best candidate of each round until nothing is left to kill; return why the search ended."""
    rng, barren = random.Random(seed), 0
    while search.alive:
        if len(search.kept) >= max_variants:
            return "max_variants"
        if barren >= PATIENCE:
            return "no candidate kills a survivor"
        if time.monotonic() > deadline:
            return "seconds"
        best = _best_candidate(search, examples, scratch, rng)
        if best is None:
            barren += 1
            continue
        variant_seed, variant, database = best
        told, search.alive = tell_apart(search.alive, database)
        barren = 0 if told else barren + 1
        if told:
            _keep(search, told, variant_seed, variant, out)
        database.close()
    return "all killed"


def _best_candidate(search: Search, examples: Sequence[Example], scratch: Path, rng: random.Random):
    """Draw candidates; return seed, rows and database of the one that kills most of a sample of survivors."""
    survivors = list({id(rival.example): rival.example for rival in search.alive}.values())
    found = clues([example.sql for example in survivors], search.schema)
    sample = rng.sample(search.alive, min(SAMPLE, len(search.alive)))
    best, most = None, 0
    for number in range(CANDIDATES):
        seed = rng.randrange(2**31)
        variant = mutate(search.schema, search.rows, found, seed=seed)
        database = write_and_open(scratch / f"candidate_{number}.sqlite", search.schema, variant)
        kills = len(tell_apart(sample, database)[0]) if all_run(examples, database) else 0
        if kills > most:
            if best is not None:
                best[2].close()
            best, most = (seed, variant, database), kills
        else:
            database.close()
    return best


def all_run(examples: Iterable[Example], database: Database) -> bool:
    """Tell whether every gold runs within the limits: a scalar subquery may return two rows on a variant."""
    statements = [sql for example in examples for sql in (example.sql, *example.alternatives)]
    results = (database.execute(sql) for sql in statements)
    return all(not result.error and not result.truncated for result in results)


def _keep(search: Search, told: list[Rival], seed: int, variant: Rows, out: Path) -> None:
    name = f"variant_{len(search.kept) + 1:02}.sqlite"
    mysqlite.create(out / name, search.schema, variant)
    search.killed[name] = told
    sizes = {table: len(rows) for table, rows in variant.items()}
    search.kept.append(
        {
            "file": name,
            "sha256": content_hash(search.schema, variant),
            "seed": seed,
            "rows": sizes,
            "kills": len(told),
        }
    )
    log.info("%s kills %d, %d alive", name, len(told), len(search.alive))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 2 and one sentence on stderr for a mistake in what was given."""
    parser = argparse.ArgumentParser(prog="python -m helpers.testsuite", description=__doc__.partition("\n")[0])
    parser.add_argument("--examples", type=Path, required=True, help="questions with gold SQL, JSON or JSON lines")
    parser.add_argument("--database", required=True, help="a source: sample, sqlite:///FILE, dump:PATH, cloudsql ...")
    parser.add_argument("--out", type=Path, required=True, help="folder for the variants")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=300.0, help="end the search after this long")
    parser.add_argument("--max-variants", type=int, default=24)
    given = parser.parse_args(arguments)
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    try:
        with connect(given.database) as database:
            manifest = distil(
                dataset.load(given.examples),
                database,
                given.out,
                seed=given.seed,
                seconds=given.seconds,
                max_variants=given.max_variants,
            )
    except (dataset.DatasetError, GoldFailed, DatabaseError, journal.RunError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{len(manifest['variants'])} variants, {manifest['kill_rate']:.1%} of near misses told apart: {given.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
