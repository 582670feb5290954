"""The tools of ReAct: what may be asked of a database, and how much of the answer is shown.

>>> use("run_sql", "SELECT city, phone FROM offices LIMIT 1", database, limit=600, seen={}).text
'city\\tphone\\nSan Francisco\\t+1 650 219 4782'

A result is shown as `mysql --batch` prints it: columns parted by tabs, a row a line, and a value's own line breaks and
tabs written with a backslash. So a value cannot begin a line, and nothing it says is more than text. Observations are
cut by rule: a value to VALUE_CHARS, then whole rows or words to `limit` characters, and a last line says what is
missing. A mistake is observed too, as one sentence with the remedy. Only `run_sql` takes a statement, and that passes
the database's guard. Knows no models.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from sqlglot import exp

from helpers import prompts, sql
from helpers.database import Database, Result, Schema
from helpers.react_step import TOOLS, is_statement

VALUE_CHARS = 100
SAMPLES = 10
_NAMES = ", ".join(TOOLS)
_BREAKS = {sign: f"\\u{ord(sign):04x}" for sign in "\v\f\x1c\x1d\x1e\x85\u2028\u2029"}  # what else ends a line
_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", "\0": "\\0"} | _BREAKS)


@dataclass(frozen=True)
class Observed:
    """What came back: the text to read; for run_sql its `statement`, and whether that is a query that `ran`."""

    text: str
    statement: str = ""
    ran: bool = False


def use(tool: str, argument: str, database: Database, *, limit: int, seen: dict) -> Observed:
    """Use a tool and return what is observed, at most about `limit` characters of it.

    `seen` keeps what was observed before, so that nothing is executed twice in a run, a statement that timed out
    included. Raises DatabaseError when the database itself fails.
    """
    asked = (tool, sql.extract(argument) if tool == "run_sql" else argument)
    if asked not in seen:
        seen[asked] = _USED[tool](asked[1], database, limit) if tool in _USED else Observed(_correction(tool))
    return seen[asked]


def _correction(tool: str) -> str:
    found = f"There is no tool {tool[:40]}" if tool else "There is no tool in this step"
    return f"{found}: write one line 'Action: tool(argument)' with one of {_NAMES}."


def _finish(_argument: str, _database: Database, _limit: int) -> Observed:
    """Answer a finish that gives no statement; one that does ends the trace and is never observed."""
    return Observed("finish needs the statement that answers the question: write finish(SELECT …).")


def _list_tables(_argument: str, database: Database, limit: int) -> Observed:
    return Observed(_cut(", ".join(f"{table.name} ({table.rows} rows)" for table in database.schema.tables), limit))


def _describe_table(argument: str, database: Database, limit: int) -> Observed:
    schema = database.schema
    known = {name.lower(): name for name in schema.names}
    names = [word.lower() for word in _words(argument, schema)]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        said = f"There is no table {unknown[0][:60]}" if unknown else "describe_table needs a table"
        return Observed(_cut(f"{said}: the tables are {', '.join(schema.names)}.", limit))
    tables = tuple(schema.table(name) for name in dict.fromkeys(names))
    return Observed(_cut(prompts.describe(replace(schema, tables=tables)), limit))


def _sample_values(argument: str, database: Database, limit: int) -> Observed:
    words = _words(argument, database.schema)
    if len(words) != 2:
        return Observed("sample_values needs a table and a column: write sample_values(table.column).")
    try:
        table = database.schema.table(words[0])
        values = database.values(table.name, table.column(words[1]).name, SAMPLES)
    except KeyError as error:
        return Observed(_cut(f"{error.args[0]}: write sample_values(table.column).", limit))
    return Observed(_cut(", ".join(map(_shown, values)) or "(no values)", limit))


def _run_sql(statement: str, database: Database, limit: int) -> Observed:
    if not statement:
        return Observed("run_sql needs a statement: write run_sql(SELECT …).")
    result = database.execute(statement)
    if result.error:
        said = " ".join(result.error.split())
        return Observed(_cut(f"Error {result.error_code}: {said}", limit), statement)
    return Observed(_table(result, limit), statement, isinstance(sql.parse(statement), exp.Query))


_USED: dict[str, Callable[[str, Database, int], Observed]] = {
    "list_tables": _list_tables,
    "describe_table": _describe_table,
    "sample_values": _sample_values,
    "run_sql": _run_sql,
    "finish": _finish,
}


def answers(action: str, argument: str) -> bool:
    """Tell whether a step ends its trace: a finish that is given a statement."""
    return action == "finish" and is_statement(sql.extract(argument))


def _words(argument: str, schema: Schema) -> list[str]:
    """Return the names in an argument, however they are quoted, parted or keyed, without the schema's own."""
    for mark in "`'\"[](){};,.:=":
        argument = argument.replace(mark, " ")
    keys = {"table", "table_name", "column", "column_name", schema.name.lower()} - {n.lower() for n in schema.names}
    return [word for word in argument.split() if word.lower() not in keys]


def _table(result: Result, limit: int) -> str:
    """Lay out a result; the heading and one row are shown in any case, cut if need be, then as many rows as fit."""
    kept: list[str] = []
    room = limit
    for row in [result.columns, *result.rows[:limit]]:
        line = "\t".join(map(_shown, row))
        if len(kept) > 1 and len(line) > room:
            break
        kept.append(line if len(line) <= room else f"{line[: max(room, 1)]}…")
        room -= len(line) + 1
    shown, rows = len(kept) - 1, len(result.rows)
    if not rows:
        return f"{kept[0]}\n(no rows)"
    if shown == rows and not result.truncated:
        return "\n".join(kept)
    return "\n".join([*kept, f"… ({shown} of {rows}{' or more' if result.truncated else ''} rows)"])


def _shown(value: object) -> str:
    """Write a value on one line, cut to VALUE_CHARS; bytes that are no text by their length."""
    if value is None:
        return "NULL"
    text = f"({len(value)} bytes)" if isinstance(value, bytes) else str(value).translate(_ESCAPES)
    return text if len(text) <= VALUE_CHARS else f"{text[:VALUE_CHARS]}…"


def _cut(text: str, limit: int) -> str:
    """Cut a text at its last line or word within `limit`, and say how long it is."""
    if len(text) <= limit:
        return text
    part = text[:limit]
    short = part.rsplit("\n", 1)[0] if "\n" in part else part.rsplit(" ", 1)[0]
    return f"{short}\n… ({len(text)} characters in all)"
