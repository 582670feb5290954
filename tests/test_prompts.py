"""Prompts: what is shared comes first, and a model is trained on the tokens it is asked with."""

from dataclasses import replace

import pytest

from helpers import bundled, finetune, models, prompt_tokens, prompts, sample, sql
from helpers.dataset import Example
from helpers.schema import from_ddl
from tests.conftest import require

POOL = [
    Example(f"p{n}", f"How many {what} are there?", f"SELECT COUNT(*) FROM {what}")
    for n, what in enumerate("orders offices payments employees customers products".split())
]


def test_prompts_of_a_run_share_everything_but_the_question():
    context = prompts.Context(prompts.describe(sample.schema()), prompts.fixed(POOL, k=3, seed=7))
    one, other = (prompts.conversation(context, question) for question in ("first?", "second?"))
    assert one[:-1] == other[:-1] and one[-1] == {"role": "user", "content": "first?"}
    assert [message["role"] for message in one] == ["system"] + ["user", "assistant"] * 3 + ["user"]


def test_the_schema_is_described_with_types_keys_blurbs_and_samples():
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


def test_a_linked_reply_names_its_tables_before_its_statement():
    joined = Example("p9", "Who paid?", "SELECT c.city FROM customers c JOIN payments p USING (customerNumber)")
    context = prompts.Context("schema", (joined, POOL[0]), linking=True)
    told = [message["content"] for message in prompts.conversation(context, "?")]
    assert told[2] == f"/* customers c, payments p */ {joined.sql};" and told[4].startswith("/* orders */ SELECT")
    assert [sql.extract(told[2]), sql.extract(told[4])] == [joined.sql, POOL[0].sql]
    assert prompts.LINKING in told[0] and prompts.LINKING not in prompts.conversation(prompts.Context("s"), "?")[0]


def test_the_fingerprint_covers_rule_schema_and_exemplars():
    base = prompts.Context("schema", (POOL[0],))
    others = [
        prompts.Context("schema2", (POOL[0],)),
        prompts.Context("schema", (POOL[1],)),
        prompts.Context("schema", (POOL[0],), "rule"),
        prompts.Context("schema"),
        prompts.Context("schema", (POOL[0],), linking=True),
    ]
    assert len({prompts.fingerprint(context) for context in (base, *others)}) == 6


LEDGER = """
CREATE TABLE years (year int, region char(2), PRIMARY KEY (year, region));
CREATE TABLE entries (id int PRIMARY KEY, year int, region char(2), memo text, parent int,
  FOREIGN KEY (year, region) REFERENCES years (year, region), FOREIGN KEY (parent) REFERENCES entries (id));
"""


def test_the_compact_format_is_a_line_a_table():
    assert prompts.describe(from_ddl(LEDGER), {"years": "Fiscal years."}, schema_format="compact").splitlines() == [
        "years(year PK, region PK)",
        "entries(id PK, year -> years, region, memo, parent -> entries)",
    ]


def test_the_compact_format_shows_samples_as_the_ddl_does():
    [table] = from_ddl("CREATE TABLE t (a int PRIMARY KEY, b text);").tables
    shown = replace(table, columns=(table.columns[0], replace(table.columns[1], samples=("x" * 50, "y"))))
    text = prompts.describe(replace(from_ddl(""), tables=(shown,)), schema_format="compact")
    assert text == f"t(a PK, b /* {'x' * 40}, y */)"


@pytest.mark.parametrize("value, said", [("a\nb", "a b"), ("x */ DROP", "x * / DROP"), (" \t\r\n", "")])
def test_a_sample_value_neither_ends_its_comment_nor_its_line(value, said):
    [table] = from_ddl("CREATE TABLE t (b text);").tables
    shown = replace(table, columns=(replace(table.columns[0], samples=(value, "y")),))
    assert prompts.describe(replace(from_ddl(""), tables=(shown,)), schema_format="compact") == f"t(b /* {said}, y */)"


def test_no_other_schema_format_is_known():
    with pytest.raises(ValueError, match="ddl or compact, not 'json'"):
        prompts.describe(sample.schema(), schema_format="json")


LLAMA_3 = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n"
    "{{ m['content'] | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)


