"""Error classes: labelled cases, and that every class a user may see occurs among them."""

import json
from collections import Counter
from pathlib import Path

import pytest

from helpers.database import connect
from helpers.error_classes import CLASSES, classify

CASES = [json.loads(line) for line in Path("tests/fixtures/evaluate/error_classes.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def sample():
    with connect("sample") as database:
        yield database


@pytest.mark.parametrize("case", CASES, ids=[f"{case['class'] or 'right'}-{n}" for n, case in enumerate(CASES)])
def test_labelled_case(sample, case):
    assert classify(case["gold"], case["predicted"], sample) == case["class"]


def test_every_class_has_cases():
    counts = Counter(case["class"] for case in CASES)
    assert len(CASES) >= 120
    assert all(counts[name] >= 3 for name in CLASSES)
    assert set(counts) - {""} == set(CLASSES)
