"""A variant of a database's rows: the real rows with some mutations, keys and types intact.

    mutate(schema, rows, clues, seed=7)      # {"orders": [(10100, "2004-01-01", ...), ...], ...}

A variant is a handful of mutations, drawn with a seed: near values of the golds' constants planted, columns
shuffled, collapsed into ties, emptied to NULL, shifted or rounded, rows dropped or repeated, children moved
to few parents or counted out to the sizes that a HAVING asks for. Then the rows are mended: no key occurs
twice, and a reference without its parent becomes NULL where the column allows it, else the row goes; a table
may refer to itself, and tables to each other in a circle.

Not covered: CHECK constraints, ENUM and SET (their values are moved about, none are made), and binary columns
stay as they are.
"""

import datetime
import random
import re
from collections.abc import Callable
from decimal import Decimal

from helpers.clues import Clues
from helpers.columns import family
from helpers.integrity import Rows, fitted, folded, key_columns, length, mend, positions
from helpers.schema import Column, Schema, Table

SHARES = (0.05, 0.3, 0.9)
FROZEN = ("enum", "set", "blob", "binary", "json", "bit", "geometry")


def mutate(schema: Schema, rows: Rows, clues: Clues, *, seed: int) -> Rows:
    """Return a variant of the rows, which stay as they are; the same arguments give the same variant."""
    rng = random.Random(seed)
    variant = {name: [list(row) for row in rows[name]] for name in schema.names}
    for _ in range(rng.randint(2, 6)):
        mutation = rng.choices(list(MUTATIONS), weights=list(MUTATIONS.values()))[0]
        mutation(schema, variant, clues, rng)
    return mend(schema, variant)


def _pick(
    schema: Schema, clues: Clues, rng: random.Random, fits: Callable[[Table, Column], bool]
) -> list[tuple[Table, int]]:
    """Draw up to four columns, mostly among those the golds use."""
    used = set(clues.columns)
    fitting = [(table, at) for table in schema.tables for at, column in enumerate(table.columns) if fits(table, column)]
    relevant = [(table, at) for table, at in fitting if (table.name, table.columns[at].name) in used]
    pool = relevant if relevant and rng.random() < 0.8 else fitting
    return rng.sample(pool, min(len(pool), rng.randint(1, 4)))


def _free(table: Table, column: Column) -> bool:
    return column.name.lower() not in key_columns(table) and not column.type.startswith(FROZEN)


def _plant(schema: Schema, rows: dict, clues: Clues, rng: random.Random) -> None:
    """Put near values of the golds' constants into a share of the rows of some columns."""
    share = rng.choice(SHARES)
    for (name, column_name), near in clues.values.items():
        table = schema.table(name)
        column = table.column(column_name)
        if not _free(table, column) or rng.random() < 0.4:
            continue
        at = positions(table, [column_name])[0]
        chosen = rng.sample(near, min(len(near), rng.randint(1, 4)))
        for row in rows[name]:
            if rng.random() < share:
                row[at] = fitted(rng.choice(chosen), column)


def _shuffle(schema: Schema, rows: dict, clues: Clues, rng: random.Random) -> None:
    """Deal the values of some columns anew, so that what went together no longer does."""
    for table, at in _pick(schema, clues, rng, lambda table, column: column.name not in table.primary_key):
        values = [row[at] for row in rows[table.name]]
        rng.shuffle(values)
        for row, value in zip(rows[table.name], values, strict=True):
            row[at] = value


def _tie(schema: Schema, rows: dict, clues: Clues, rng: random.Random) -> None:
    """Leave only a few of a column's values, down to one."""
    for table, at in _pick(schema, clues, rng, _free):
        values = [row[at] for row in rows[table.name] if row[at] is not None]
        few = rng.sample(values, min(len(values), rng.choice((1, 2, 3, 8))))
        for row in rows[table.name]:
            if few and row[at] is not None:
                row[at] = rng.choice(few)


