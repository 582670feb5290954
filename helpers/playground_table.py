"""A result as an HTML table: its first rows, how many there are, and all that were fetched as a CSV file.

>>> count(Result(("city",), [("Paris",), ("Boston",)], seconds=0.01))
'2 rows in 0.01 s'
>>> table(Result(("city",), [("Paris",)]))
'<div class="rows" tabindex="0" …><table>…<td>Paris</td>…'

Values are shown as the database gave them: numbers without separators, NULL as a word of its own. The CSV file is
in the link itself, so it needs no server; NULL is an empty field there. Knows nothing of where a result comes from.
"""

import base64
import csv
import html
import io
from decimal import Decimal

from helpers.database import Result

SHOWN_ROWS = 200
_NUMBERS = (int, float, Decimal)


def count(result: Result) -> str:
    """Say how many rows there are, how many of them are shown, and whether the row cap left some behind."""
    fetched = len(result.rows)
    said = f"{fetched:,} row{'' if fetched == 1 else 's'} in {result.seconds:.2f} s"
    if result.truncated:
        said = f"the first {said}; there are more"
    return f"{said}; the first {SHOWN_ROWS} are shown" if fetched > SHOWN_ROWS else said


def table(result: Result) -> str:
    """Return the first rows in a box of their own that scrolls, also by keyboard."""
    head = "".join(_heading(name, i, result) for i, name in enumerate(result.columns))
    rows = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in result.rows[:SHOWN_ROWS])
    return (
        '<div class="rows" tabindex="0" role="region" aria-label="Result">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def csv_link(result: Result) -> str:
    """Return a link that downloads every fetched row as CSV (RFC 4180, UTF-8)."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(result.columns)
    writer.writerows([[_text(value) if value is not None else "" for value in row] for row in result.rows])
    data = base64.b64encode(text.getvalue().encode()).decode()
    return f'<a class="csv" download="result.csv" href="data:text/csv;charset=utf-8;base64,{data}">Download CSV</a>'


def _heading(name: str, index: int, result: Result) -> str:
    values = [row[index] for row in result.rows[:SHOWN_ROWS] if row[index] is not None]
    kind = ' class="number"' if values and all(isinstance(value, _NUMBERS) for value in values) else ""
    return f'<th scope="col"{kind}>{html.escape(name)}</th>'


def _cell(value: object) -> str:
    if value is None:
        return '<td class="null">NULL</td>'
    kind = ' class="number"' if isinstance(value, _NUMBERS) else ""
    return f"<td{kind}>{html.escape(_text(value))}</td>"


def _text(value: object) -> str:
    return f"0x{value.hex()}" if isinstance(value, bytes) else str(value)
