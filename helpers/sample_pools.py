"""What the sample is drawn from, and the few ways of drawing.

>>> fill("(0##) 555-####", generator(7, "phones"))
'(085) 555-7592'

The pools are one YAML file of our own, `data/classicmodels/pools.yaml`; its comments say what each list is
for. This room knows no table.
"""

import random
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from pathlib import Path

import yaml

FOLDER = Path(__file__).parents[1] / "data" / "classicmodels"


@cache
def pools() -> dict:
    """Read the pools, once a process."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load((FOLDER / "pools.yaml").read_text(encoding="utf-8"), Loader=loader)


def generator(seed: int, table: str) -> random.Random:
    """Return a table's own generator; seeding by text is the same in every process."""
    return random.Random(f"{seed} {table}")


def deck(items: list, rng: random.Random) -> Iterator:
    """Deal the items in random order, again and again: every one turns up, about equally often."""
    while True:
        yield from rng.sample(items, len(items))


def fill(pattern: str, rng: random.Random) -> str:
    """Replace each # by a digit from 1 to 9."""
    return "".join(rng.choice("123456789") if character == "#" else character for character in pattern)


def cents(value: Decimal | float) -> Decimal:
    """Round half up to two places, as MySQL stores a DECIMAL(10, 2)."""
    return Decimal(value).quantize(Decimal("0.01"), ROUND_HALF_UP)