def _empty(schema: Schema, rows: dict, clues: Clues, rng: random.Random) -> None:
    """Set NULL in a share of some columns that allow it, references included."""
    share = rng.choice(SHARES)
    for table, at in _pick(
        schema, clues, rng, lambda table, column: column.nullable and column.name not in table.primary_key
    ):
        for row in rows[table.name]:
            if rng.random() < share:
                row[at] = None


def _shift(schema: Schema, rows: dict, clues: Clues, rng: random.Random) -> None:
    """Move numbers and dates, all by one step or each by its own."""
    for table, at in _pick(schema, clues, rng, lambda t, c: _free(t, c) and family(c.type) != "text"):
        column, step, scatter = table.columns[at], rng.choice((-365, -30, -1, 1, 30, 365)), rng.random() < 0.5
        for row in rows[table.name]:
            row[at] = _moved(row[at], rng.randint(-abs(step), abs(step)) if scatter else step, column)


def _moved(value, step: int, column: Column):
    if isinstance(value, str) and family(column.type) == "date" and re.match(r"\d{4}-\d\d-\d\d", value):
        return (datetime.date.fromisoformat(value[:10]) + datetime.timedelta(step)).isoformat() + value[10:]
    return fitted(abs(value + step), column) if isinstance(value, (int, float, Decimal)) else value


def _round(schema: Schema, rows: dict, clues: Clues, rng: random.Random) -> None:
    """Round numbers to their first digit, so that sums and averages of groups meet round constants."""
    for table, at in _pick(schema, clues, rng, lambda t, c: _free(t, c) and family(c.type) == "number"):
        for row in rows[table.name]:
            if row[at]:
                row[at] = fitted(Decimal(f"{Decimal(str(row[at])):.0e}"), table.columns[at])


def _drop(schema: Schema, rows: dict, clues: Clues, rng: random.Random) -> None:
    """Drop a share of the rows of some tables: parents lose children; orphans follow in `mend`."""
    for name in _some_tables(schema, clues, rng):
        share = rng.choice((0.1, 0.5, 0.8))
        rows[name][:] = [row for row in rows[name] if rng.random() >= share] or rows[name][:1]


def _shrink(schema: Schema, rows: dict, clues: Clues, rng: random.Random) -> None:
    """Keep a handful of rows of some tables: fewer groups than a LIMIT asks for, whole lines without children."""
    for name in _some_tables(schema, clues, rng):
        rows[name][:] = rng.sample(rows[name], min(len(rows[name]), rng.choice((1, 2, 4, 12))))


def _rekey(schema: Schema, rows: dict, clues: Clues, rng: random.Random) -> None:
    """Rename some primary keys to near values of the golds' constants, in the children too."""
    wanted = [
        key for key in clues.values if tuple(n.lower() for n in schema.table(key[0]).primary_key) == (key[1].lower(),)
    ]
    for name, column_name in rng.sample(wanted, min(len(wanted), 2)):
        table = schema.table(name)
        at = positions(table, [column_name])[0]
        taken = {folded(row[at]) for row in rows[name]}
        near = [fitted(value, table.columns[at]) for value in clues.values[name, column_name]]
        new = {folded(value): value for value in near if folded(value) not in taken}
        chosen = rng.sample(rows[name], min(len(rows[name]), len(new), rng.randint(1, 4)))
        names = {row[at]: value for row, value in zip(chosen, new.values(), strict=False)}
        for where, place in ((name, at), *_referring_places(schema, table, column_name)):
            for row in rows[where]:
                row[place] = names.get(row[place], row[place])


def _referring_places(schema: Schema, parent: Table, column: str) -> list[tuple[str, int]]:
    """Return (table, position) of every column that refers to a column of a parent."""
    return [
        (table.name, positions(table, [own])[0])
        for table in schema.tables
        for key in table.foreign_keys
        if key.table.lower() == parent.name.lower()
        for own, other in zip(key.columns, key.references, strict=True)
        if other.lower() == column.lower()
    ]


