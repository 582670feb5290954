"""A database's shape: tables, columns with their MySQL types, keys.

>>> schema = from_ddl("CREATE TABLE offices (officeCode varchar(10) NOT NULL, PRIMARY KEY (officeCode));")
>>> schema.table("OFFICES").primary_key
('officeCode',)

Read from DDL text here, and from a live database in `database`. It knows no rows: the counts and sample values
it can carry are filled in by whoever reflects a database, and are left out of `hash`. Views, triggers, CHECK
constraints and generated columns are not represented.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from functools import cached_property

import sqlglot
from sqlglot import exp


@dataclass(frozen=True)
class Column:
    """One column; `type` is its MySQL type in lower case, such as `decimal(10,2)`."""

    name: str
    type: str
    nullable: bool = True
    samples: tuple = ()


@dataclass(frozen=True)
class ForeignKey:
    """Columns of a table that refer to the columns `references` of `table`."""

    columns: tuple[str, ...]
    table: str
    references: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """One table; `rows` is its row count where somebody counted."""

    name: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    unique: tuple[tuple[str, ...], ...] = ()
    rows: int | None = None

    def column(self, name: str) -> Column:
        """Return the column of that name in any case, or raise KeyError."""
        for column in self.columns:
            if column.name.lower() == name.lower():
                return column
        raise KeyError(f"{self.name} has no column {name}")


@dataclass(frozen=True)
class Schema:
    """The tables of one database, in the order in which they were declared."""

    name: str
    tables: tuple[Table, ...] = field(default=())

    @cached_property
    def _by_name(self) -> dict[str, Table]:
        return {table.name.lower(): table for table in self.tables}

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the tables."""
        return tuple(table.name for table in self.tables)

    def table(self, name: str) -> Table:
        """Return the table of that name in any case, or raise KeyError."""
        if name.lower() not in self._by_name:
            raise KeyError(f"{self.name} has no table {name}")
        return self._by_name[name.lower()]

    def to_dict(self) -> dict:
        """Return the schema as plain data, as schema.json holds it."""
        return asdict(self)

    @cached_property
    def hash(self) -> str:
        """Return the sha256 (hex) over names, types, nullability and keys, whatever the order of the tables."""
        shape = [
            [
                t.name,
                [[c.name, c.type, c.nullable] for c in t.columns],
                t.primary_key,
                [[f.columns, f.table, f.references] for f in t.foreign_keys],
                sorted(t.unique),
            ]
            for t in sorted(self.tables, key=lambda t: t.name)
        ]
        return hashlib.sha256(json.dumps(shape).encode()).hexdigest()


def from_ddl(text: str, *, name: str = "classicmodels") -> Schema:
    """Read the CREATE TABLE statements of a MySQL script; anything else in it is passed over."""
    statements = sqlglot.parse(text, read="mysql")
    creates = [s for s in statements if isinstance(s, exp.Create) and s.kind == "TABLE"]
    return Schema(name, tuple(_table(create.this) for create in creates))


def to_ddl(table: Table) -> str:
    """Write one table as a CREATE TABLE statement in MySQL dialect, with its keys."""
    lines = [f"`{c.name}` {c.type}{'' if c.nullable else ' NOT NULL'}" for c in table.columns]
    if table.primary_key:
        lines.append(f"PRIMARY KEY ({_quoted(table.primary_key)})")
    lines += [f"UNIQUE ({_quoted(columns)})" for columns in table.unique]
    lines += [
        f"FOREIGN KEY ({_quoted(key.columns)}) REFERENCES `{key.table}` ({_quoted(key.references)})"
        for key in table.foreign_keys
    ]
    return f"CREATE TABLE `{table.name}` (\n  " + ",\n  ".join(lines) + "\n)"


def parents_first(schema: Schema) -> tuple[Table, ...]:
    """Order the tables so that each comes after those it refers to; a reference to itself does not count.

    Tables that refer to each other in a circle come last, in the order in which they were declared.
    """
    ordered: list[Table] = []
    waiting = list(schema.tables)
    while waiting:
        placed = {table.name.lower() for table in ordered}
        ready = [t for t in waiting if _parents(t) <= placed | {t.name.lower()}] or waiting
        ordered += ready
        waiting = [t for t in waiting if t not in ready]
    return tuple(ordered)


def _parents(table: Table) -> set[str]:
    return {key.table.lower() for key in table.foreign_keys}


def _quoted(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _names(expressions: list[exp.Expression]) -> tuple[str, ...]:
    return tuple(e.find(exp.Identifier).name for e in expressions)


def _table(definition: exp.Schema) -> Table:
    parts = definition.expressions
    columns = [part for part in parts if isinstance(part, exp.ColumnDef)]
    primary = [key for part in parts for key in part.find_all(exp.PrimaryKey)]
    inline = [c.name for c in columns if c.find(exp.PrimaryKeyColumnConstraint)]
    primary_key = _names(primary[0].expressions) if primary else tuple(inline)
    unique = [_names(_key_columns(u)) for part in parts for u in part.find_all(exp.UniqueColumnConstraint) if u.this]
    unique += [(c.name,) for c in columns if c.find(exp.UniqueColumnConstraint)]
    return Table(
        definition.this.name,
        tuple(_column(c, primary_key) for c in columns),
        primary_key,
        tuple(_foreign_key(key) for part in parts for key in part.find_all(exp.ForeignKey)),
        tuple(unique),
    )


def _key_columns(unique: exp.UniqueColumnConstraint) -> list[exp.Expression]:
    return unique.this.expressions if isinstance(unique.this, exp.Schema) else [unique.this]


def _column(definition: exp.ColumnDef, primary_key: tuple[str, ...]) -> Column:
    required = any(
        isinstance(c.kind, exp.NotNullColumnConstraint) and not c.kind.args.get("allow_null")
        for c in definition.constraints
    )
    return Column(definition.name, mysql_type(definition.kind), not required and definition.name not in primary_key)


def mysql_type(kind: exp.DataType) -> str:
    """Render a sqlglot type as MySQL's own lower-case name, without display widths: `int(11)` is `int`."""
    text = kind.sql(dialect="mysql").lower().replace(", ", ",")
    integer = text.split("(")[0] in ("tinyint", "smallint", "mediumint", "int", "bigint")
    return text.split("(")[0] + text.partition(")")[2] if integer and "(" in text else text


def _foreign_key(key: exp.ForeignKey) -> ForeignKey:
    target = key.args["reference"].this
    return ForeignKey(_names(key.expressions), target.this.name, _names(target.expressions))
