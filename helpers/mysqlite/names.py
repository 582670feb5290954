"""What a name in a statement stands for: scopes, sources, columns, aliases, as MySQL resolves them.

>>> scope.resolve(parse("SELECT customerName FROM customers").expressions[0]).sql
't1."customerName"'

A scope is one SELECT; its parent is the SELECT around it. WHERE sees the columns of FROM; GROUP BY sees
those, then aliases; HAVING sees what is selected or grouped; ORDER BY sees aliases first when it is a bare
name, otherwise columns first. Tables and their aliases are case-sensitive as on MySQL for Linux, columns and
column aliases are not. https://dev.mysql.com/doc/refman/8.0/en/problems-with-alias.html
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlglot import exp

from helpers.mysqlite import types
from helpers.mysqlite.error import failure
from helpers.mysqlite.parse import syntax_error
from helpers.mysqlite.types import Value
from helpers.schema import Schema


@dataclass(frozen=True, eq=False)
class Catalog:
    """What a statement is compiled against: the schema, and its text columns of plain ASCII."""

    schema: Schema
    plain: frozenset[tuple[str, str]]


@dataclass(frozen=True, eq=False)
class Field:
    """One column of a source."""

    name: str
    value: Value
    source: "Source"


@dataclass(eq=False)
class Source:
    """One entry of FROM: `name` in the statement, `alias` in the SQL; `keys` determine all its columns."""

    name: str
    alias: str
    fields: tuple[Field, ...] = ()
    keys: tuple[frozenset[str], ...] = ()
    implied: Callable[[frozenset[str]], frozenset[str]] | None = None

    def find(self, name: str) -> Field | None:
        """Return the column of that name in any case."""
        return next((f for f in self.fields if f.name.lower() == name.lower()), None)


@dataclass(eq=False)
class Item:
    """One column of a SELECT list: an expression, or a column that a star stands for."""

    name: str
    node: exp.Expression | None
    value: Value | None = None
    field: Field | None = None
    aliased: bool = False


@dataclass(eq=False)
class Context:
    """What one statement's scopes share; `values` and `fields` remember what each node was compiled to."""

    catalog: Catalog
    handlers: dict
    values: dict[int, Value] = field(default_factory=dict)
    fields: dict[int, tuple["Scope", Field]] = field(default_factory=dict)
    aliases: dict[int, Item] = field(default_factory=dict)
    counter: int = 0

    def fresh(self, prefix: str) -> str:
        """Return a name not used before in this statement."""
        self.counter += 1
        return f"{prefix}{self.counter}"


