"""What the documents claim and a test can check: files, parameters, versions, variables, commands."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.params import NOTEBOOKS

README = Path("README.md").read_text(encoding="utf-8")


def database_error_codes():
    """Collect the codes with which helpers/ makes a DatabaseError: as an argument, in a rule, or as `code, … = …`."""
    codes = set()
    for path in Path("helpers").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            named = [word.value for word in getattr(node, "keywords", []) if word.arg == "code"]
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                named += node.args[{"DatabaseError": 0, "Rule": 2}.get(node.func.id, len(node.args)) :][:1]
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).startswith("(code,"):
                named += node.value.elts[:1]
            codes |= {name.value for name in named if isinstance(name, ast.Constant)}
    return {code + "NNNN" if code == "mysql_" else code for code in codes}


def exceptions():
    """Return the names of the exceptions that helpers/ defines for its users."""
    texts = [path.read_text(encoding="utf-8") for path in Path("helpers").glob("*.py")]
    names = {name for text in texts for name in re.findall(r"^class (\w+)\((?:Exception|ValueError)\)", text, re.M)}
    return names - {"SqlRejected", "Stopped"}  # a result's code `guard`; what the Stop button throws


def table(heading):
    """Return the cells of the first table below a heading, without its head."""
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_notebook_table_lists_every_notebook_with_its_own_question():
    rows = table("The notebooks")
    assert [re.search(r"\[(\w+)\]", row[0])[1] for row in rows] == list(NOTEBOOKS)
    for row, name in zip(rows, NOTEBOOKS, strict=True):
        assert f"**{row[1]}**" in Path(f"notebooks/{name}.py").read_text(encoding="utf-8")


def test_the_results_are_those_of_the_published_run():
    metrics = json.loads(Path("docs/results/06_evaluate/metrics.json").read_text(encoding="utf-8"))
    scores = ("va", "ex", "ex_strict", "ex_superset", "ts")
    expected = {
        name: [f"{100 * rate['rate']:.1f} ({100 * rate['low']:.1f}–{100 * rate['high']:.1f})"
               for rate in (method["intervals"][score] for score in scores)]
        for name, method in metrics["methods"].items()
    }
    assert {row[1].strip("`"): row[2:] for row in table("Results")} == expected


def test_the_versions_table_is_the_pinned_set():
    pins = dict(re.findall(r"^([\w.-]+)(?:\[\w+\])?==(\S+)", Path("requirements.txt").read_text(), re.M))
    for name, _, now, _ in table("Versions"):
        assert pins[name] == now


def test_every_pin_names_its_lower_bound_and_meets_it():
    from packaging.version import Version

    for line in Path("requirements.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            pin, low = re.match(r"[\w.-]+(?:\[\w+\])?==(\S+)\s+# >= (\S+)$", line).groups()
            assert Version(low) <= Version(pin), line


def test_every_environment_variable_is_read_somewhere():
    code = "".join(
        path.read_text(encoding="utf-8")
        for folder in ("helpers", "tests", "notebooks", ".ci")
        for path in Path(folder).glob("*")
        if path.is_file() and path.suffix in (".py", "")
    )
    for row in table("Environment variables"):
        for name in re.findall(r"`(\w+)`", row[0]):
            assert name in code or name == "HF_TOKEN", name  # huggingface_hub reads that one itself


def test_every_exception_and_every_code_of_a_database_error_has_its_remedy():
    section = README.split("\n## When something fails\n")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    assert all(len(row) == 3 and row[2] for row in rows)
    listed = [name for row in rows for name in re.findall(r"`(\w+)`", row[0])]
    assert len(listed) == len(set(listed)), "an entry stands there twice"
    assert len(database_error_codes()) > 35
    assert set(listed) == exceptions() | database_error_codes()


def test_every_profile_and_target_that_is_named_exists():
    for profile in re.findall(r"params/(\w+)\b", README):
        assert Path("params", profile).is_dir(), profile
    targets = re.findall(r"^(\w+):", Path("Makefile").read_text(), re.M)
    for target in re.findall(r"`make (\w+)`", README + Path("CONTRIBUTING.md").read_text()):
        assert target in targets


@pytest.mark.parametrize("module", sorted(set(re.findall(r"python -m (helpers\.\w+)", README))))
def test_every_command_line_says_how_it_is_used(module):
    done = subprocess.run([sys.executable, "-m", module, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "usage" in done.stdout


def test_every_option_of_the_suite_that_is_named_exists():
    shown = subprocess.run(
        [sys.executable, "-m", "helpers.suite", "--help"], capture_output=True, text=True, check=True
    )
    for option in set(re.findall(r"helpers\.suite.*? (--\w+)", README)):
        assert option in shown.stdout
