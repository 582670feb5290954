"""What the documents claim and a test can check: files, parameters, versions, variables, commands."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.params import NOTEBOOKS

README = Path("README.md").read_text(encoding="utf-8")
PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "data/classicmodels/README.md"]


def table(heading):
    """Return the cells of the first table below a heading, without its head."""
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.parametrize("page", [page for page in PAGES if Path(page).exists()])
def test_every_link_to_a_file_leads_somewhere(page):
    for target in re.findall(r"\]\((?!https?:|#)([^)]+)\)", Path(page).read_text(encoding="utf-8")):
        assert (Path(page).parent / target.split("#")[0]).exists(), target


def test_the_notebook_table_lists_every_notebook_with_its_own_question():
    rows = table("The notebooks")
    assert [re.search(r"\[(\w+)\]", row[0])[1] for row in rows] == list(NOTEBOOKS)
    for row, name in zip(rows, NOTEBOOKS, strict=True):
        assert f"**{row[1]}**" in Path(f"notebooks/{name}.py").read_text(encoding="utf-8")


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
