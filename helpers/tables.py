"""What a notebook shows: records as pandas tables, one function a record.

>>> tables.result(database.execute("SELECT city, phone FROM offices"))      # a DataFrame
>>> tables.schema(database.schema)

Only for looking at: nothing here computes, and nothing reads a table back.
"""

import html
from collections.abc import Iterable, Mapping, Sequence

from helpers import runtime, sql, trace_page
from helpers.database import Database, Result, Schema
from helpers.dataset import Example
from helpers.runs import Prediction, Run


def run(opened: Run):
    """Show a run's parameters and the machine it runs on."""
    machine = runtime.hardware()
    gpu = machine["gpu"] or {"name": "none", "vram_gb": 0}
    rows = {
        **opened.params.model_dump(),
        "run folder": str(opened.folder),
        "machine": f"{machine['cpu']}, {machine['cores']} cores, {machine['ram_gb']} GB",
        "GPU": f"{gpu['name']}, {gpu['vram_gb']} GB",
    }
    return _frame({"setting": list(rows), "value": [str(value) for value in rows.values()]})


def fit(found):
    """Show what a model needs of this machine's memory, as `fit.answering` found it."""
    if found is None:
        return _frame({"memory": ["not known: the model runs on a server, or its configuration could not be read"]})
    rows = {
        "parameters": f"{found.parameters / 1e9:.2f} billion",
        "weights": f"{found.weights_gb:.1f} GB",
        "prompt and batch": f"{found.cache_gb:.1f} GB",
        "needed in all, about": f"{found.needed_gb:.1f} GB",
        "here": f"{found.memory_gb:.1f} GB",
        "does it fit?": f"no: {found.remedy}" if found.remedy else "yes",
        "fits as it is on": ", ".join(found.gpus) or "none of the GPUs known here",
    }
    return _frame({"memory": list(rows), "value": list(rows.values())})


def result(answer: Result, *, rows: int = 200):
    """Show a result's first rows, or its error."""
    import pandas

    if answer.error:
        return _frame({"error": [f"{answer.error_code}: {answer.error}"]})
    return pandas.DataFrame(answer.rows[:rows], columns=list(answer.columns))


def schema(shown: Schema):
    """Show every column with its type and the key it belongs to."""
    refers = {
        (t.name, c): f"→ {key.table}.{r}"
        for t in shown.tables
        for key in t.foreign_keys
        for c, r in zip(key.columns, key.references, strict=True)
    }
    rows = [
        (
            t.name,
            c.name,
            c.type,
            "NULL" if c.nullable else "",
            "PK" if c.name in t.primary_key else "",
            refers.get((t.name, c.name), ""),
        )
        for t in shown.tables
        for c in t.columns
    ]
    return _rows(rows, "table", "column", "type", "null", "key", "references")


def counts(shown: Schema):
    """Show how many rows each table has."""
    return _rows([(t.name, len(t.columns), t.rows) for t in shown.tables], "table", "columns", "rows")


def samples(database: Database, n: int):
    """Show `n` rows of every table, as one table a table."""
    from IPython.display import display

    for table in database.schema.tables:
        display(result(database.execute(f"SELECT * FROM `{table.name}` LIMIT {n}")).style.set_caption(table.name))


def splits(examples: Mapping[str, Sequence[Example]]):
    """Show how many questions, templates and questions of each difficulty every split has."""
    grades = ("easy", "medium", "hard", "extra")
    rows = [
        (
            name,
            len(part),
            len({sql.template(e.sql) for e in part}),
            *(sum(e.difficulty == g for e in part) for g in grades),
        )
        for name, part in examples.items()
    ]
    return _rows(rows, "split", "questions", "templates", *grades)


def examples(shown: Iterable[Example]):
    """Show questions beside their gold."""
    return _rows([(e.id, e.nlq, e.sql, e.difficulty) for e in shown], "id", "question", "gold", "difficulty")


def rows(shown: Sequence, model):
    """Show training rows: how long the prompt is, and the completion that counts towards the loss, with its end."""
    text = [(r.id, r.question, r.context, len(r.prompt), model.tokenizer.decode(r.completion)) for r in shown]
    return _rows(text, "id", "question", "context", "prompt tokens", "completion")


