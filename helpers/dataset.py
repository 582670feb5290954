"""Questions with their gold SQL: `Example` records, read from anyone's file, split by template, described by a card.

>>> load(Path("data/classicmodels/test.jsonl"))[0].nlq
'…'
>>> splits = split(examples, test=0.4, dev=0.2, seed=7)       # no SQL template in two of them

A file is JSON lines or one JSON array; only `nlq` and `sql` are required of an item. Whether a gold runs is asked of
a database in `execute`; whether a question is a good one is `audit`'s business. Knows no prompts and no models.
"""

import json
import random
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from helpers import sql
from helpers.journal import sha256, to_line
from helpers.runs import Run

SPLITS = ("train", "dev", "test")
FOLDER = Path(__file__).resolve().parent.parent / "data" / "classicmodels"


class DatasetError(Exception):
    """Name the file, the item and what is wrong with it."""


@dataclass(frozen=True)
class Example:
    """A question (`nlq`) and its gold (`sql`); see design notes in README, "Your own questions".

    `alternatives` are other accepted statements, `optional_columns` output columns a prediction may leave out.
    """

    id: str
    nlq: str
    sql: str
    split: str = ""
    difficulty: str = ""
    features: tuple[str, ...] = ()
    alternatives: tuple[str, ...] = ()
    optional_columns: tuple[str, ...] = ()


def load(path: str | Path) -> list[Example]:
    """Read the examples of a JSON-lines or JSON-array file; difficulty and features are worked out where missing.

    Raises DatasetError naming file and item for an unreadable file, a missing field, or an id that occurs twice.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read ({error}): give a JSON or JSON-lines file.") from error
    examples = [_example(path, number, row) for number, row in enumerate(_rows(path, text), 1)]
    seen: set[str] = set()
    for example in examples:
        if example.id in seen:
            raise DatasetError(f"{path}: the id {example.id} occurs twice; ids must be unique.")
        seen.add(example.id)
    return examples


def load_splits(folder: str | Path) -> dict[str, list[Example]]:
    """Read train, dev and test.jsonl of a folder, those that are there; raises DatasetError if none is."""
    folder = Path(folder)
    found = {name: load(folder / f"{name}.jsonl") for name in SPLITS if (folder / f"{name}.jsonl").exists()}
    if not found:
        raise DatasetError(f"{folder} holds none of train.jsonl, dev.jsonl and test.jsonl: check the path.")
    return {name: [replace(e, split=name) for e in examples] for name, examples in found.items()}


def read(questions: str | Path, *, test: float, dev: float, seed: int) -> dict[str, list[Example]]:
    """Read a folder of splits, or one file of questions, which is then dealt by template; see `split`."""
    path = Path(questions)
    return load_splits(path) if path.is_dir() else split(load(path), test=test, dev=dev, seed=seed)


def synthesise(database, *, seed: int, n: int, **options) -> list[Example]:
    """Make `n` training examples for a database from its question templates; see `synthesis.synthesise`."""
    from helpers import synthesis  # which makes Examples, and so imports this room

    return synthesis.synthesise(database, seed=seed, n=n, **options)


def files(questions: str | Path) -> dict[str, Path]:
    """Return the files that `read` reads, by the names of their splits, for a run's configuration."""
    path = Path(questions)
    return {name: path / f"{name}.jsonl" for name in SPLITS if (path / f"{name}.jsonl").exists()} or {"questions": path}


def save(path: Path, examples: Iterable[Example]) -> Path:
    """Write examples as JSON lines; the same examples give the same bytes."""
    path.write_text("".join(to_line(asdict(example)) for example in examples), encoding="utf-8")
    return path


def split(examples: list[Example], *, test: float, dev: float, seed: int) -> dict[str, list[Example]]:
    """Deal examples into train, dev and test so that no SQL template is in two of them.

    `test` and `dev` are shares of the templates, not of the items.
    """
    templates = sorted({sql.template(e.sql) for e in examples})
    random.Random(seed).shuffle(templates)
    n_test, n_dev = round(test * len(templates)), round(dev * len(templates))
    home = {t: "test" if n < n_test else "dev" if n < n_test + n_dev else "train" for n, t in enumerate(templates)}
    dealt = [replace(e, split=home[sql.template(e.sql)]) for e in examples]
    return {name: [e for e in dealt if e.split == name] for name in SPLITS}


