"""The grammar: every gold can be written, what must not run cannot, and the engine outlives a statement's end."""

import json
import random
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlglot import exp

from helpers import bundled, dataset, grammar, guard, models, prompts, schema
from helpers.models import ModelError
from helpers.sql import parse
from tests import tiny_model
from tests.conftest import require

DATA = Path("data/classicmodels")
CASES = [json.loads(line) for line in Path("tests/fixtures/grammar.jsonl").read_text().splitlines()]
SCHEMA = schema.from_ddl((DATA / "schema.sql").read_text())


@pytest.fixture(scope="module")
def model():
    """The bundled model without its weights: a grammar wants the tokenizer and the ends of a turn only."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(bundled.fetch())
    except ModelError as error:
        require(False, f"the bundled model is not here: {error}")
    return models.Model("bundled", "transformers", None, tokenizer, frozenset([tokenizer.eos_token_id]))


@pytest.fixture(scope="module")
def matcher(model):
    return grammar.constraint(model, SCHEMA)


def write(model, matcher, text):
    """Write the text token by token; return how far it is allowed, and whether the statement is complete there."""
    import torch

    tokens = model.tokenizer(text, add_special_tokens=False)["input_ids"]
    for count, token in enumerate([*tokens, model.tokenizer.eos_token_id]):
        logits = torch.zeros(len(model.tokenizer))
        matcher.restrict(logits)
        if logits[token].isinf():
            return model.tokenizer.decode(tokens[:count]), False
        matcher.accept(token)
    return text, True


def looks_ahead(sql):
    """Tell whether a subquery in a select list reads the query around it, whose tables are not named yet."""
    listed = [sub for select in parse(sql).find_all(exp.Select) for output in select.selects
              for sub in output.find_all(exp.Select)]
    return any(column.table and column.table not in {table.alias_or_name for table in sub.find_all(exp.Table)}
               for sub in listed for column in sub.find_all(exp.Column))


@pytest.mark.parametrize("split, step", [("test", 1), ("dev", 1), ("train", 64)])
def test_every_gold_can_be_written(split, step, model, matcher):
    rows = [json.loads(line) for line in (DATA / f"{split}.jsonl").read_text().splitlines()[::step]]
    golds = [sql for row in rows for sql in (row["sql"], *row.get("alternatives", ()))]
    stuck = [sql for sql in golds if not write(model, matcher(), sql + ";")[1]]
    assert golds and stuck == [sql for sql in golds if split == "train" and looks_ahead(sql)]


def test_every_linked_gold_can_be_written(model):
    linked = grammar.constraint(model, SCHEMA, linking=True)
    golds = [prompts.answer(e, linking=True) for name in ("test", "dev") for e in dataset.load(DATA / f"{name}.jsonl")]
    assert golds and not [written for gold in golds for written, whole in [write(model, linked(), gold)] if not whole]


@pytest.mark.parametrize(("text", "allowed"), [
    ("SELECT city FROM offices;", ""),
    ("/* nothing */ SELECT 1;", "/*"),
    ("/* offices */ SELECT city FROM offices;", None),
    ("/* offices */ SELECT phone FROM employees;", "/* offices */ SELECT phone FROM"),
    ("/* offices */ SELECT email FROM employees;", "/* offices */ SELECT"),
    ("/* offices o */ SELECT o.city FROM offices AS o;", None),
    ("/* offices o */ SELECT c.city FROM offices o;", "/* offices o */ SELECT c."),
    ("/* offices o */ SELECT o.city FROM offices x;", "/* offices o */ SELECT o.city FROM offices"),
    ("/* employees e, employees m */ SELECT m.email FROM employees e JOIN employees m ON m.reportsTo = e.email;", None),
    ("/* orders */ WITH a AS (SELECT status FROM orders) SELECT a.status FROM a;", None),
])
def test_a_comment_binds_the_tables_and_their_columns(text, allowed, model):
    written, whole = write(model, grammar.constraint(model, SCHEMA, linking=True)(), text)
    assert whole == (allowed is None) and (whole or written.rstrip() == allowed)


def test_a_comment_may_name_tables_that_need_backticks(model):
    odd = schema.from_ddl("CREATE TABLE `order` (id int); CREATE TABLE notes (id int, body text);")
    linked = grammar.constraint(model, odd, linking=True)
    assert write(model, linked(), "/* `order` o */ SELECT o.id FROM `order` o;")[1]
    assert not write(model, linked(), "/* `order` o */ SELECT o.body FROM `order` o;")[1]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["sql"][:50])
def test_what_can_be_written_and_where_the_rest_stops(case, model, matcher):
    assert write(model, matcher(), case["sql"]) == (case.get("written", case["sql"]), "written" not in case)


@pytest.mark.parametrize("text, sources, made, ctes", [
    ("SELECT c.city FROM customers AS c JOIN orders ON", {("c", "customers"), ("orders", "orders")}, set(), set()),
    ("SELECT 'FROM orders AS x' AS note FROM offices o WHERE", {("o", "offices")}, {"note"}, set()),
    ("WITH t AS (SELECT city AS town FROM offices) SELECT town FROM t x WHERE", {("offices", "offices"), ("x", "")},
     {"town"}, {"t"}),
    ("SELECT AVG(n) FROM (SELECT COUNT(*) AS n FROM orders GROUP BY status) g WHERE",
     {("orders", "orders"), ("g", "")}, {"n"}, set()),
])
def test_names_are_read_from_the_statement_so_far(text, sources, made, ctes):
    assert grammar.names(text, SCHEMA) == grammar.Names(frozenset(sources), frozenset(made), frozenset(ctes))


def test_names_that_are_words_of_mysql_are_written_in_backticks(model):
    ddl = "CREATE TABLE `order` (`key` int, `net weight` int, plain int, PRIMARY KEY (`key`));"
    matcher = grammar.constraint(model, schema.from_ddl(ddl))
    sql = "SELECT o.`net weight` FROM `order` o WHERE o.`key` = 1 AND plain > 2;"
    assert write(model, matcher(), sql) == (sql, True)
    assert not write(model, matcher(), "SELECT key FROM order;")[1]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return models.load(str(tiny_model.save(tmp_path_factory.mktemp("tiny"))))


@pytest.mark.parametrize("seed", range(6))
def test_nothing_can_be_written_that_is_refused_for_what_it_would_do(seed, tiny):
    import torch

    matcher, chance, written = grammar.constraint(tiny, SCHEMA)(), random.Random(seed), []
    closing = [tiny.tokenizer(sign, add_special_tokens=False)["input_ids"][0] for sign in ";)'\""]
    while not written or written[-1] not in tiny.stop_ids:
        logits = torch.zeros(len(tiny.tokenizer))
        matcher.restrict(logits)
        allowed = (logits == 0).nonzero()[:, 0].tolist()
        ends = [token for token in closing if len(written) > 60 and token in allowed and token != written[-1]]
        written.append(chance.choice(ends or allowed))
        matcher.accept(written[-1])
        assert len(written) < 2000, tiny.tokenizer.decode(written)[-300:]
    text = tiny.tokenizer.decode(written[:-1])
    try:
        assert guard.guard(text, SCHEMA) == text.strip().removesuffix(";").rstrip()
    except guard.SqlRejected as refused:
        assert refused.unreadable  # a wrong number of arguments, which the grammar does not count


@pytest.mark.parametrize("stop, finish", [("turn", "turn"), ("statement", "statement")])
def test_the_engine_outlives_the_end_of_a_statement(stop, finish, tiny):
    semicolon = tiny.tokenizer(";", add_special_tokens=False)["input_ids"][0]
    prefill = "SELECT COUNT(*) FROM orders"
    make = grammar.constraint(tiny, SCHEMA, prefill=prefill)

    def hurried():
        matcher = make()

        def restrict(logits):
            matcher.restrict(logits)
            if not logits[semicolon].isinf():
                logits[semicolon] = 1e9

        return SimpleNamespace(restrict=restrict, accept=matcher.accept)

    asked = [[{"role": "user", "content": "How many?"}]] * 2
    done = models.generate(tiny, asked, max_new_tokens=9, stop=stop, prefill=prefill, constraint=hurried)
    assert [(c.text, c.finish) for c in done] == [(prefill + ";", finish)] * 2


def test_what_cannot_be_held_to_a_grammar_is_said(tiny):
    with pytest.raises(ModelError, match="prefill 'Sure: '"):
        grammar.constraint(tiny, SCHEMA, prefill="Sure: ")
    with pytest.raises(ModelError, match="transformers"):
        grammar.constraint(models.fake([]), SCHEMA)
