"""The training pairs: one seed, one file; the stated profile; nothing of test or dev; faults in templates are named."""

import random
from collections import Counter

import pytest
import sqlglot
import yaml
from rapidfuzz import fuzz, process
from sqlglot import exp

from helpers import database, dataset, house_style, slots, sql, synthesis, templates
from helpers.dataset import FOLDER, Example
from helpers.slots import TemplateError

SEED, N, LEXICON = 7, 20000, FOLDER / "lexicon.yaml"
POINTS = 0.04  # how far a rate of the training pairs may lie from the profile


@pytest.fixture(scope="module")
def sample():
    with database.connect("sample") as opened:
        yield opened


@pytest.fixture(scope="module")
def pool():
    return templates.read(synthesis.TEMPLATES)


@pytest.fixture(scope="module")
def filled(pool, sample):
    return {name: slots.fill(name, spec, sample) for name, spec in pool.slots.items()}


@pytest.fixture(scope="module")
def held_out():
    found = [FOLDER / name for name in ("test.jsonl", "dev.jsonl") if (FOLDER / name).exists()]
    return [example for path in found for example in dataset.load(path)]


@pytest.fixture(scope="module")
def train():
    return dataset.load(FOLDER / "train.jsonl")


@pytest.fixture(scope="module")
def made(sample, held_out):
    return synthesis.synthesise(sample, seed=SEED, n=N, exclude=held_out, lexicon=LEXICON)


@pytest.fixture(scope="module")
def masked(train):
    """Return the SQL template of each training pair, by its SQL."""
    return {gold: sql.template(gold) for gold in {e.sql for e in train}}


def test_the_committed_file_is_what_its_seed_gives(made, tmp_path):
    fresh = dataset.save(tmp_path / "train.jsonl", made)
    assert fresh.read_bytes() == (FOLDER / "train.jsonl").read_bytes(), (
        f"run: python -m helpers.synthesis --lexicon {LEXICON} --out {FOLDER}/train.jsonl")


def test_pairs_written_elsewhere_leave_out_the_suites_own_questions_too(tmp_path, held_out):
    synthesis.main(["--n", "300", "--out", str(tmp_path / "train.jsonl")])
    held = {sql.template(e.sql) for e in held_out}
    assert not held & {sql.template(e.sql) for e in dataset.load(tmp_path / "train.jsonl")}


def test_another_seed_asks_other_questions(tmp_path, sample):
    folder = _folder(tmp_path, {})
    one, again, other = (synthesis.synthesise(sample, seed=seed, n=300, templates=folder) for seed in (7, 7, 8))
    assert one == again
    assert {e.nlq for e in one} != {e.nlq for e in other}


def test_there_are_many_templates_with_phrasings_enough(pool, train, masked):
    assert len(pool.templates) >= 250
    assert all(len(set(t.phrasings)) >= 4 for t in pool.templates)
    sizes = Counter(masked[e.sql] for e in train)
    assert len(sizes) >= 250 and max(sizes.values()) <= synthesis.LARGEST_SHARE * len(train)


def test_the_rates_are_those_of_the_profile(pool, train):
    rates = Counter(trait for e in train for trait in (e.difficulty, *e.features, *synthesis.width(e.sql)))
    off = {trait: (rates[trait] / len(train), share) for trait, share in pool.profile.items()
           if abs(rates[trait] / len(train) - share) > POINTS}
    assert not off
    assert all(example.split == "train" for example in train)


def test_every_column_of_the_schema_occurs(pool, sample):
    trees = [sqlglot.parse_one(slots._SLOT.sub("1", t.sql), read="mysql") for t in pool.templates]
    used = {column.name.lower() for tree in trees for column in tree.find_all(exp.Column)}
    everything = {column.name.lower() for table in sample.schema.tables for column in table.columns}
    assert not everything - used


