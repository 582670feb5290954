"""Prompts: what is shared comes first, exemplars never leak."""

import pytest

from helpers import prompts, sample, sql
from helpers.dataset import DatasetError, Example

POOL = [
    Example(f"p{n}", f"question {n}", f"SELECT c{n} FROM t{n}", difficulty=grade)
    for n, grade in enumerate(["easy", "easy", "medium", "hard", "extra", "medium"])
]


def test_prompts_of_a_run_share_everything_but_the_question():
    context = prompts.Context(prompts.describe(sample.schema()), prompts.fixed(POOL, k=3, seed=7))
    one, other = (prompts.conversation(context, question) for question in ("first?", "second?"))
    assert one[:-1] == other[:-1] and one[-1] == {"role": "user", "content": "first?"}
    assert [message["role"] for message in one] == ["system"] + ["user", "assistant"] * 3 + ["user"]


def test_the_schema_is_described_with_types_keys_blurbs_and_samples():
    from dataclasses import replace

    table = sample.schema().table("orders")
    column = replace(table.column("status"), samples=("Shipped", "On Hold"))
    columns = tuple(column if c.name == "status" else c for c in table.columns)
    text = prompts.describe(
        replace(sample.schema(), tables=(replace(table, columns=columns),)), {"orders": "One row per order."}
    )
    assert text.startswith("-- One row per order.\nCREATE TABLE orders (orderNumber int PRIMARY KEY, orderDate date,")
    assert "status varchar(15) /* Shipped, On Hold */" in text
    assert "FOREIGN KEY (customerNumber) REFERENCES customers(customerNumber)" in text


def test_every_table_has_a_blurb():
    from helpers import dataset

    assert set(prompts.blurbs(dataset.FOLDER)) == set(sample.schema().names)


def test_exemplars_repeat_with_their_seed_and_mix_difficulties():
    chosen = prompts.fixed(POOL, k=4, seed=7)
    assert chosen == prompts.fixed(POOL, k=4, seed=7)
    assert {e.difficulty for e in chosen} == {"easy", "medium", "hard", "extra"}
    assert len({tuple(e.id for e in prompts.fixed(POOL, k=4, seed=seed)) for seed in range(20)}) > 3


@pytest.mark.parametrize(
    "answered", [Example("t", "other words", "SELECT c2 FROM t2"), Example("t", "Question 2", "SELECT 9")]
)
def test_an_exemplar_never_shares_template_or_words_with_a_question(answered):
    for seed in range(10):
        chosen = prompts.fixed(POOL, k=5, seed=seed, answered=[answered])
        assert "p2" not in {e.id for e in chosen}


def test_exemplars_have_different_templates():
    pool = [Example(f"p{n}", f"q {n}", f"SELECT a FROM t WHERE x = {n}") for n in range(5)] + POOL
    chosen = prompts.fixed(pool, k=6, seed=1)
    assert len({sql.template(e.sql) for e in chosen}) == 6


def test_too_small_a_pool_is_an_error():
    with pytest.raises(DatasetError, match="6 templates that are not asked for, fewer than k = 7"):
        prompts.fixed(POOL, k=7, seed=1)


def test_the_fingerprint_covers_rule_schema_and_exemplars():
    base = prompts.Context("schema", (POOL[0],))
    others = [
        prompts.Context("schema2", (POOL[0],)),
        prompts.Context("schema", (POOL[1],)),
        prompts.Context("schema", (POOL[0],), "rule"),
        prompts.Context("schema"),
    ]
    assert len({prompts.fingerprint(context) for context in (base, *others)}) == 5
