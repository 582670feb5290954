"""Composed templates: they run, ask for what they say, come out the same again, and words are put right."""

import random
import re

import pytest

from helpers import composition, database, dataset, lexicon, phrasing, slots, sql, synthesis, templates
from helpers.slots import TemplateError

LEXICON = dataset.FOLDER / "lexicon.yaml"


@pytest.fixture(scope="module")
def made():
    return composition.compose(lexicon.read(LEXICON), count=700, seed=7)


@pytest.fixture(scope="module")
def sample():
    with database.connect("sample") as opened:
        yield opened


@pytest.fixture(scope="module")
def filled(sample):
    definitions = templates.read(synthesis.TEMPLATES).slots
    return {name: slots.fill(name, definition, sample) for name, definition in definitions.items()}


def test_every_composed_statement_runs(made, sample, filled):
    rng = random.Random(1)
    failures = []
    for template in made:
        drawn = slots.draw(slots.names(template.sql), filled, rng)
        result = sample.execute(slots.write(template.sql, drawn))
        failures += [(template.name, result.error, template.sql)] if result.error else []
    assert failures == []


def test_same_seed_same_templates(made):
    assert composition.compose(lexicon.read(LEXICON), count=700, seed=7) == made
    assert composition.compose(lexicon.read(LEXICON), count=50, seed=8) != made[:50]


def test_every_shape_of_the_lexicon_is_asked(made):
    assert {template.name.rsplit("_", 1)[0] for template in made} == set(lexicon.read(LEXICON).ask)


def test_phrasings_name_the_slots_and_leave_no_choice_open(made):
    for template in made:
        for phrasing_ in template.phrasings:
            assert set(slots.names(phrasing_)) == set(slots.names(template.sql)), template
            assert not re.search(r"[\[\]|]", phrasing_), phrasing_


def test_most_templates_differ_in_more_than_their_values(made):
    assert len({sql.template(template.sql.replace("{", "'").replace("}", "'")) for template in made}) > 500


@pytest.mark.parametrize("text, written", [
    ("with a average price", "with an average price"),
    ("an number of orders", "a number of orders"),
    ("a MSRP above 100", "an MSRP above 100"),
    ("A order, an customer", "An order, a customer"),
])
def test_articles(text, written):
    assert phrasing.articles(text) == written


@pytest.mark.parametrize("noun, many", [
    ("country", "countries"), ("status", "statuses"), ("city of the office", "cities of the office"),
    ("year and month", "year and month"), ("quarter (year, quarter)", "quarter (year, quarter)"), ("day", "days"),
])
def test_plural(noun, many):
    assert phrasing.plural(noun) == many


def test_phrase_fills_words_keeps_slots_and_capitalises():
    words = {"many": "orders", "where": "", "columns": "number and date"}
    said = phrasing.phrase("[Which|Which] {many} {where} over {amount}? {Columns}.", words, random.Random(1))
    assert said == "Which orders over {amount}? Number and date."


@pytest.mark.parametrize("text", ["facts: {}", "- a", ":"])
def test_a_file_that_is_no_lexicon_is_refused(tmp_path, text):
    path = tmp_path / "lexicon.yaml"
    path.write_text(text)
    with pytest.raises(TemplateError, match="is no lexicon"):
        lexicon.read(path)


def test_synthesis_adds_composed_templates_and_drops_those_of_excluded_questions(sample):
    written = synthesis.synthesise(sample, seed=7, n=300)
    more = synthesis.synthesise(sample, seed=7, n=300, lexicon=LEXICON, composed=2000)
    assert len({sql.template(e.sql) for e in more} - {sql.template(e.sql) for e in written}) > 20
    again = synthesis.synthesise(sample, seed=7, n=300, lexicon=LEXICON, composed=2000, exclude=more)
    assert not {sql.template(e.sql) for e in again} & {sql.template(e.sql) for e in more}
