"""What a schema promises of its rows: unique keys, references that find their parents, values that fit their types.

    mend(schema, {"orders": [(1, 99)], "customers": []})      # {"orders": [], "customers": []}: no customer 99
    fitted(3.14159, Column("price", "decimal(10,2)"))         # Decimal("3.14")

Rows are lists of tuples by table, in column order. Not covered: CHECK constraints, and equality under a
collation other than one without case.
"""

import re
from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal

from helpers.columns import family
from helpers.schema import Column, Schema, Table, parents_first

Rows = dict[str, list[tuple]]
INTEGER_BITS = {"tinyint": 7, "smallint": 15, "mediumint": 23, "int": 31, "bigint": 63}


def mend(schema: Schema, rows: dict[str, list]) -> Rows:
    """Drop what breaks a key; set dangling references to NULL, or drop their rows where they may not be NULL."""
    rows = {name: [tuple(row) for row in rows[name]] for name in schema.names}
    order = parents_first(schema)
    before = None
    while before != (before := {name: len(rows[name]) for name in rows}):
        for table in order:
            rows[table.name] = _referring(table, _unique(table, rows[table.name]), schema, rows)
    return rows


def _unique(table: Table, rows: list[tuple]) -> list[tuple]:
    for key in (table.primary_key, *table.unique):
        at = positions(table, key)
        seen: set = set()
        kept = []
        for row in rows:
            value = tuple(folded(row[index]) for index in at)
            if value not in seen or None in value:
                kept.append(row)
            seen.add(value)
        rows = kept if at else rows
    return rows


def folded(value):
    """Compare keys as MySQL's default collation does, roughly: without case."""
    return value.casefold() if isinstance(value, str) else value


def _referring(table: Table, rows: list[tuple], schema: Schema, everything: Rows) -> list[tuple]:
    for key in table.foreign_keys:
        at = positions(table, key.columns)
        parent = schema.table(key.table)
        parent_at = positions(parent, key.references)
        parents = rows if parent.name == table.name else everything[parent.name]
        present = {tuple(row[index] for index in parent_at) for row in parents}
        may_be_null = all(table.columns[index].nullable for index in at)
        kept = []
        for row in rows:
            value = tuple(row[index] for index in at)
            if None in value or value in present:
                kept.append(row)
            elif may_be_null:
                kept.append(tuple(None if index in at else cell for index, cell in enumerate(row)))
        rows = kept
    return rows


def positions(table: Table, names: Iterable[str]) -> list[int]:
    at = {column.name.lower(): index for index, column in enumerate(table.columns)}
    return [at[name.lower()] for name in names]


def key_columns(table: Table) -> set[str]:
    """Return the names, in lower case, of a table's primary, unique and foreign key columns."""
    groups = (table.primary_key, *table.unique, *(key.columns for key in table.foreign_keys))
    return {name.lower() for group in groups for name in group}


def fitted(value, column: Column):
    """Bring a value into a column's type: digits, range and length."""
    name, size = column.type.split("(")[0].split()[0], re.findall(r"\d+", column.type)
    if name in INTEGER_BITS:
        limit = 2 ** INTEGER_BITS[name] - 1
        return max(-limit, min(limit, int(value)))
    if name in ("decimal", "numeric"):
        digits, scale = int(size[0]) if size else 10, int(size[1]) if len(size) > 1 else 0
        limit = Decimal(10) ** (digits - scale) - Decimal(1).scaleb(-scale)
        return max(-limit, min(limit, Decimal(str(value)).quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP)))
    if name in ("float", "double", "real"):
        return float(value)
    if family(column.type) == "date":
        return f"{value} 00:00:00" if name in ("datetime", "timestamp") and len(str(value)) == 10 else str(value)
    return str(value)[: length(column)] if not isinstance(value, bytes) else value


def length(column: Column) -> int:
    size = re.findall(r"\d+", column.type)
    return int(size[0]) if size and "char" in column.type else 255
