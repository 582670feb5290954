"""Which base table and column a column of a statement means, and which columns can stand for each other.

    resolve(column, schema)      # ("orders", "orderDate") for `o.orderDate` under FROM orders o
    family("decimal(10,2)")      # "number"

Names are looked up from a SELECT outwards, as MySQL does. A column of a derived table, or one that two tables
share, means none or the first that has it.
"""

from sqlglot import exp

from helpers.schema import Schema

FAMILIES = {
    "number": (
        "int",
        "dec",
        "float",
        "double",
        "smallint",
        "tinyint",
        "bigint",
        "mediumint",
        "numeric",
        "real",
    ),
    "date": ("date", "time", "year"),
}


def family(mysql_type: str) -> str:
    """Sort a MySQL type into number, date or text: columns of one family can stand for each other."""
    return next((name for name, starts in FAMILIES.items() if mysql_type.startswith(starts)), "text")


def sources(select: exp.Select) -> list[exp.Expression]:
    """Return what a SELECT reads in its FROM and its joins: tables, derived tables."""
    return [part.this for part in (select.args.get("from_"), *(select.args.get("joins") or [])) if part is not None]


def tables_of(node: exp.Expression, schema: Schema) -> dict[str, str]:
    """Map the names (lower case) by which a node's SELECT knows base tables to the tables' own names."""
    select = node if isinstance(node, exp.Select) else node.find_ancestor(exp.Select)
    known = {name.lower() for name in schema.names}
    found: dict[str, str] = {}
    while select is not None:
        for table in sources(select):
            if isinstance(table, exp.Table) and table.name.lower() in known:
                found.setdefault(table.alias_or_name.lower(), table.name)
        select = select.find_ancestor(exp.Select)
    return found


def resolve(column: exp.Column, schema: Schema) -> tuple[str, str] | None:
    """Find the base table and column that an expression means, as the schema spells them; None if none."""
    tables = tables_of(column, schema)
    names = (
        [tables[column.table.lower()]] if column.table.lower() in tables else [] if column.table else tables.values()
    )
    for name in names:
        table = schema.table(name)
        for candidate in table.columns:
            if candidate.name.lower() == column.name.lower():
                return table.name, candidate.name
    return None