def predictions(shown: Iterable[Prediction]):
    """Show questions beside what was answered and what that cost."""
    rows = [(p.example_id, p.nlq, p.sql or p.error, p.steps, p.completion_tokens, round(p.seconds, 2)) for p in shown]
    return _rows(rows, "id", "question", "prediction", "steps", "tokens", "seconds")


def conversation(messages: Sequence[Mapping[str, str]]):
    """Show a prompt as its chat messages, in full."""
    from IPython.display import HTML

    turns = "".join(
        f"<dt><b>{m['role']}</b></dt><dd><pre style='white-space:pre-wrap'>{html.escape(m['content'])}</pre></dd>"
        for m in messages
    )
    return HTML(f"<dl>{turns}</dl>")


def metrics(numbers: Mapping[str, object]):
    """Show named numbers, one a line."""
    return _frame({"measure": list(numbers), "value": list(numbers.values())})


def golds(answers: Sequence[tuple[Example, Result]]):
    """Show how many golds ran, and how many of their results say little."""
    empty = [example.id for example, answer in answers if not answer.rows]
    cut = [example.id for example, answer in answers if answer.truncated]
    return metrics(
        {
            "golds executed": len(answers),
            "empty results": ", ".join(empty) or "none",
            "results cut at the row cap": ", ".join(cut) or "none",
        }
    )


def findings(diagnosis):
    """Show what the doctor found, the gravest first."""
    return _rows(
        [(f.level, f.check, f.split, f.sentence) for f in diagnosis.findings], "level", "check", "split", "finding"
    )


def records(rows: Sequence[Mapping]):
    """Show rows that all have the same keys."""
    import pandas

    return pandas.DataFrame(list(rows))


def trace(opened: Run, example: Example):
    """Show one question's trace as its page shows it."""
    from IPython.display import HTML

    return HTML(trace_page.cell(*trace_page.recorded(opened.folder, example.id)))


def markdown(text: str):
    """Show markdown, without the front matter of a card."""
    from IPython.display import Markdown

    return Markdown(text.split("---\n", 2)[-1])


def suite(manifest: Mapping):
    """Show what a test suite tells apart, variant by variant."""
    rows = [(v["file"], sum(v["rows"].values()), v["kills"]) for v in manifest["variants"]]
    total = (f"all, of {manifest['neighbours']} neighbours", "", manifest["killed"])
    original = ("the database itself", "", manifest["killed_by_original"])
    return _rows([original, *rows, total], "variant", "rows", "neighbours told from their gold")


def compared(found: Sequence):
    """Show the runs that are compared."""
    rows = [(each.name, len(each.predictions), each.predictions[0].model, each.predictions[0].method) for each in found]
    return _rows(rows, "run", "predictions", "model", "method")


def scores(comparison):
    """Show rates as percentages, with their intervals; TS where it was asked."""
    shown = [name for name in ("va", "ex", "ts") if f"{name}_low" in comparison.columns]
    spans = [
        {"method": row["method"], "n": row["n"], "runs": row["runs"]}
        | {name.upper(): _span(row, name) for name in shown}
        for _, row in comparison.iterrows()
    ]
    return _frame({key: [row[key] for row in spans] for key in spans[0]})


def differences(found):
    """Show paired differences in points, with their intervals and p-values."""
    rows = [
        (
            row["method"],
            row["score"].upper(),
            f"{100 * row['difference']:+.1f}",
            "–" if row["gained"] == row["lost"] == 0 else f"{100 * row['low']:+.1f} to {100 * row['high']:+.1f}",
            f"{row['p_value']:.3f}",
            f"{row['p_holm']:.3f}",
            "yes" if row["told_apart"] else "no",
        )
        for _, row in found.iterrows()
    ]
    return _rows(rows, "difference", "by", "points", "95 % interval", "p", "p (Holm)", "told apart")


def swaps(told: Sequence[str]):
    """Show the pairs of methods whose ranks swap between conventions."""
    return _frame({"ranks that swap": list(told) or ["none"]})


def _span(row, name: str) -> str:
    if row[name] is None:
        return "–"
    return f"{row[name]:.1%} ({row[f'{name}_low']:.1%} to {row[f'{name}_high']:.1%})"


def _rows(rows: list[tuple], *columns: str):
    import pandas

    return pandas.DataFrame(rows, columns=list(columns))


def _frame(columns: Mapping[str, list]):
    import pandas

    pandas.set_option("display.max_colwidth", 120)
    return pandas.DataFrame(columns)
