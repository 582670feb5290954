"""SHOW and DESCRIBE, answered from the schema.

>>> answer(parse("DESCRIBE offices"), schema)[1][0]
('officeCode', 'varchar(10)', 'NO', 'PRI', None, '')

SHOW TABLES, SHOW COLUMNS, SHOW CREATE TABLE and DESCRIBE of a table are here, with LIKE. EXPLAIN and SHOW
INDEX are not (error 1235): they tell of the engine underneath.
"""

from sqlglot import exp

from helpers.mysqlite.error import failure
from helpers.mysqlite.patterns import text_like
from helpers.schema import Column, Schema, Table, to_ddl

Answer = tuple[tuple[str, ...], tuple[tuple, ...]]


def answer(node: exp.Show | exp.Describe, schema: Schema) -> Answer:
    """Return column names and rows; raises 1146 for an unknown table, 1235 for what is not covered."""
    database = node.args.get("db") or (node.this.args.get("db") if isinstance(node.this, exp.Table) else None)
    if database is not None and database.name != schema.name:
        raise failure(1049, database.name)
    if isinstance(node, exp.Describe):
        if not isinstance(node.this, exp.Table):
            raise failure(1235, "EXPLAIN")
        return _columns(node, _table(node.this.name, schema))
    if node.args.get("where") or node.name not in ("TABLES", "COLUMNS", "CREATE TABLE"):
        raise failure(1235, f"SHOW {node.name}")
    if node.name == "TABLES":
        return _tables(node, schema)
    table = _table(node.args["target"].name, schema)
    if node.name == "CREATE TABLE":
        return ("Table", "Create Table"), ((table.name, to_ddl(table)),)
    return _columns(node, table)


def _table(name: str, schema: Schema) -> Table:
    if name not in schema.names:
        raise failure(1146, schema.name, name)
    return schema.table(name)


def _is_wanted(node: exp.Expression, name: str) -> bool:
    pattern = node.args.get("like")
    return pattern is None or bool(text_like(name, pattern.name, "\\", 0))


def _tables(node: exp.Show, schema: Schema) -> Answer:
    pattern = f" ({node.args['like'].name})" if node.args.get("like") else ""
    names = sorted(name for name in schema.names if _is_wanted(node, name))
    if node.args.get("full"):
        return (f"Tables_in_{schema.name}{pattern}", "Table_type"), tuple(
            (name, "BASE TABLE") for name in names
        )
    return (f"Tables_in_{schema.name}{pattern}",), tuple((name,) for name in names)


def _columns(node: exp.Expression, table: Table) -> Answer:
    names = ("Field", "Type", "Null", "Key", "Default", "Extra")
    rows = tuple(
        (c.name, c.type, "YES" if c.nullable else "NO", _key(c, table), None, "")
        for c in table.columns
        if _is_wanted(node, c.name)
    )
    if not node.args.get("full"):
        return names, rows
    collated = ("char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set")
    wide = tuple(
        (*row[:2], "utf8mb4_0900_ai_ci" if row[1].split("(")[0] in collated else None, *row[2:], "select", "")
        for row in rows
    )
    return (*names[:2], "Collation", *names[2:], "Privileges", "Comment"), wide


def _key(column: Column, table: Table) -> str:
    """Say whether a column is (part of) the primary key, unique, or the first of a foreign key's index."""
    if column.name in table.primary_key:
        return "PRI"
    if (column.name,) in table.unique:
        return "UNI"
    return "MUL" if any(key.columns[0] == column.name for key in table.foreign_keys) else ""
