"""One renderer for every method: rule, schema, blurbs and exemplars first, the question last.

>>> context = Context(describe(database.schema, blurbs(FOLDER)), fixed(train, k=3, seed=7))
>>> conversation(context, "How many orders were cancelled?")
[{'role': 'system', …}, {'role': 'user', …}, {'role': 'assistant', …}, …, {'role': 'user', …}]

What all questions of a run share comes first and is the same to the byte, so that a model reads it once; exemplars of
a question's own come after the schema. Few-shot prompting, the turns of ReAct, training rows and the playground all
come through `conversation`. Which exemplars are shown is chosen in `exemplars`. Knows no models, and no special tokens:
those are the chat template's.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from helpers import sql
from helpers.dataset import Example
from helpers.exemplars import fixed
from helpers.schema import Column, Schema, Table

__all__ = [
    "LINKING", "RULE", "Context", "Conversation", "answer", "blurbs", "conversation", "describe", "fingerprint",
    "fixed",
]

RULE = (
    "You answer questions about a MySQL 8 database by writing SQL. Reply with one SELECT statement that returns "
    "exactly what is asked, in the order asked: no extra columns, no sorting and no limit unless the question "
    "implies it. Write nothing else."
)
LINKING = "One exception: begin with a comment that names the tables you read, such as /* orders o, customers c */."

Conversation = list[dict[str, str]]


@dataclass(frozen=True)
class Context:
    """What every prompt of a run begins with: the schema's description, exemplars, and a method's own rules.

    With `linking` a reply names its tables before its statement, which a small model then writes knowing them: schema
    linking, by one model in one reply (DTS-SQL, Pourreza and Rafiei 2024, arXiv:2402.01117, takes two of each).
    """

    description: str
    exemplars: tuple[Example, ...] = ()
    rules: str = RULE
    linking: bool = False

    @property
    def instructions(self) -> str:
        """Return the rules, and the one that linking adds."""
        return f"{self.rules} {LINKING}" if self.linking else self.rules


def conversation(context: Context, question: str, replies: Mapping[str, str] | None = None) -> Conversation:
    """Return the chat messages of a question: system, a turn pair for each exemplar, and the question.

    An exemplar's reply is its gold, or what `replies` holds for its id.
    """
    messages = [{"role": "system", "content": f"{context.instructions}\n\n{context.description}"}]
    for exemplar in context.exemplars:
        reply = replies[exemplar.id] if replies else answer(exemplar, linking=context.linking)
        messages += [{"role": "user", "content": exemplar.nlq}, {"role": "assistant", "content": reply}]
    return [*messages, {"role": "user", "content": question}]


def answer(example: Example, *, linking: bool = False) -> str:
    """Return the reply a model should give: the gold and its semicolon, at which generation stops.

    With `linking` a comment before it names its tables: `/* orders o, customers c */ SELECT …;`.
    """
    statement = example.sql.rstrip().rstrip(";") + ";"
    return f"/* {', '.join(sql.sources(statement))} */ {statement}" if linking else statement


def describe(schema: Schema, blurbs: Mapping[str, str] | None = None, *, schema_format: str = "ddl") -> str:
    """Write the schema, a table a line; a column's sample values follow it if known.

    "ddl" has types, keys and a table's blurb above it. "compact", less than half as long, has neither types nor
    blurbs: `orders(orderNumber PK, orderDate, …, customerNumber -> customers)`. Raises ValueError for any other format.
    """
    if schema_format == "compact":
        return "\n".join(_compact(table) for table in schema.tables)
    if schema_format != "ddl":
        raise ValueError(f"schema_format is ddl or compact, not {schema_format!r}.")
    return "\n".join(_table(table, (blurbs or {}).get(table.name, "")) for table in schema.tables)


def blurbs(folder: Path) -> dict[str, str]:
    """Read what `blurbs.yaml` of a folder says of each table; nothing if there is no such file."""
    path = folder / "blurbs.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}


def fingerprint(*contexts: Context) -> str:
    """Return the sha256 of everything prompts hold besides their questions, for the run's configuration."""
    distinct = dict.fromkeys(contexts)
    return hashlib.sha256("".join(repr(conversation(context, "")) for context in distinct).encode()).hexdigest()


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
    return f"{column.name} {column.type}{key}{_samples(column)}"


def _compact(table: Table) -> str:
    """Write a table in one line, an arrow at the first column of each foreign key."""
    arrows = {key.columns[0]: f" -> {key.table}" for key in reversed(table.foreign_keys)}
    columns = [
        f"{column.name}{' PK' * (column.name in table.primary_key)}{arrows.get(column.name, '')}{_samples(column)}"
        for column in table.columns
    ]
    return f"{table.name}({', '.join(columns)})"


def _samples(column: Column) -> str:
    """Write the values in a comment, on one line, which no value ends."""
    shown = ", ".join(" ".join(str(value).split())[:40] for value in column.samples).replace("*/", "* /")
    return f" /* {shown} */" if column.samples else ""
