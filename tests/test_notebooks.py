"""Notebooks: in step with their sources, in the fixed frame, and runnable by plain papermill."""

import ast
import json
import re
import statistics
import subprocess
import sys
from pathlib import Path

import jupytext
import nbformat
import papermill
import pytest
from bs4 import BeautifulSoup
from jupytext.compare import compare_notebooks
from nbconvert import HTMLExporter

from helpers.params import NOTEBOOKS

FOLDER = Path("notebooks")
SOURCES = sorted(FOLDER.glob("*.py"))
COLAB_TRACES = {"colab", "executionInfo", "outputId", "id"}


def cells(source, kind):
    return [cell for cell in jupytext.read(source).cells if cell.cell_type == kind]


def is_form(cell):
    """Setup and parameters: what a reader folds away in Colab."""
    return cell.metadata.get("cellView") == "form"


def test_there_is_a_notebook_for_every_parameter_model():
    assert [source.stem for source in SOURCES] == list(NOTEBOOKS)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
class TestNotebook:
    def test_it_is_what_its_source_says(self, source):
        built = jupytext.read(source.with_suffix(".ipynb"))
        compare_notebooks(built, jupytext.read(source), fmt="py:percent")

    def test_it_holds_no_outputs_and_no_traces_of_anybody(self, source):
        notebook = json.loads(source.with_suffix(".ipynb").read_text())
        nbformat.validate(nbformat.from_dict(notebook))
        assert not {"widgets", "colab", "accelerator"} & set(notebook["metadata"])
        for cell in notebook["cells"]:
            assert not cell.get("outputs") and not cell.get("execution_count")
            assert not COLAB_TRACES & set(cell["metadata"])

    def test_its_setup_cell_is_everybodys(self, source):
        first = cells(SOURCES[0], "code")[0]
        own = cells(source, "code")[0]
        assert own.source == first.source and is_form(own)
        assert len(own.source.splitlines()) <= 20

    def test_its_parameters_are_the_models(self, source):
        seen = papermill.inspect_notebook(source.with_suffix(".ipynb"))
        fields = NOTEBOOKS[source.stem].model_fields
        assert list(seen) == list(fields)
        for name, field in fields.items():
            assert ast.literal_eval(seen[name]["default"]) == field.default, name

    def test_it_begins_with_its_question_and_ends_by_finishing(self, source):
        title = cells(source, "markdown")[0].source
        assert (
            re.match(rf"# {source.stem[:2]} .+\n\n\*\*.+\?\*\*\n\nReads .+ → writes .+\n\nNeeds: ", title)
            or "**Let me ask.**" in title
        )
        code = "\n".join(cell.source for cell in cells(source, "code"))
        assert "run.finish(" in code

    def test_it_is_a_script_of_choices(self, source):
        code = [cell for cell in cells(source, "code") if not is_form(cell)]
        lines = [len([line for line in cell.source.splitlines() if line.strip()]) for cell in code]
        words = sum(len(cell.source.split()) for cell in cells(source, "markdown"))
        assert sum(lines) <= 120 and max(lines) <= 20 and statistics.median(lines) <= 6 and words <= 600
        assert 12 <= len(jupytext.read(source).cells) <= 30 or source.stem in ("07_playground",)
        for cell in code:
            kinds = {type(node) for node in ast.walk(ast.parse(cell.source))}
            assert not kinds & {ast.FunctionDef, ast.ClassDef, ast.For, ast.While, ast.Try, ast.If}, cell.source


SMALL = {
    "01_connect": {},
    "02_curate": {"questions": "tests/fixtures/suite/questions.jsonl"},
    "03_baseline": {"limit": 2, "k": 1, "max_new_tokens": 6},
    "04_react": {"limit": 2, "k": 1, "max_new_tokens": 6, "max_steps": 1},
    "05_qlora": {"limit": 2, "max_new_tokens": 6, "max_steps": 1, "train_limit": 4, "per_device_train_batch_size": 2,
                 "learning_rate": 0.02, "warmup_steps": 0},
    "06_evaluate": {"max_variants": 1},
    "07_playground": {"k": 1},
}


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """Run every notebook by plain papermill with the demo's values, smaller than CI's demo; return their folder.

    In order, as each reads what those before it wrote.
    """
    folder = tmp_path_factory.mktemp("executed")
    for name, values in SMALL.items():
        execute(folder, name, values)
    return folder