def test_every_join_path_occurs(pool, sample):
    """A foreign key is walked when its two columns are compared, in either order."""
    written = " ".join(t.sql.lower() for t in pool.templates)
    for table in sample.schema.tables:
        for key in table.foreign_keys:
            near, far = key.columns[0].lower(), key.references[0].lower()
            assert any(f".{a} = {alias}.{b}" in written for a, b in ((near, far), (far, near))
                       for alias in ("c", "o", "od", "p", "pl", "e", "m", "f")), (table.name, key)


def test_every_template_runs_and_keeps_the_house_style(pool, filled, sample):
    """Also those that no training pair was drawn from."""
    examples = [Example(t.name, *_plain(t, filled)) for t in pool.templates]
    assert not [(e.id, answer) for e in examples if (answer := sample.execute(e.sql).error)]
    assert not [v for v in house_style.lint(examples, sample.schema) if v.level == "error"]


def test_the_training_pairs_keep_the_house_style(train, sample):
    assert not [v for v in house_style.lint(train, sample.schema) if v.level == "error"]


def test_golds_run_and_say_something(train, sample, made):
    """`made` has executed them all on the same database, so the results are at hand."""
    results = [sample.execute(example.sql) for example in train]
    assert not [result.error for result in results if result.error]
    assert sum(bool(result.rows) for result in results) >= 0.9 * len(results)


def test_nothing_of_test_or_dev_is_in_train(train, held_out, masked):
    assert not set(masked.values()) & {sql.template(e.sql) for e in held_out}
    asked = [e.nlq.lower() for e in held_out]
    assert not [e.id for e in train if process.extractOne(e.nlq.lower(), asked, scorer=fuzz.ratio, score_cutoff=90)]


def test_no_question_occurs_twice(train):
    assert len({e.nlq.lower() for e in train}) == len(train)


def test_an_excluded_question_takes_its_template_or_its_likes_along(tmp_path, sample):
    ask = "How many orders are {status}?\nnumber of {status} orders\nCount the {status} orders.\n{status} orders: count"
    orders = {"sql": "SELECT COUNT(*) AS n FROM orders WHERE status = {status}", "ask": ask}
    folder = _folder(tmp_path, {"templates": {"orders": orders}})
    like = Example("x", "How many orders are Shipped, then?", "SELECT 1")
    same = Example("y", "Count them", "SELECT COUNT(*) AS k FROM orders WHERE status = 'Resolved'")
    asked = [e.nlq for e in synthesis.synthesise(sample, seed=1, n=1000, templates=folder, exclude=[like])]
    assert asked and "How many orders are Shipped?" not in asked and "How many orders are Resolved?" in asked
    left = synthesis.synthesise(sample, seed=1, n=1000, templates=folder, exclude=[same])
    assert {sql.tables(e.sql) for e in left} == {("offices",)}


@pytest.mark.parametrize(("change", "message"), [
    ({"templates": {"t": {"sql": "SELECT city FROM offices WHERE state = {nowhere}", "ask": "a\nb\nc\nd"}}},
     r"Template t: no slot nowhere"),
    ({"templates": {"t": {"sql": "SELECT town FROM offices", "ask": "a\nb\nc\nd"}}},
     r"Template t: its SQL fails .*town"),
    ({"templates": {"t": {"sql": "SELECT city FROM offices", "ask": "a\nb\na\nb"}}}, r"Template t has fewer than 4"),
    ({"templates": {"t": {"sql": "SELECT city FROM offices"}}}, r"Template t lacks `sql` or `ask`"),
    ({"templates": {"t": {"sql": "SELECT city FROM offices WHERE country = {country}", "ask": "a {country}\nb\nc\nd"}}},
     r"Template t: 'b' does not name the slots"),
    ({"templates": {"t": {"sql": "SELECT city FROM offices WHERE country = 'Nowhere'", "ask": "a\nb\nc\nd"}}},
     r"Template t finds nothing"),
    ({"templates": {"t": {"sql": "SELECT city FROM offices WHERE country = {country.code}",
                          "ask": "a {country}\nb {country}\nc {country}\nd {country}"}}},
     r"Template t: Slot country has no field code"),
    ({"templates": {"t": {"each": {"m": "none"}, "sql": "SELECT 1", "ask": "a\nb\nc\nd"}}},
     r"Template t: there is no list of pieces none"),
    ({"pieces": {"p": [{"name": "x"}]},
      "templates": {"t": {"each": {"m": "p"}, "sql": "SELECT {m.sql}", "ask": "a\nb\nc\nd"}}},
     r"Template t-x: .*no `sql`"),
    ({"slots": {"s": {"query": "SELECT nothing FROM offices"}}}, r"Slot s: its query fails"),
    ({"slots": {"s": {"query": "SELECT city FROM offices WHERE 1 = 0"}}}, r"Slot s finds no value in sample"),
    ({"slots": {"s": {}}}, r"Slot s has neither"),
    ({"questions": {}}, r"fault.yaml: only profile, slots, pieces, templates"),
    ({"slots": {"country": {"values": ["USA"]}}}, r"fault.yaml|templates.yaml: slots country occur twice"),
])
def test_a_fault_in_a_template_file_is_named(tmp_path, sample, change, message):
    with pytest.raises(TemplateError, match=message):
        synthesis.synthesise(sample, seed=1, n=200, templates=_folder(tmp_path, change))