def _some_tables(schema: Schema, clues: Clues, rng: random.Random) -> list[str]:
    used = sorted({table for table, _ in clues.columns}) or list(schema.names)
    return rng.sample(used, min(len(used), rng.randint(1, 2)))


def _repeat(schema: Schema, rows: dict, clues: Clues, rng: random.Random) -> None:
    """Repeat rows under a new primary key; where the key holds a reference, under another parent."""
    share = rng.choice((0.05, 0.3))
    for name in _some_tables(schema, clues, rng):
        table = schema.table(name)
        references = {column.lower() for key in table.foreign_keys for column in key.columns}
        made = [at for at in positions(table, table.primary_key) if table.columns[at].name.lower() not in references]
        moved = [at for at in positions(table, table.primary_key) if at not in made]
        copies = [list(row) for row in rows[name] if rng.random() < share]
        values = {at: [row[at] for row in rows[name]] for at in moved}
        for number, row in enumerate(copies):
            for at in made:
                row[at] = _new_key(rows[name], at, number, table.columns[at])
            for at in moved:
                row[at] = rng.choice(values[at])
        rows[name] += copies


def _new_key(rows: list, at: int, number: int, column: Column):
    if family(column.type) == "number":
        return fitted(max(row[at] for row in rows) + 1 + number, column)
    text = f"{rows[number % len(rows)][at]}~{number}"
    return fitted(text[-length(column) :], column)


def _gather(schema: Schema, rows: dict, clues: Clues, rng: random.Random) -> None:
    """Move a table's references to a few parents: large groups there, none elsewhere."""
    table, key = _some_reference(schema, clues, rng)
    if table is None or not rows[key.table]:
        return
    parent_at = positions(schema.table(key.table), key.references)
    parents = [
        [row[at] for at in parent_at]
        for row in rng.sample(rows[key.table], min(len(rows[key.table]), rng.randint(1, 12)))
    ]
    share, at = rng.choice((0.3, 0.9)), positions(table, key.columns)
    for row in rows[table.name]:
        if rng.random() < share:
            for index, value in zip(at, rng.choice(parents), strict=True):
                row[index] = value


def _count_out(schema: Schema, rows: dict, clues: Clues, rng: random.Random) -> None:
    """Cut the groups of a reference down to the sizes that golds ask for, and to one."""
    table, key = _some_reference(schema, clues, rng)
    if table is None:
        return
    at, sizes, left = positions(table, key.columns), [*clues.counts, 1, 2], {}
    kept = []
    for row in rows[table.name]:
        value = tuple(row[index] for index in at)
        left.setdefault(value, rng.choice(sizes))
        left[value] -= 1
        if left[value] >= 0:
            kept.append(row)
    rows[table.name][:] = kept


def _some_reference(schema: Schema, clues: Clues, rng: random.Random):
    used = {table for table, _ in clues.columns}
    keys = [(table, key) for table in schema.tables for key in table.foreign_keys if table.name in used or not used]
    return rng.choice(keys) if keys else (None, None)


def _cross(schema: Schema, rows: dict, clues: Clues, rng: random.Random) -> None:
    """Copy one column's values into another of its family in the same row, in a share of the rows."""
    for table, at in _pick(schema, clues, rng, _free):
        alike = [
            i
            for i, other in enumerate(table.columns)
            if i != at and family(other.type) == family(table.columns[at].type)
        ]
        share, other = rng.choice(SHARES), rng.choice(alike) if alike else None
        for row in rows[table.name]:
            if other is not None and row[other] is not None and rng.random() < share:
                row[at] = fitted(row[other], table.columns[at])


MUTATIONS: dict[Callable, int] = {
    _plant: 6,
    _shuffle: 4,
    _tie: 3,
    _empty: 3,
    _shift: 2,
    _round: 2,
    _drop: 3,
    _shrink: 2,
    _repeat: 3,
    _rekey: 2,
    _gather: 2,
    _count_out: 5,
    _cross: 2,
}
