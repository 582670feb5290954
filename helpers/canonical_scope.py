"""One SELECT and what the schema promises of it: keys, columns known to be equal, rows that are determined.

    scope = scope_of(select, schema)
    scope.all_determined({"o.ordernumber"})      # True if an order number leaves at most one row of the join

Columns are written alias.name in lower case. A SELECT over anything but base tables is not `whole`: little is
known of it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlglot import exp

from helpers.columns import sources
from helpers.schema import Schema, Table


@dataclass
class Scope:
    """One SELECT: base tables by alias, those an outer join may leave NULL, columns known to be equal."""

    select: exp.Select
    tables: dict[str, Table]
    whole: bool
    optional: set[str] = field(default_factory=set)
    equal: dict[str, str] = field(default_factory=dict)

    def name(self, alias: str, column: str) -> str:
        """Return the representative of a column among its equals."""
        return self.equal.get(f"{alias}.{column.lower()}", f"{alias}.{column.lower()}")

    def keys(self, alias: str) -> list[set[str]]:
        """Return the keys of a table, each as representatives."""
        table = self.tables[alias]
        unique = [key for key in table.unique if all(not table.column(name).nullable for name in key)]
        return [{self.name(alias, name) for name in key} for key in (table.primary_key, *unique) if key]

    def determined(self, columns: Iterable[str]) -> set[str]:
        """Return the aliases of which at most one row goes with given values of some columns."""
        known, found, before = set(columns), set(), -1
        while before != len(found):
            before = len(found)
            for alias in self.tables.keys() - found:
                if any(key <= known for key in self.keys(alias)):
                    found.add(alias)
                    known |= {self.name(alias, column.name) for column in self.tables[alias].columns}
        return found

    def all_determined(self, columns: Iterable[str]) -> bool:
        """Tell whether given values of some columns leave at most one row of the whole join."""
        return self.whole and self.determined(columns) == self.tables.keys()


def scope_of(select: exp.Select, schema: Schema) -> Scope:
    """Return what is known of the tables a SELECT reads: their names, keys and joins."""
    known = {name.lower() for name in schema.names}
    read = sources(select)
    base = [s for s in read if isinstance(s, exp.Table) and s.name.lower() in known]
    return Scope(select, {s.alias_or_name.lower(): schema.table(s.name) for s in base}, bool(base) and base == read)


def own(scope: Scope, kind: type | tuple) -> list[exp.Expression]:
    """Return the nodes of a kind that belong to this SELECT, not to one inside it."""
    return [node for node in scope.select.find_all(kind) if node.find_ancestor(exp.Select) is scope.select]


def conditions(scope: Scope, *, joined: bool = False) -> list[exp.Expression]:
    """Return the conjuncts of WHERE and, if asked, of inner joins."""
    where = scope.select.args.get("where")
    parts = [where.this] if where else []
    if joined:
        parts += [j.args["on"] for j in scope.select.args.get("joins") or [] if j.args.get("on") and not j.side]
    return [leaf for part in parts for leaf in leaves(part)]


def leaves(condition: exp.Expression) -> list[exp.Expression]:
    """Return the conjuncts of a condition."""
    return list(condition.flatten()) if isinstance(condition, exp.And) else [condition]


def text(node: exp.Expression) -> str:
    """Write a column as alias.name, anything else as SQL."""
    return f"{node.table}.{node.name}" if isinstance(node, exp.Column) else node.sql()
