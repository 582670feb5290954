"""One ReAct trace as a page a person can read: the question, every step, what came back, the answer.

>>> write(run, "test-0001")
PosixPath('outputs/demo/04_react/trace.html')

The page stands alone: no script, nothing fetched, one column that fits a telephone, black on white in print. All that
it shows was written by a model or stands in a database, so all of it is escaped; SQL is marked up word by word and not
parsed, since a model's SQL need not be SQL. Knows no models and no scores.
"""

import html
import re
from collections.abc import Mapping
from pathlib import Path

from sqlglot.dialects.mysql import MySQL

from helpers import runs

KEYWORDS = frozenset(word for phrase in MySQL.Tokenizer.KEYWORDS for word in phrase.split() if word.isalpha())

ENDS = {
    "finish": "The model finished.",
    "max_steps": "The budget of steps ended.",
    "max_trace_tokens": "The budget of tokens ended.",
    "max_seconds": "The budget of seconds ended.",
}

STYLE = """
.trace { max-width: 46rem; margin: 0 auto; padding: 1rem; background: #fff; color: #1b1f24;
  font: 16px/1.5 system-ui, sans-serif; text-align: left; overflow-wrap: anywhere; }
.trace * { box-sizing: border-box; }
.trace h1 { font-size: 1.3rem; line-height: 1.3; margin: 0 0 .25rem; }
.trace h2 { font-size: .85rem; margin: 0; color: #57606a; font-weight: 600; }
.trace .note { margin: 0 0 1rem; color: #57606a; font-size: .85rem; }
.trace section { border: 1px solid #d0d7de; border-radius: 8px; margin: 0 0 .75rem; padding: .75rem;
  break-inside: avoid; }
.trace dl { margin: 0; } .trace dt { margin-top: .5rem; font-size: .8rem; font-weight: 600; }
.trace dd { margin: .1rem 0 0; }
.trace .thought { color: #6639ba; } .trace .action { color: #0550ae; } .trace .observation { color: #116329; }
.trace pre, .trace table { font: 13px/1.5 ui-monospace, Menlo, Consolas, monospace; }
.trace pre { margin: 0; padding: .5rem; background: #f6f8fa; color: inherit; border-radius: 6px;
  white-space: pre-wrap; }
.trace .rows { overflow-x: auto; } .trace table { border-collapse: collapse; margin: 0; color: inherit; }
.trace th, .trace td { border: 1px solid #d0d7de; padding: .15rem .5rem; text-align: left; vertical-align: top;
  overflow-wrap: normal; max-width: 20rem; background: #fff; }
.trace th { background: #f6f8fa; } .trace .k { color: #0550ae; font-weight: 600; } .trace .s { color: #0a3069; }
.trace .n { color: #953800; } .trace .c { color: #57606a; font-style: italic; } .trace .bad { color: #a40e26; }
@media print { .trace { max-width: none; padding: 0; font-size: 11pt; } .trace pre, .trace th { background: none; }
  .trace pre { border: 1px solid #d0d7de; } .trace .rows { overflow: visible; } .trace table { width: 100%; }
  .trace th, .trace td { max-width: none; overflow-wrap: anywhere; } }
"""

_WORDS = re.compile(
    r"""(?P<c>--\s[^\n]*|\#[^\n]*|/\*.*?\*/) | (?P<s>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*")
      | (?P<name>`[^`]*`) | (?P<n>\b\d+(?:\.\d+)?\b) | (?P<k>[A-Za-z_]\w*)""",
    re.VERBOSE | re.DOTALL,
)


def write(run: runs.Run, example_id: str) -> Path:
    """Write trace.html of the run folder for one of its questions; raises RunError if it has no trace."""
    return run.write("trace.html", page(*recorded(run.folder, example_id)))


def recorded(folder: Path, example_id: str) -> tuple[Mapping, float]:
    """Return a question's row of traces.jsonl, the last if a kill left two, and its seconds; raises RunError."""
    traces = {row["example_id"]: row for row in runs.read_rows(folder / "traces.jsonl")}
    if example_id not in traces:
        raise runs.RunError(f"{folder} has no trace of question {example_id}: run 04_react over it first.")
    seconds = {row["example_id"]: row["seconds"] for row in runs.read_rows(folder / "timings.jsonl")}
    return traces[example_id], seconds.get(example_id, 0.0)