@dataclass(eq=False)
class Scope:
    """One SELECT being compiled; `clause` is the part MySQL's messages would name."""

    context: Context
    parent: "Scope | None" = None
    ctes: dict[str, Callable[[str], Source]] = field(default_factory=dict)
    sources: list[Source] = field(default_factory=list)
    merged: dict[str, Field] = field(default_factory=dict)
    items: list[Item] = field(default_factory=list)
    groups: list[exp.Expression] = field(default_factory=list)
    windows: dict[str, exp.Window] = field(default_factory=dict)
    rules: list = field(default_factory=list)
    star: list[Field] = field(default_factory=list)
    clause: str = "field list"
    aggregating: bool = False
    windowing: bool = False
    aggregates: int = 0
    windowed: set[int] = field(default_factory=set)

    def value(self, node: exp.Expression) -> Value:
        """Compile one expression; what a handler needs of its operands it asks for here."""
        known = self.context.values.get(id(node))
        if known is None:
            handler = self.context.handlers.get(type(node))
            if handler is None:
                raise syntax_error(node)
            known = self.context.values[id(node)] = handler(node, self)
        return known

    @contextmanager
    def within(self, clause: str | None = None, **flags: bool) -> Iterator[None]:
        """Compile in another clause, or with `aggregating` or `windowing` set, and come back."""
        changes = {"clause": clause or self.clause, **flags}
        before = {name: getattr(self, name) for name in changes}
        self.__dict__.update(changes)
        try:
            yield
        finally:
            self.__dict__.update(before)

    def item_value(self, item: Item) -> Value:
        """Compile a column of the SELECT list, once."""
        if item.value is None:
            with self.within("field list", aggregating=False):
                item.value = self.value(item.node)
        return item.value

    def resolve(self, node: exp.Column) -> Value:
        """Find what a column name stands for, here or in a SELECT around; raises 1052 or 1054."""
        level: Scope | None = self
        while level is not None:
            found = level._lookup(node)
            if isinstance(found, Item):
                self._refuse_alias(node, level, found)
                self.context.aliases[id(node)] = found
                return level.item_value(found)
            if found is not None:
                self.context.fields[id(node)] = (level, found)
                return found.value
            level = level.parent
        raise failure(1054, written(node), self.clause)

    def _refuse_alias(self, node: exp.Column, level: "Scope", item: Item) -> None:
        level.item_value(item)
        if level.aggregating and item.node is not None and level.has_aggregate(item.node):
            raise failure(1247, node.name, "reference to group function")
        if level.clause in ("having clause", "group statement") and id(item.node) in level.windowed:
            raise failure(3594, node.name)

    def has_aggregate(self, node: exp.Expression) -> bool:
        """Tell whether an expression of this scope holds an aggregate."""
        return any(id(n) in self.context.values and n.meta.get("aggregate") for n in node.walk())

    def _lookup(self, node: exp.Column) -> "Field | Item | None":
        if self.clause == "having clause" and not self.aggregating:
            return self._selected(node)
        found = self._from(node)
        if found is None and self.clause in ("order clause", "group statement") and not node.table:
            return self._aliased(node.name)
        return found

    def _from(self, node: exp.Column) -> Field | None:
        name, table = node.name, node.table
        if not table and name.lower() in self.merged:
            return self.merged[name.lower()]
        sources = [s for s in self.sources if not table or s.name == table]
        found = [f for f in (source.find(name) for source in sources) if f is not None]
        if len(found) > 1:
            raise failure(1052, written(node), self.clause)
        return found[0] if found else None

    def _aliased(self, name: str) -> Item | None:
        return next((i for i in self.items if i.aliased and i.name.lower() == name.lower()), None)

    def _selected(self, node: exp.Column) -> "Field | Item | None":
        """Find a name as HAVING does: among the selected columns and those of GROUP BY."""
        name = node.name.lower()
        matches = [] if node.table else [i for i in self.items if i.name.lower() == name]
        if len(matches) > 1 and len({self.item_value(i).sql for i in matches}) > 1:
            raise failure(1052, written(node), self.clause)
        if matches:
            return matches[0]
        column = self._from(node)
        if column is None:
            return None
        selected = [i.field or self._field_of(i.node) for i in self.items]
        grouped = [self._field_of(g) for g in self.groups]
        return column if column in selected or column in grouped else None

    def _field_of(self, node: exp.Expression | None) -> Field | None:
        if isinstance(node, exp.Alias):
            node = node.this
        if not isinstance(node, exp.Column) or isinstance(node.this, exp.Star):
            return None
        level, found = self.context.fields.get(id(node), (None, None))
        if level is None:
            with self.within("field list"):
                found = self._from(node)
        return found


def written(node: exp.Column) -> str:
    """Write a column name as MySQL's messages do."""
    return ".".join(part.name for part in node.parts)


def table_source(context: Context, name: str, called: str) -> Source:
    """Make the source of a base table; raises 1146 where the schema has none of that very name."""
    catalog = context.catalog
    if name not in catalog.schema.names:
        raise failure(1146, catalog.schema.name, name)
    table = catalog.schema.table(name)
    source = Source(called, context.fresh("t"))
    source.fields = tuple(
        Field(c.name, _stored(source.alias, c.name, c.type, (table.name, c.name) in catalog.plain), source)
        for c in table.columns
    )
    required = {c.name for c in table.columns if not c.nullable}
    keys = [table.primary_key, *[u for u in table.unique if set(u) <= required]]
    source.keys = tuple(frozenset(n.lower() for n in key) for key in keys if key)
    return source


def _stored(alias: str, name: str, declared: str, plain: bool) -> Value:
    """Read a stored column: a decimal comes as SQLite's number and is turned into its scaled integer."""
    type_ = types.from_mysql(declared, plain=plain)
    sql = f'{alias}."{name}"'
    if type_.kind == "decimal":
        return Value(f"CAST(ROUND({sql} * {10**type_.scale}) AS INTEGER)", type_)
    if type_.kind == "text" and declared.startswith(("enum", "set", "json")):
        return Value(f"CAST({sql} AS TEXT)", type_)
    return Value(sql, type_)