def execute(folder, name, values):
    """Run a notebook with the demo's values and these, by papermill alone."""
    smaller = [word for pair in values.items() for word in ("-p", *map(str, pair))]
    files = [f"notebooks/{name}.ipynb", str(folder / f"{name}.ipynb"), "-f", f"params/demo/{name}.yaml"]
    command = [sys.executable, "-m", "papermill", *files, "-p", "out", str(folder / "suite"), *smaller]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_plain_papermill_runs_every_notebook_with_the_demos_values(executed):
    assert {(executed / "suite" / name / "status").read_text() for name in SMALL} == {"finished"}
    metrics = json.loads((executed / "suite" / "06_evaluate" / "metrics.json").read_text())
    for method in ("03_baseline", "04_react", "05_qlora"):
        assert {"va", "ex", "ts"} <= set(metrics["methods"][method])
    page = (executed / "suite" / "06_evaluate" / "report.html").read_text()
    assert "data:image/png;base64," in page


def test_the_few_shot_notebook_answers_with_an_adapter_as_05_did(executed):
    """Asked in 4 bits and without exemplars, as 05 asks; without the adapter the answers are others."""
    for variant, adapter in (("tuned", "05_qlora"), ("plain", "")):
        given = {"limit": 2, "k": 0, "max_new_tokens": 6, "load_in_4bit": True, "adapter": adapter, "variant": variant}
        execute(executed, "03_baseline", given)
    tuned, plain, qlora = (
        [json.loads(line) for line in (executed / "suite" / name / "predictions.jsonl").read_text().splitlines()]
        for name in ("03_baseline/tuned", "03_baseline/plain", "05_qlora"))
    said = [[(row["example_id"], row["completion"]) for row in rows] for rows in (tuned, plain, qlora)]
    assert said[0] == said[2] != said[1]


def outputs(path):
    """Return the outputs of an executed notebook, and the notebook."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return [output for cell in notebook.cells for output in cell.get("outputs", [])], notebook


def contents(page):
    """Return the texts in the cells of every table; nbconvert writes tags and blanks anew."""
    tables = BeautifulSoup(page, "html.parser").find_all("table")
    return [[" ".join(cell.get_text().split()) for cell in table.find_all(["td", "th"])] for table in tables]


@pytest.mark.parametrize("name", SMALL)
def test_an_executed_notebook_shows_every_table_and_figure_as_html(executed, name):
    found, notebook = outputs(executed / f"{name}.ipynb")
    page = HTMLExporter().from_notebook_node(notebook)[0]
    shown = [output["data"] for output in found if "data" in output]
    tables, there = contents("\n".join(data.get("text/html", "") for data in shown)), contents(page)
    assert tables and all(table in there for table in tables)
    assert not [data for data in shown if " rows × " in data.get("text/html", "")], "a table is cut short"
    for data in shown:
        assert data.keys() & {"text/html", "image/png", "text/markdown"} or "DataFrame" not in data["text/plain"]
        if "image/png" in data:
            assert data["image/png"].replace("\n", "") in page.replace("\n", "")


@pytest.mark.parametrize("name", SMALL)
def test_an_executed_notebook_holds_no_bars_and_no_state_but_the_playgrounds(executed, name):
    found, notebook = outputs(executed / f"{name}.ipynb")
    logged = "".join(output["text"] for output in found if output.output_type == "stream")
    assert "\r" not in logged and "it/s" not in logged
    if name == "07_playground":
        assert all("state" in kind for kind in notebook.metadata.widgets.values())
    else:
        assert "widgets" not in notebook.metadata
