"""What a distilled test suite is made of: its manifest as plain values, and the README table drawn from it.

    describe(search, examples, seed=7, source="sample", stopped="seconds", seconds=300.0)["kill_rate"]      # 0.97

Survivors that `canonical` proves to mean the same as their golds count as equivalent, and are left out of the
rate. Hashes are over schema and rows, so that they do not depend on the file format.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence

from helpers import canonical
from helpers.dataset import Example
from helpers.integrity import Rows
from helpers.neighbours import KINDS
from helpers.schema import Schema


def content_hash(schema: Schema, rows: Rows) -> str:
    """Return the sha256 (hex) over schema and rows, whatever file holds them."""
    content = hashlib.sha256(schema.hash.encode())
    for name in sorted(rows):
        content.update(repr((name, rows[name])).encode())
    return content.hexdigest()


def describe(search, examples: Sequence[Example], *, seed: int, source: str, stopped: str, seconds: float) -> dict:
    """Return the manifest of a finished search (`testsuite.Search`), ready for JSON."""
    equivalent = [r for r in search.alive if canonical.same(r.example.sql, r.neighbour.sql, search.schema)]
    proved = set(map(id, equivalent))
    survivors = [rival for rival in search.alive if id(rival) not in proved]
    killed = [rival for told in search.killed.values() for rival in told]
    total = len(killed) + len(search.alive)
    return {
        "seed": seed,
        "source": source,
        "stopped": stopped,
        "seconds": seconds,
        "schema_sha256": search.schema.hash,
        "original_sha256": content_hash(search.schema, search.rows),
        "neighbours": total,
        "equivalent": len(equivalent),
        "killed": len(killed),
        "killed_by_original": len(search.killed["original"]),
        "kill_rate": round(len(killed) / max(1, total - len(equivalent)), 4),
        "variants": search.kept,
        "kinds": {
            kind: {
                "killed": sum(r.neighbour.kind == kind for r in killed),
                "equivalent": sum(r.neighbour.kind == kind for r in equivalent),
                "alive": sum(r.neighbour.kind == kind for r in survivors),
            }
            for kind in KINDS
        },
        "golds": _by_gold(examples, killed, equivalent, survivors),
    }


def _by_gold(examples: Sequence[Example], killed: list, equivalent: list, survivors: list) -> dict:
    """Return each gold's counts and surviving neighbours; examples that share a gold have the same numbers."""
    counts = [Counter(rival.example.sql for rival in group) for group in (killed, equivalent)]
    alive: dict[str, list] = {}
    for rival in survivors:
        alive.setdefault(rival.example.sql, []).append({"kind": rival.neighbour.kind, "sql": rival.neighbour.sql})
    return {
        example.id: {
            "killed": counts[0][example.sql],
            "equivalent": counts[1][example.sql],
            "survivors": alive.get(example.sql, []),
        }
        for example in examples
    }


def readme(manifest: dict) -> str:
    """Write a suite's README: what its variants are, and what they tell apart."""
    rows = "\n".join(
        f"| {v['file']} | {sum(v['rows'].values()):,} | {v['kills']} | `{v['sha256'][:16]}` |"
        for v in manifest["variants"]
    )
    kinds = "\n".join(
        f"| {kind} | {n['killed']} | {n['equivalent']} | {n['alive']} |"
        for kind, n in manifest["kinds"].items()
        if any(n.values())
    )
    return _README.format(
        rows=rows,
        kinds=kinds,
        **{
            key: manifest[key]
            for key in (
                "source",
                "seed",
                "stopped",
                "neighbours",
                "equivalent",
                "killed",
                "killed_by_original",
                "kill_rate",
            )
        },
    )


_README = """# Test suite

Variants of the database `{source}`, made with seed {seed}: a prediction passes TS if it equals its gold on the
original and on every one of them. Of {neighbours} near misses of the golds that run, {equivalent} are proved to mean
the same; of the others {killed} are told apart ({killed_by_original} by the original alone), a rate of {kill_rate:.1%}.
The search ended because: {stopped}.

| variant | rows | kills | content |
|---|---|---|---|
{rows}

| kind of near miss | killed | proved equivalent | alive |
|---|---|---|---|
{kinds}

`manifest.json` lists the survivors of each gold.
"""