def llama_like():
    """A model without weights whose template writes a BOS, as its tokenizer does once more if it is let."""
    from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers, processors
    from tokenizers import models as kinds
    from transformers import PreTrainedTokenizerFast

    specials = "<|pad|> <|begin_of_text|> <|end_of_text|> <|start_header_id|> <|end_header_id|> <|eot_id|>".split()
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(kinds.BPE({token: n for n, token in enumerate([*specials, *letters])}, []))
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    inner.add_special_tokens([AddedToken(special, special=True) for special in specials])
    inner.post_processor = processors.TemplateProcessing(single=f"{specials[1]} $A", special_tokens=[(specials[1], 1)])
    named = dict(zip(["pad_token", "bos_token", "eos_token"], specials, strict=False))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, chat_template=LLAMA_3, **named)
    return models.Model("llama-like", "transformers", None, tokenizer, frozenset({2, 5}))


def bundled_without_weights():
    require((bundled.folder() / "tokenizer.json").exists(), "the bundled model is not here: python -m helpers.bundled")
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(bundled.folder())
    return models.Model("bundled", "transformers", None, tokenizer, frozenset({tokenizer.eos_token_id}))


MODELS = pytest.mark.parametrize("load", [bundled_without_weights, llama_like])
FORMATS = pytest.mark.parametrize("schema_format", ["ddl", "compact"])
LINKING = pytest.mark.parametrize("linking", [False, True])


def context_of(k, schema_format, linking=False):
    blurbs = {"orders": "One row per order.", "offices": "Sales offices."}
    description = prompts.describe(sample.schema(), blurbs, schema_format=schema_format)
    return prompts.Context(description, tuple(POOL[:k]), linking=linking)


@MODELS
@FORMATS
@LINKING
@pytest.mark.parametrize("k", [0, 3])
def test_training_rows_are_the_prompts_of_inference_token_for_token(load, schema_format, k, linking):
    model, context, asked = load(), context_of(k, schema_format, linking), POOL[5]
    [row] = finetune.rows([asked], [context], model, seed=7)
    assert list(row.prompt) == models.encode(model, prompts.conversation(context, asked.nlq))
    bos = model.tokenizer.bos_token_id
    assert row.prompt[0] == bos != row.prompt[1]
    if load is llama_like:  # ChatML's opens every turn
        assert row.prompt.count(bos) == 1
    assert row.completion[-1] in model.stop_ids and not model.stop_ids & {*row.completion[:-1]}
    reply = prompts.answer(asked, linking=linking)
    told = [*prompts.conversation(context, asked.nlq), {"role": "assistant", "content": reply}]
    text = model.tokenizer.apply_chat_template(told, tokenize=False)
    assert text.startswith(model.tokenizer.decode(row.prompt + row.completion))


@MODELS
@FORMATS
@LINKING
@pytest.mark.parametrize("k", [0, 3])
def test_the_parts_of_a_prompt_add_up_to_it(load, schema_format, k, linking):
    model, context = load(), context_of(k, schema_format, linking)
    counts = prompt_tokens.parts(model, context, POOL[4].nlq)
    assert sum(counts.values()) == len(models.encode(model, prompts.conversation(context, POOL[4].nlq)))
    assert [part for part, count in counts.items() if not count] == [
        part for part, none in (("blurbs", schema_format == "compact"), ("exemplars", k == 0)) if none
    ]


def test_a_part_has_the_tokens_of_its_text():
    """Of a tokenizer with one token a byte, where no token lies across a border."""
    context = context_of(2, "ddl")
    counts = prompt_tokens.parts(llama_like(), context, "How many?")
    blurbs = len("-- One row per order.\n-- Sales offices.\n")
    assert counts["rule"] == len(prompts.RULE) and counts["blurbs"] == blurbs
    assert counts["schema"] == len("\n\n" + context.description) - blurbs
    assert counts["exemplars"] == sum(len(e.nlq) + len(prompts.answer(e)) for e in context.exemplars)
    assert counts["question"] == len("How many?")


def test_a_run_is_shown_the_fewest_the_mean_and_the_most():
    contexts = [context_of(0, "compact"), context_of(3, "compact")]
    rows = {row.pop("part"): row for row in prompt_tokens.table(llama_like(), contexts, POOL[4:])}
    assert rows["exemplars"]["fewest"] == 0 < rows["exemplars"]["mean"] < rows["exemplars"]["most"]
    assert rows["rule"] == {"fewest": len(prompts.RULE), "mean": len(prompts.RULE), "most": len(prompts.RULE)}
    assert rows["prompt"]["most"] == sum(prompt_tokens.parts(llama_like(), contexts[1], POOL[5].nlq).values())


def test_a_model_elsewhere_has_no_tokens_to_count():
    assert prompt_tokens.table(models.fake([]), [context_of(0, "ddl")], POOL[:1]) == []