def page(trace: Mapping, seconds: float) -> str:
    """Return a whole HTML document for a row of traces.jsonl."""
    title = html.escape(f"{trace['example_id']}: {trace['question']}")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>body {{ margin: 0; }}{STYLE}</style>\n</head>\n"
        f"<body>\n{article(trace, seconds)}\n</body>\n</html>\n"
    )


def cell(trace: Mapping, seconds: float) -> str:
    """Return the same as a fragment with its style, for a notebook to show."""
    return f"<style>{STYLE}</style>\n{article(trace, seconds)}"


def article(trace: Mapping, seconds: float) -> str:
    """Return the page's content."""
    steps = trace["steps"]
    cost = f"{_many(len(steps), 'step')}, {_many(trace['completion_tokens'], 'token')} written, {seconds:.1f} s"
    blocks = "\n".join(_step(number, step) for number, step in enumerate(steps, 1))
    return (
        f'<article class="trace">\n<h1>{html.escape(trace["question"])}</h1>\n'
        f'<p class="note">Question {html.escape(trace["example_id"])} · {cost}</p>\n{blocks}\n'
        f"<section><h2>Answer</h2>{_answer(trace)}</section>\n</article>"
    )


def sql(statement: str) -> str:
    """Return a statement as escaped HTML with its keywords, strings, numbers and comments marked."""
    parts, at = [], 0
    for word in _WORDS.finditer(statement):
        kind, text = word.lastgroup, html.escape(word[0])
        plain = kind == "name" or (kind == "k" and word[0].upper() not in KEYWORDS)
        parts += [html.escape(statement[at : word.start()]), text if plain else f'<span class="{kind}">{text}</span>']
        at = word.end()
    return "".join([*parts, html.escape(statement[at:])])


def _answer(trace: Mapping) -> str:
    rule = "" if trace["ended"] == "finish" else f" The answer is the {trace['answered_by']}."
    if not trace["sql"]:
        return f'<p class="bad">{ENDS[trace["ended"]]} No statement was written.</p>'
    return f"<p>{ENDS[trace['ended']]}{rule}</p><pre>{sql(trace['sql'])}</pre>"


def _step(number: int, step: Mapping) -> str:
    shown = [("Thought", f"<dd>{html.escape(step['thought']) or '–'}</dd>")]
    if step["action"]:
        shown.append(("Action", _action(step["action"], step["argument"])))
    if step["observation"]:
        shown.append(("Observation", f"<dd>{_observation(step)}</dd>"))
    items = "".join(f'<dt class="{name.lower()}">{name}</dt>{body}' for name, body in shown)
    return f"<section><h2>Step {number} · {_many(step['tokens'], 'token')}</h2><dl>{items}</dl></section>"


def _action(tool: str, argument: str) -> str:
    body = sql(argument) if tool in ("run_sql", "finish") else html.escape(argument)
    return f"<dd><code>{html.escape(tool)}</code>{f'<pre>{body}</pre>' if argument else ''}</dd>"


def _observation(step: Mapping) -> str:
    """Lay a result out as a table; a schema, an error and a correction stay text."""
    text = step["observation"]
    if step["action"] != "run_sql" or text.startswith(("Error ", "run_sql needs ")):
        shown = sql(text) if step["action"] == "describe_table" else html.escape(text)
        return f"<pre{' class=bad' if text.startswith('Error ') else ''}>{shown}</pre>"
    head, *rows = text.split("\n")
    note = rows.pop() if rows and re.fullmatch(r"… \(.* rows\)|\(no rows\)", rows[-1]) else ""
    cells = [f"<tr>{''.join(f'<td>{html.escape(value)}</td>' for value in row.split(chr(9)))}</tr>" for row in rows]
    heads = "".join(f"<th>{html.escape(name)}</th>" for name in head.split("\t"))
    return (
        f'<div class="rows"><table><thead><tr>{heads}</tr></thead><tbody>{"".join(cells)}</tbody></table></div>'
        f"{f'<p class=note>{html.escape(note)}</p>' if note else ''}"
    )


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
