"""The house: which room may import which, and how large a room may be."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
ROOMS = sorted(Path("helpers").rglob("*.py"))


def test_every_room_imports_from_its_floor_and_below_only():
    done = subprocess.run([Path(sys.executable).with_name("lint-imports")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_code_is_clean():
    done = subprocess.run([sys.executable, "-m", "ruff", "check", "."], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("room", ROOMS, ids=str)
def test_a_room_says_what_it_does_and_stays_small(room):
    tree = ast.parse(room.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    assert len(room.read_text(encoding="utf-8").splitlines()) <= 320
    for node in ast.walk(tree):
        if isinstance(node, FUNCTIONS):
            assert lines(node) <= 60, f"{node.name} has {lines(node)} lines"
    for node in tree.body:
        if isinstance(node, FUNCTIONS) and not node.name.startswith("_") and lines(node) > 4:
            assert ast.get_docstring(node), f"{node.name} has no docstring"


def lines(node):
    return node.end_lineno - node.lineno + 1
