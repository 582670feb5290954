"""A playground for the browser tests: the sample database, a fake model, and a predictor that never ends."""

import itertools
import json
import time
from pathlib import Path

import nbformat

from helpers import database, dataset, journal, models, playground, playground_gold, predictors, prompts, runs
from helpers.params import Playground

REPLIES = {
    "How many orders does each status have?": "SELECT status, COUNT(*) AS orders FROM orders GROUP BY status;",
    "What was paid in each month?": (
        "SELECT DATE_FORMAT(paymentDate, '%Y-%m') AS month, SUM(amount) AS paid FROM payments GROUP BY month;"
    ),
    "How many models do we carry in the Ships line?": "SELECT COUNT(*) FROM products WHERE productLine = 'Ships';",
    "List all order lines.": "SELECT * FROM orderdetails;",
}
TRACE = (
    "Thought: I look at the table.\nAction: describe_table(orders)\nObservation: orders(orderNumber, status)\n"
    "Thought: I count.\nAction: finish(SELECT COUNT(*) AS n FROM orders)"
)


def view(out: str):
    """Return a playground whose answers are known, logging to a folder below `out` as its notebook does."""
    p = Playground(out=out)
    folder = runs.folder_of(p)
    folder.mkdir(parents=True, exist_ok=True)
    log = journal.open_journal(folder / "queries.jsonl")
    db = database.connect("sample")
    examples = dataset.load(dataset.FOLDER / "test.jsonl")
    context = prompts.Context(prompts.describe(db.schema))
    return playground.view(
        {"few-shot": _fake(context, p), "steps": _steps, "endless": _endless},
        db.execute,
        questions=[*REPLIES, *(example.nlq for example in examples[:5])],
        judge=playground_gold.judge(examples, db),
        log=lambda row: journal.append(log, row),
    )


def notebook(path: Path, out: Path) -> Path:
    """Write the notebook that shows this playground."""
    root = Path(__file__).parent.parent
    code = f"import os, sys\nos.chdir({str(root)!r})\nsys.path.insert(0, {str(root)!r})\n"
    code += f"from tests import playground_session\nplayground_session.view({str(out)!r})"
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    made.metadata["kernelspec"] = {"name": "python3", "language": "python", "display_name": "Python 3"}
    nbformat.write(made, path)
    return path


def real(path: Path, out: Path, **parameters) -> Path:
    """Write a copy of 07_playground with other values of its parameters."""
    root = Path(__file__).parent.parent
    made = nbformat.read(root / "notebooks" / "07_playground.ipynb", as_version=4)
    [at] = [n for n, cell in enumerate(made.cells) if "parameters" in cell.metadata.get("tags", ())]
    values = {"out": str(out), **parameters}
    code = "".join(f"{name} = {value!r}\n" for name, value in values.items())
    made.cells.insert(at + 1, nbformat.v4.new_code_cell(code))
    made.cells.insert(0, nbformat.v4.new_code_cell(f"import os\nos.chdir({str(root)!r})"))
    nbformat.write(made, path)
    return path


def queries(out: Path) -> list[dict]:
    """Return what was logged."""
    lines = (out / "07_playground" / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def _fake(context, p):
    model = models.fake(lambda conversation: REPLIES.get(conversation[-1]["content"], "SELECT nme FROM customers"))
    return lambda question, report: predictors.few_shot(model, context, question, report, p=p)


def _steps(question: str, report) -> runs.Prediction:
    report(TRACE)
    return runs.Prediction("asked", nlq=question, sql="SELECT COUNT(*) AS n FROM orders", steps=2)


def _endless(question: str, report) -> runs.Prediction:
    for n in itertools.count():
        report("SELECT " + ", ".join(map(str, range(n))))
        time.sleep(0.05)  # a model takes its time over a token too
