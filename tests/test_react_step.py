"""A step of ReAct, as small models write it."""

import json
from pathlib import Path

import pytest

from helpers import dataset, react_step

CASES = [json.loads(line) for line in Path("tests/fixtures/react/parse.jsonl").read_text().splitlines()]
GOLDS = [example.sql for example in dataset.load(dataset.FOLDER / "test.jsonl")]
FORMS = (
    "Thought: x\nAction: run_sql({})",
    "Action: finish[{}]",
    "Action: run_sql: {}",
    "Action: run_sql\nAction Input: {}",
    "Action: run_sql\n```sql\n{}\n```",
    'Action: run_sql("""{}""")',
    "{}",
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["written"][:60])
def test_a_step_is_read_as_small_models_write_it(case):
    step = react_step.parse(case["written"])
    assert (step.thought, step.action, step.argument) == (case["thought"], case["action"], case["argument"])


@pytest.mark.parametrize("form", FORMS)
def test_nothing_inside_a_statement_is_changed(form):
    assert [react_step.parse(form.format(gold)).argument for gold in GOLDS] == GOLDS


def test_nothing_inside_a_statement_is_changed_in_json():
    written = [f"Action: run_sql({json.dumps({'query': gold})})" for gold in GOLDS]
    assert [react_step.parse(text).argument for text in written] == GOLDS


ONE = "Thought: x\nAction: run_sql(SELECT 1)"


@pytest.mark.parametrize(
    "more",
    [
        "",
        "\nObservation: 1",
        "\nobservation: 1\nThought: y",
        " Observation: 1",
        "\nThought: y\nAction: finish(SELECT 1)",
        "\nAction: finish(SELECT 2)",
        "\nFinal Answer: 1",
        "\n\n",
    ],
)
def test_what_a_model_writes_past_its_first_step_is_left_out(more):
    assert react_step.first(ONE + more) == ONE


@pytest.mark.parametrize(
    "written",
    [
        "Action: run_sql(" + "(" * 4000,
        "'" * 4001,
        "{" * 4000,
        " " * 20_000,
        "\n" * 20_000,
        "Thought:" * 2000,
        "\\" * 99,
    ],
    ids=lambda text: f"{len(text)} of {text[-1]!r}",
)
def test_a_model_that_repeats_itself_is_read_all_the_same(written):
    assert react_step.parse(written).action in ("", "run_sql")
