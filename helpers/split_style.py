"""How splits differ in style and structure: rates of traits, SQL features, templates; and what a difference will do.

    splits = {"train": train, "test": test}
    divergence(style(splits, schema), features(splits))
    # [Finding("warning", "style", "train", (), "train: returns a key column in 98.0 % of golds, test in 0.0 %. A model
    #   tuned on train will return keys that test does not ask for.")]

Each split is held against `test`, or against the first where there is none. Traits are matters of habit, which a model
copies whether or not they are asked for; features are the profile of the task. 5 points is the threshold for both: in
a split of 100 to 200 items chance alone moves a rate near one half by 3 to 5 points. Knows nothing of results.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp

from helpers import house_style, sql, wording
from helpers.dataset import Example
from helpers.diagnosis import Finding
from helpers.schema import Schema

POINTS = 0.05
LARGEST = 3

Splits = Mapping[str, Sequence[Example]]  # none of them empty
Rates = dict[str, dict[str, float]]  # split -> trait or feature -> share


@dataclass(frozen=True)
class Trait:
    """A habit of a gold: what it does, how to tell, and the risk of learning `more` or `fewer` of it."""

    does: str
    has: Callable[[exp.Expression, Example, Schema], bool]
    more: str
    fewer: str


def _returns_key(tree, example, schema) -> bool:
    return bool(house_style.returned_keys(tree, schema))


def _returns_key_unasked(tree, example, schema) -> bool:
    return any(house_style.key_not_asked_for(tree, example, schema))


def _is_ordered(tree, example, schema) -> bool:
    return tree.args.get("order") is not None


def _is_ordered_unasked(tree, example, schema) -> bool:
    return _is_ordered(tree, example, schema) and not wording.asks_for_order(example.nlq)


def _is_limited(tree, example, schema) -> bool:
    return tree.args.get("limit") is not None


def _is_distinct(tree, example, schema) -> bool:
    return tree.args.get("distinct") is not None


def _names_computed(tree, example, schema) -> bool:
    return any(isinstance(output, exp.Alias) for output in house_style.outputs(tree))


def _uses_table_aliases(tree, example, schema) -> bool:
    return any(table.alias for table in tree.find_all(exp.Table))


def _has_columns(low: int, high: int) -> Callable[..., bool]:
    return lambda tree, example, schema: low <= len(house_style.outputs(tree)) <= high


def _has_star(tree, example, schema) -> bool:
    return any(house_style.star(tree, example, schema))


TRAITS = (
    Trait("returns a key column", _returns_key, "will return keys that {to} does not ask for",
          "will leave out keys that {to} asks for"),
    Trait("returns a key column nobody asked for", _returns_key_unasked, "will return keys that {to} does not ask for",
          "will be marked wrong for leaving out keys"),
    Trait("has ORDER BY", _is_ordered, "will sort where {to} does not, harmless to ex but not to its length",
          "will leave rows unsorted where {to} asks for an order"),
    Trait("has ORDER BY nobody asked for", _is_ordered_unasked, "will sort unasked",
          "will be marked wrong for an order that no question asks for"),
    Trait("has LIMIT", _is_limited, "will cut results short", "will return all rows where {to} asks for some"),
    Trait("has DISTINCT", _is_distinct, "will drop repeated rows that {to} keeps",
          "will keep repeated rows that {to} drops"),
    Trait("names a computed column", _names_computed, "will name columns more often, harmless to ex",
          "will leave computed columns without a name, harmless to ex"),
    Trait("gives tables aliases", _uses_table_aliases, "will write aliases and may forget to declare them",
          "will write full table names, longer answers that may be cut off"),
    Trait("selects *", _has_star, "will return columns that {to} does not ask for",
          "will be marked wrong for choosing columns"),
    Trait("returns one column", _has_columns(1, 1), "will leave out columns that {to} asks for",
          "will return columns that {to} does not ask for"),
    Trait("returns four columns or more", _has_columns(4, 1000), "will return columns that {to} does not ask for",
          "will leave out columns that {to} asks for"),
)  # fmt: skip


def style(splits: Splits, schema: Schema) -> Rates:
    """Return the share of each split's golds that have each trait; those that cannot be parsed have none."""
    parsed = {name: [(sql.parse(e.sql), e) for e in examples] for name, examples in splits.items()}
    return {
        name: {t.does: sum(tree is not None and t.has(tree, e, schema) for tree, e in part) / len(part) for t in TRAITS}
        for name, part in parsed.items()
    }


