"""One renderer for every method: rule, schema, blurbs and exemplars first, the question last.

>>> context = Context(describe(database.schema, blurbs(FOLDER)), fixed(train, k=3, seed=7))
>>> conversation(context, "How many orders were cancelled?")
[{'role': 'system', …}, {'role': 'user', …}, {'role': 'assistant', …}, …, {'role': 'user', …}]

What all questions of a run share comes first and is the same to the byte, so that a model reads it once. Few-shot
prompting, the turns of ReAct, training rows and the playground all come through `conversation`. Exemplars are chosen
from the training split only, and never share a question's template. Knows no models, and no special tokens: those are
the chat template's.
"""

import hashlib
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from helpers import sql
from helpers.dataset import DatasetError, Example
from helpers.schema import Column, Schema, Table

RULE = (
    "You answer questions about a MySQL 8 database by writing SQL. Reply with one SELECT statement that returns "
    "exactly what is asked, in the order asked: no extra columns, no sorting and no limit unless the question "
    "implies it. Write nothing else."
)

Conversation = list[dict[str, str]]


@dataclass(frozen=True)
class Context:
    """What every prompt of a run begins with: the schema's description, exemplars, and a method's own rules."""

    description: str
    exemplars: tuple[Example, ...] = ()
    rules: str = RULE


def conversation(context: Context, question: str, replies: Mapping[str, str] | None = None) -> Conversation:
    """Return the chat messages of a question: system, a turn pair for each exemplar, and the question.

    An exemplar's reply is its gold, or what `replies` holds for its id.
    """
    messages = [{"role": "system", "content": f"{context.rules}\n\n{context.description}"}]
    for exemplar in context.exemplars:
        reply = replies[exemplar.id] if replies else answer(exemplar)
        messages += [{"role": "user", "content": exemplar.nlq}, {"role": "assistant", "content": reply}]
    return [*messages, {"role": "user", "content": question}]


def answer(example: Example) -> str:
    """Return the reply a model should give: the gold and its semicolon, at which generation stops."""
    return example.sql.rstrip().rstrip(";") + ";"


def describe(schema: Schema, blurbs: Mapping[str, str] | None = None) -> str:
    """Write the schema as DDL, a table a line, each under its blurb; a column's sample values follow it if known."""
    return "\n".join(_table(table, (blurbs or {}).get(table.name, "")) for table in schema.tables)


def blurbs(folder: Path) -> dict[str, str]:
    """Read what `blurbs.yaml` of a folder says of each table; nothing if there is no such file."""
    path = folder / "blurbs.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}


def fixed(pool: Sequence[Example], *, k: int, seed: int, answered: Iterable[Example] = ()) -> tuple[Example, ...]:
    """Choose k exemplars for all questions of a run, of k different templates and of mixed difficulty.

    None shares its template or its words with the questions to be `answered`. Raises DatasetError if the pool
    holds fewer than k that qualify.
    """
    taken = {sql.template(e.sql) for e in answered} | {e.nlq.casefold() for e in answered}
    candidates = [e for e in pool if not {sql.template(e.sql), e.nlq.casefold()} & taken]
    random.Random(seed).shuffle(candidates)
    first_of_template = {sql.template(e.sql): e for e in reversed(candidates)}
    if len(first_of_template) < k:
        raise DatasetError(
            f"The training split has {len(first_of_template)} templates that are not asked for, fewer than k = {k}: "
            "lower k or add training examples."
        )
    return tuple(_mixed(list(first_of_template.values()))[:k])


def _mixed(candidates: list[Example]) -> list[Example]:
    """Deal the candidates by difficulty in turn, so that any first few of them are of mixed difficulty."""
    grades = ("easy", "medium", "hard", "extra")
    rank: dict[str, int] = {}
    keys = []
    for candidate in candidates:
        rank[candidate.difficulty] = rank.get(candidate.difficulty, -1) + 1
        grade = grades.index(candidate.difficulty) if candidate.difficulty in grades else len(grades)
        keys.append((rank[candidate.difficulty], grade))
    return [candidate for _, candidate in sorted(zip(keys, candidates, strict=True), key=lambda pair: pair[0])]


def fingerprint(context: Context) -> str:
    """Return the sha256 of everything a prompt holds besides its question, for the run's configuration."""
    return hashlib.sha256(repr(conversation(context, "")).encode()).hexdigest()


def _table(table: Table, blurb: str) -> str:
    lines = [_column(column, table) for column in table.columns]
    if len(table.primary_key) > 1:
        lines.append(f"PRIMARY KEY ({', '.join(table.primary_key)})")
    lines += [
        f"FOREIGN KEY ({', '.join(key.columns)}) REFERENCES {key.table}({', '.join(key.references)})"
        for key in table.foreign_keys
    ]
    heading = f"-- {blurb}\n" if blurb else ""
    return f"{heading}CREATE TABLE {table.name} ({', '.join(lines)});"


def _column(column: Column, table: Table) -> str:
    key = " PRIMARY KEY" if table.primary_key == (column.name,) else ""
    samples = f" /* {', '.join(str(value)[:40] for value in column.samples)} */" if column.samples else ""
    return f"{column.name} {column.type}{key}{samples}"
