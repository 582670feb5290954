"""Parameters: what a user may set, and what they are told when they get it wrong."""

from pathlib import Path

import pytest

from helpers import params

PROFILES = sorted(path for path in Path("params").glob("*/*.yaml") if path.parent.name != "accelerate")


@pytest.mark.parametrize("path", PROFILES, ids=str)
def test_every_file_of_every_profile_is_accepted(path):
    assert params.notebook_of(params.load(path)) == path.stem


def test_every_profile_has_a_file_for_every_notebook():
    found = {path.parent.name: {p.stem for p in path.parent.glob("*.yaml")} for path in PROFILES}
    assert set(found) == {"demo", "cpu", "colab_t4", "colab_a100"}
    assert all(stems == set(params.NOTEBOOKS) for stems in found.values())


WRONG = [
    ("03_baseline", {"kk": 3}, "has no parameter kk, did you mean k?"),
    ("03_baseline", {"learning_rate": 1}, "03_baseline has no parameter learning_rate"),
    ("03_baseline", {"k": -1}, "k = -1"),
    ("03_baseline", {"split": "tset"}, "split = 'tset'"),
    ("03_baseline", {"variant": "a/b"}, "variant = 'a/b'"),
    ("05_qlora", {"lora_dropout": 1.5}, "lora_dropout = 1.5"),
    ("05_qlora", {"learning_rate": "fast"}, "learning_rate = 'fast'"),
    ("05_qlora", {"target_modules": []}, "target_modules"),
    ("01_connect", {"timeout_s": 0, "sample_rowz": 1}, "did you mean sample_rows?"),
]


@pytest.mark.parametrize("notebook, values, said", WRONG, ids=lambda value: str(value))
def test_a_wrong_value_is_named(notebook, values, said):
    with pytest.raises(params.ParameterError) as caught:
        params.check(notebook, values, where="here")
    assert said in str(caught.value) and str(caught.value).startswith("here: ")


def test_all_faults_are_named_at_once():
    with pytest.raises(params.ParameterError, match=r"k = -1.*batch_size = 0"):
        params.check("03_baseline", {"k": -1, "batch_size": 0}, where="here")


def test_numbers_may_come_as_text():
    assert params.check("05_qlora", {"learning_rate": "1e-4", "seed": "3"}, where="").learning_rate == 1e-4


@pytest.mark.parametrize(
    "content, said",
    [("a: [", "is not valid YAML"), ("- 1", "one `name: value` a line"), (None, "cannot be read")],
)
def test_an_unreadable_file_is_named(tmp_path, content, said):
    path = tmp_path / "03_baseline.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(params.ParameterError, match=said) as caught:
        params.load(path)
    assert str(path) in str(caught.value)


def test_a_file_must_bear_a_notebooks_name(tmp_path):
    with pytest.raises(params.ParameterError, match="no notebook is called 3_baseline"):
        params.load(tmp_path / "3_baseline.yaml")


def test_a_notebooks_variables_are_checked_as_one():
    variables = {"k": 2, "seed": 3, "run": object(), "_i1": "k = 2", "In": [], "REPO_URL": ""}
    assert params.read("03_baseline", variables).k == 2
    with pytest.raises(params.ParameterError, match="no parameter max_token"):
        params.read("03_baseline", {**variables, "max_token": 5})


def test_a_start_cell_can_be_run_again_beside_what_the_notebook_has_made():
    variables = {"out": "outputs/x", "k": 2, "pool": [], "shown": {"t1": "trace"}}
    with pytest.raises(params.ParameterError, match="no parameter pool"):
        params.read("03_baseline", variables)
    read = params.read("03_baseline", {"out": "outputs/x", "k": 2})
    assert params.read("03_baseline", {**variables, "p": read, "k": 1}).k == 1