def features(splits: Splits) -> Rates:
    """Return the share of each split's golds that use each SQL feature, as the examples name them."""
    named = {name: [f for e in part for f in e.features or sql.features(e.sql)] for name, part in splits.items()}
    return {name: {f: named[name].count(f) / len(part) for f in sql.FEATURES} for name, part in splits.items()}


def divergence(habits: Rates, structure: Rates) -> Iterator[Finding]:
    """Yield a warning for each trait, a note for each feature, whose rate is more than 5 points from the target's."""
    to = "test" if "test" in habits else next(iter(habits))
    for name in [name for name in habits if name != to]:
        fitted = "chosen" if name == "dev" else "tuned"
        for trait in TRAITS:
            rate, aim = habits[name][trait.does], habits[to][trait.does]
            if abs(rate - aim) > POINTS:
                risk = (trait.more if rate > aim else trait.fewer).format(to=to)
                yield Finding("warning", "style", name, (), f"{name}: {trait.does} in {rate:.1%} of golds, {to} in "
                              f"{aim:.1%}. A model {fitted} on {name} {risk}.")  # fmt: skip
        for feature in sql.FEATURES:
            rate, aim = structure[name][feature], structure[to][feature]
            if abs(rate - aim) > POINTS:
                habit = "too readily" if rate > aim else "too seldom"
                yield Finding("note", "structure", name, (), f"{name}: {feature} in {rate:.1%} of golds, {to} in "
                              f"{aim:.1%}. A model {fitted} on {name} may use it {habit}.")  # fmt: skip


def templates(splits: Splits) -> list[dict]:
    """Return one row a split: its templates, the largest one's items, and the effective number of items.

    The effective number is 1 / sum p², p a template's share: as many items of one template each would weigh the same.
    """
    rows = []
    for name, examples in splits.items():
        counts = Counter(sql.template(example.sql) for example in examples)
        squares = sum(count**2 for count in counts.values())
        rows.append({
            "split": name,
            "questions": len(examples),
            "templates": len(counts),
            "largest template": max(counts.values(), default=0),
            "effective n": round(len(examples) ** 2 / squares, 1) if squares else 0.0,
        })  # fmt: skip
    return rows


def crowded(rows: Sequence[dict], learnt: Sequence[str]) -> Iterator[Finding]:
    """Yield a warning for a scored split of few templates, or a pool with one template in over 3 % of its items."""
    for row in rows:
        name, largest, count = row["split"], row["largest template"], row["questions"]
        if name in learnt and largest > max(LARGEST, 0.03 * count):
            yield Finding("warning", "templates", name, (), f"{name}: {largest} of {count} golds are one SQL template. "
                          "A model tuned on it will fall back on that one.")  # fmt: skip
        if name not in learnt and row["effective n"] < count / 2:
            yield Finding("warning", "templates", name, (), f"{name}: {count} golds weigh as much as "
                          f"{row['effective n']}, since {row['templates']} SQL templates repeat. "
                          "Intervals are as wide as that number says.")  # fmt: skip


def side_by_side(label: str, shares: Rates) -> list[dict]:
    """Return rates as rows, one a trait or feature, with each split's rate in per cent."""
    names = next(iter(shares.values()), {})
    return [{label: n, **{split: round(100 * values[n], 1) for split, values in shares.items()}} for n in names]
