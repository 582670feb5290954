"""A renamed twin of a database and its questions: how much of a score is memory of a famous schema?

    twin = make(schema, rows, examples, words)
    # Example("t001", "What is the phone number of ...?", "SELECT phone_no FROM client_accounts WHERE ...")

    python -m helpers.twin --examples data/classicmodels --database sample --out outputs/twin
    # outputs/twin/test.jsonl, outputs/twin/twin.sqlite (a source: sqlite:///outputs/twin/twin.sqlite)

Rows, ids and questions stay as they are, so scores on both are paired item by item; the statements are spliced, every
name where it stands, so they keep their style. The new names come from a word list, `twin.yaml`: they say the same in
other words, and every name must be there. Names that a statement makes itself (aliases, CTEs) turn to snake case.
A lower score on the twin is memory lost, and also words of the question that no longer meet their column: the
difference is an upper bound of memory. Texts in the rows, and the entities they name, are not changed.
"""

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import yaml
from sqlglot import exp

from helpers import dataset, mysqlite
from helpers.database import Database, DatabaseError, connect
from helpers.dataset import FOLDER, Example
from helpers.mysqlite.words import RESERVED
from helpers.schema import Column, ForeignKey, Schema, Table
from helpers.sql import parse

WORDS = FOLDER / "twin.yaml"
MAX_ROWS = 1_000_000

Rows = dict[str, list[tuple]]


class TwinError(Exception):
    """Names without a twin, or a statement that cannot be rewritten; says which and what to do."""


@dataclass(frozen=True)
class Words:
    """New names by old ones in lower case, for tables and for columns, and the schema's new name."""

    name: str
    tables: Mapping[str, str]
    columns: Mapping[str, str]

    @cached_property
    def taken(self) -> frozenset[str]:
        """Return the new names, which no alias may take."""
        return frozenset({*self.tables.values(), *self.columns.values()})


def read_words(path: Path = WORDS) -> Words:
    """Read a word list; raises TwinError if it is none, or gives a name that is reserved, old, or given twice."""
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        maps = [{str(old).lower(): str(new) for old, new in content[kind].items()} for kind in ("tables", "columns")]
        name = str(content["name"])
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise TwinError(f"{path} is no word list ({error}): give YAML with `name`, `tables` and `columns`.") from error
    for names in maps:
        for old, new in names.items():
            if not re.fullmatch(r"[a-z_][a-z0-9_]*", new) or new in RESERVED or new == old:
                raise TwinError(f"{path}: {old} cannot become {new}: give another plain name in lower case.")
        twice = [new for new in names.values() if list(names.values()).count(new) > 1]
        if twice:
            raise TwinError(f"{path}: {twice[0]} is given to two names: give each its own.")
    return Words(name, *maps)


def make(
    schema: Schema, rows: Rows, examples: Sequence[Example], words: Words | None = None
) -> tuple[Schema, Rows, list[Example]]:
    """Return the twin's schema, rows by its table names, and the examples with golds, alternatives and columns renamed.

    Raises TwinError for a table or column without a new name, and for a statement that cannot be read.
    """
    words = words or read_words()
    renamed = Schema(words.name, tuple(_table(table, words) for table in schema.tables))
    content = {_new(words.tables, name, "tables"): list(records) for name, records in rows.items()}
    return renamed, content, [_example(example, words) for example in examples]


def _new(names: Mapping[str, str], old: str, kind: str) -> str:
    if old.lower() not in names:
        raise TwinError(f"The word list has no new name for {old}: add it under `{kind}`.")
    return names[old.lower()]


def _table(table: Table, words: Words) -> Table:
    def columns(names: Sequence[str]) -> tuple[str, ...]:
        return tuple(_new(words.columns, name, "columns") for name in names)

    return Table(
        _new(words.tables, table.name, "tables"),
        tuple(Column(columns([c.name])[0], c.type, c.nullable, c.samples) for c in table.columns),
        columns(table.primary_key),
        tuple(
            ForeignKey(columns(key.columns), _new(words.tables, key.table, "tables"), columns(key.references))
            for key in table.foreign_keys
        ),
        tuple(columns(names) for names in table.unique),
        table.rows,
    )