def execute(splits: Mapping[str, list[Example]], database) -> list[tuple[Example, Any]]:
    """Execute every gold, and every alternative; return each example with its gold's result.

    Raises DatasetError naming the examples whose SQL fails.
    """
    examples = [example for part in splits.values() for example in part]
    answers = [(e, [database.execute(statement) for statement in (e.sql, *e.alternatives)]) for e in examples]
    failed = [f"{e.id} ({r.error})" for e, results in answers for r in results if r.error]
    if failed:
        raise DatasetError(f"{len(failed)} gold statements fail on {database.source}: {'; '.join(failed[:5])}.")
    return [(example, results[0]) for example, results in answers]


def overlap(splits: Mapping[str, list[Example]]) -> list[tuple[str, Example, str, Example]]:
    """Return pairs of examples in different splits that share a SQL template or a question, as they would leak."""
    seen: dict[str, tuple[str, Example]] = {}
    pairs = []
    for name, examples in splits.items():
        for example in examples:
            for key in (sql.template(example.sql), " ".join(example.nlq.lower().split())):
                first = seen.setdefault(key, (name, example))
                pairs += [(*first, name, example)] if first[0] != name else []
    return pairs


def publish(run: Run, splits: Mapping[str, list[Example]], database) -> str:
    """Write the splits and their card into a run folder, and return the card.

    Raises DatasetError if a question or a template is in two splits.
    """
    leaks = overlap(splits)
    if leaks:
        pairs = "; ".join(f"{a.id} ({one}) and {b.id} ({other})" for one, a, other, b in leaks[:5])
        raise DatasetError(f"{len(leaks)} pairs share a question or a SQL template between splits: {pairs}.")
    paths = {name: save(run.folder / f"{name}.jsonl", examples) for name, examples in splits.items()}
    text = card(paths, source=database.source, schema_hash=database.schema.hash)
    run.write("README.md", text)
    return text


def card(paths: Mapping[str, Path], *, source: str, schema_hash: str) -> str:
    """Write the card of a set of splits in Hugging Face's form: counts, hashes, and where the golds were executed."""
    files = "\n".join(f"  - split: {name}\n    path: {path.name}" for name, path in paths.items())
    rows = "\n".join(
        f"| {name} | {len(examples)} | {len({sql.template(e.sql) for e in examples})} | `{sha256(paths[name])}` |"
        for name, examples in ((name, load(path)) for name, path in paths.items())
    )
    return _CARD.format(files=files, rows=rows, source=source, schema_hash=schema_hash)


_CARD = """---
language: en
license: apache-2.0
task_categories:
- text2text-generation
tags:
- text-to-sql
configs:
- config_name: default
  data_files:
{files}
---
# Questions and gold SQL

Every gold statement was executed on `{source}` (schema sha256 `{schema_hash}`). No SQL template is in two splits.

| split | questions | templates | sha256 |
|---|---|---|---|
{rows}
"""


def _rows(path: Path, text: str) -> list:
    try:
        if text.lstrip().startswith("["):
            return json.loads(text)
        return [json.loads(line) for line in text.split("\n") if line.strip()]
    except ValueError as error:
        raise DatasetError(f"{path} is neither JSON lines nor a JSON array: {error}.") from error


def _example(path: Path, number: int, row: object) -> Example:
    known = {f.name for f in fields(Example)}
    if not isinstance(row, dict) or not all(isinstance(row.get(key), str) and row[key] for key in ("nlq", "sql")):
        raise DatasetError(f"{path}, item {number}: `nlq` and `sql` must be there, as text that is not empty.")
    values = {key: tuple(v) if isinstance(v, list) else v for key, v in row.items() if key in known}
    values["id"] = str(row.get("id", f"q{number:04d}"))
    values["difficulty"] = row.get("difficulty") or sql.hardness(row["sql"])
    values["features"] = tuple(row.get("features") or sql.features(row["sql"]))
    return Example(**values)
