"""Templates composed from a lexicon: many shapes of questions, each about any fact, class, number and condition.

>>> compose(lexicon.read(FOLDER / "lexicon.yaml"), count=5000, seed=7)[0]
Template(name='count_0', sql='SELECT COUNT(*) AS orderCount FROM orders WHERE …', phrasings=('How many orders …', …), …)

Hand-written templates teach a model the questions their authors thought of; these teach it that any column can be
asked for, under any condition, over any join (the idea of Wang, Berant and Liang 2015, "Building a Semantic Parser
Overnight", without its paraphrases). That the SQL runs and finds something is `synthesis`' to see.
"""

import random

from helpers import kin_shapes, row_shapes, slots, value_shapes
from helpers.ingredients import Question
from helpers.lexicon import Lexicon
from helpers.phrasing import phrasings
from helpers.templates import Template

PHRASINGS = 5
SHAPES = {  # how often each is drawn
    row_shapes.rows: 20, row_shapes.lookup: 6, row_shapes.top: 4, row_shapes.extreme: 5, row_shapes.versus: 6,
    row_shapes.distinct: 8, value_shapes.aggregate: 22, value_shapes.group: 30, value_shapes.share: 4,
    value_shapes.split: 4, value_shapes.window: 5, value_shapes.period: 4, kin_shapes.kin: 14, kin_shapes.shared: 5,
}


def compose(lexicon: Lexicon, *, count: int, seed: int) -> list[Template]:
    """Compose `count` templates with different SQL; the same arguments give the same templates."""
    rng = random.Random(seed)
    made: dict[str, Template] = {}
    while len(made) < count:
        question = _draw(lexicon, rng)
        if question is None or question[1] in made:
            continue
        shape, gold, words = question
        asked = [text for text in phrasings(lexicon.ask[shape], words, rng, count=PHRASINGS)
                 if set(slots.names(text)) == set(slots.names(gold))]
        if len(asked) > 2:
            made[gold] = Template(f"{shape}_{len(made)}", gold, tuple(asked), composed=True)
    return list(made.values())


def _draw(lexicon: Lexicon, rng: random.Random) -> Question | None:
    """Draw a shape, and what it is about: a fact by how much can be said of it, a family, or shared values."""
    [shape] = rng.choices(list(SHAPES), list(SHAPES.values()))
    if shape is kin_shapes.kin:
        return shape(rng.choice(lexicon.families), rng)
    if shape is kin_shapes.shared:
        name = rng.choice(list(lexicon.shared))
        return shape(name, lexicon.shared[name], rng)
    facts = list(lexicon.facts.values())
    return shape(rng.choices(facts, [len(fact.where) for fact in facts])[0], rng)