def _example(example: Example, words: Words) -> Example:
    return replace(
        example,
        sql=rewrite(example.sql, words),
        alternatives=tuple(rewrite(other, words) for other in example.alternatives),
        optional_columns=tuple(_column(name, words) for name in example.optional_columns),
    )


def rewrite(sql: str, words: Words) -> str:
    """Return a statement with every name replaced where it stands; raises TwinError if it cannot be read."""
    tree = parse(sql)
    if tree is None:
        raise TwinError(f"This statement cannot be parsed: {sql}. Mend or drop it with 02_curate.")
    own = {node.alias.lower() for node in tree.find_all(exp.Table, exp.Subquery, exp.CTE) if node.alias}
    places = {}
    for name in tree.find_all(exp.Identifier):
        if "start" not in name.meta:
            raise TwinError(f"The place of {name.name} is unknown in: {sql}. Write the statement without it.")
        places[name.meta["start"]] = (name.meta["end"] + 1, _renamed(name, own, words))
    parts, at = [], 0
    for start, (end, new) in sorted(places.items()):
        parts += [sql[at:start], new]
        at = end
    return "".join([*parts, sql[at:]])


def _renamed(name: exp.Identifier, own: set[str], words: Words) -> str:
    """Return a name's new one by its place: of a schema, of a table, or of a column or an alias."""
    place, kind = name.parent, name.arg_key
    if kind == "db":
        return words.name
    is_table = (isinstance(place, exp.Table) and kind == "this") or (isinstance(place, exp.Column) and kind == "table")
    if is_table and name.name.lower() not in own:
        return _new(words.tables, name.name, "tables")
    if is_table or (isinstance(place, exp.TableAlias) and kind == "this"):
        return _snake(name.name, words)
    return _column(name.name, words)


def _column(name: str, words: Words) -> str:
    """Return a column's new name; what is no column of the schema is an alias."""
    return words.columns.get(name.lower()) or _snake(name, words)


def _snake(name: str, words: Words) -> str:
    """Turn an alias to snake case, away from the twin's own names and the words that MySQL reserves."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|\W+", "_", name).lower()
    return f"{snake}_" if snake in words.taken or snake in RESERVED else snake


def rows_of(database: Database) -> Rows:
    """Return all rows of a database; raises TwinError where a table is cut by the row cap."""
    found = {}
    for name in database.schema.names:
        result = database.execute(f"SELECT * FROM `{name}`")
        if result.error or result.truncated:
            raise TwinError(f"{name} cannot be read whole ({result.error or 'row cap'}): raise max_rows.")
        found[name] = result.rows
    return found


def write(folder: Path, schema: Schema, rows: Rows, splits: Mapping[str, Sequence[Example]]) -> None:
    """Write twin.sqlite and one file of examples a split into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    mysqlite.create(folder / "twin.sqlite", schema, rows)
    for name, examples in splits.items():
        dataset.save(folder / f"{name}.jsonl", examples)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 2 and one sentence on stderr for a mistake in what was given."""
    parser = argparse.ArgumentParser(prog="python -m helpers.twin", description=__doc__.partition("\n")[0])
    parser.add_argument("--examples", type=Path, required=True, help="a file of questions, or a folder of splits")
    parser.add_argument("--database", required=True, help="the source they are for: sample, sqlite:///FILE, ...")
    parser.add_argument("--out", type=Path, required=True, help="folder for test.jsonl and twin.sqlite")
    parser.add_argument("--words", type=Path, default=WORDS, help="YAML of new names; see data/classicmodels/twin.yaml")
    given = parser.parse_args(arguments)
    try:
        path = given.examples
        splits = dataset.load_splits(path) if path.is_dir() else {"test": dataset.load(path)}
        words = read_words(given.words)
        with connect(given.database, max_rows=MAX_ROWS) as database:
            schema, rows, _ = make(database.schema, rows_of(database), [], words)
        renamed = {name: [_example(example, words) for example in examples] for name, examples in splits.items()}
        write(given.out, schema, rows, renamed)
    except (TwinError, dataset.DatasetError, DatabaseError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print(given.out / "twin.sqlite")
    return 0


if __name__ == "__main__":
    sys.exit(main())