@pytest.mark.parametrize(("spec", "text", "gold"), [
    ({"as": "month", "query": "SELECT YEAR(orderDate), MONTH(orderDate) FROM orders WHERE orderNumber = 10100"},
     "BETWEEN {s.first} AND {s.last}", "BETWEEN '2003-01-01' AND '2003-01-31'"),
    ({"as": "quarter", "query": "SELECT 2004, 4"}, "< {s.next}", "< '2005-01-01'"),
    ({"values": ["L'ordine"]}, "= {s} OR x LIKE '%{s}%'", "= 'L''ordine' OR x LIKE '%L''ordine%'"),
    ({"integers": [3, 4]}, "BETWEEN {s} AND {s2}", "BETWEEN 3 AND 4"),
    ({"query": "SELECT priceEach FROM orderdetails", "quantiles": [0.5, 0.5], "round": 0.01}, "> {s}", None),
])
def test_values_become_literals(sample, spec, text, gold):
    slot = slots.fill("s", spec, sample)
    written = slots.write(text, slots.draw(slots.names(text), {"s": slot}, random.Random(3)))
    assert written == gold or gold is None and float(written.removeprefix("> ")) > 0


def test_a_literal_is_never_misspelt(monkeypatch, sample, tmp_path):
    monkeypatch.setattr(synthesis, "TYPO_RATE", 1.0)
    examples = synthesis.synthesise(sample, seed=1, n=400, templates=_folder(tmp_path, {}))
    countries = {row[0] for row in sample.execute("SELECT country FROM offices").rows}
    assert all(any(country in e.nlq for country in countries) for e in examples)
    assert any("offices" not in e.nlq for e in examples)


def _plain(template, filled):
    rate, synthesis.TYPO_RATE = synthesis.TYPO_RATE, 0.0
    try:
        return synthesis._fill(template, filled, random.Random(template.name))
    finally:
        synthesis.TYPO_RATE = rate


def _folder(tmp_path, change):
    """Write a templates folder with one good template, and a second file with the change."""
    asks = ("Which offices are in {country}?", "offices in {country}", "List the offices of {country}.",
            "{country}: all offices")
    queries = {"country": "SELECT DISTINCT country FROM offices", "status": "SELECT status FROM orders"}
    good = {
        "slots": {name: {"query": query} for name, query in queries.items()},
        "templates": {"good": {"sql": "SELECT city FROM offices WHERE country = {country}", "ask": "\n".join(asks)}},
    }
    (tmp_path / "templates.yaml").write_text(yaml.safe_dump(good), encoding="utf-8")
    (tmp_path / "fault.yaml").write_text(yaml.safe_dump(change), encoding="utf-8")
    return tmp_path
