"""Exemplars: repeatable, of different templates, never the question's own, and audited."""

import json

import pytest

from helpers import database, exemplars, masking, prompts, runs, similarity, sql
from helpers.dataset import DatasetError, Example
from helpers.params import Baseline

QUESTIONS = [
    ("How many orders are on hold?", "SELECT COUNT(*) FROM orders WHERE status = 'On Hold'", "easy"),
    ("List the cities of our offices.", "SELECT city FROM offices", "easy"),
    ("How many employees work in each office?",
     "SELECT officeCode, COUNT(*) FROM employees GROUP BY officeCode", "medium"),
    ("Count the customers in France.", "SELECT COUNT(*) FROM customers WHERE country = 'France'", "easy"),
    ("Which product lines have more than 20 products?",
     "SELECT productLine FROM products GROUP BY productLine HAVING COUNT(*) > 20", "hard"),
    ("What is the largest payment?", "SELECT MAX(amount) FROM payments", "extra"),
]  # fmt: skip
POOL = [Example(f"p{n}", nlq, gold, difficulty=grade) for n, (nlq, gold, grade) in enumerate(QUESTIONS)]
ASKED = [
    Example("t0", "How many payments are over 2,000?", "SELECT COUNT(*) FROM payments WHERE amount > 2000"),
    Example("t1", "Customers per country?", "SELECT country, COUNT(*) FROM customers GROUP BY country"),
    Example("t2", "And the smallest order?", "SELECT MIN(amount) FROM payments"),
]
POLICIES = pytest.mark.parametrize("policy", ["fixed", "random", "similar"])


@pytest.fixture(scope="module")
def db():
    with database.connect("sample") as opened:
        yield opened


def choose(db, policy, examples=ASKED, **options):
    return exemplars.choose(POOL, examples, db, **{"policy": policy, "k": 3, "seed": 7, **options})


def ids(choices):
    return [[e.id for e in choice.exemplars] for choice in choices]


def test_fixed_exemplars_repeat_with_their_seed_and_mix_difficulties():
    chosen = exemplars.fixed(POOL, k=4, seed=7)
    assert chosen == exemplars.fixed(POOL, k=4, seed=7) == prompts.fixed(POOL, k=4, seed=7)
    assert {e.difficulty for e in chosen} == {"easy", "medium", "hard", "extra"}
    easy = {exemplars.fixed(POOL, k=4, seed=seed)[0].id for seed in range(20)}
    assert easy == {"p0", "p1", "p3"}


@POLICIES
def test_a_choice_repeats_and_each_policy_chooses_otherwise(db, policy):
    chosen = choose(db, policy)
    assert chosen == choose(db, policy)
    assert all(len(set(own)) == 3 for own in ids(chosen))
    assert (len({tuple(own) for own in ids(chosen)}) == 1) == (policy == "fixed")
    assert all(0 <= value <= 1 for choice in chosen for value in choice.similarity)


@pytest.mark.parametrize("policy", ["random", "similar"])
def test_a_questions_own_exemplars_depend_on_no_other_question(db, policy):
    chosen = choose(db, policy)
    assert choose(db, policy, ASKED[::-1]) == chosen[::-1]
    assert choose(db, policy, ASKED[1:2]) == chosen[1:2]


def test_random_exemplars_change_with_the_seed_and_similar_ones_do_not(db):
    assert ids(choose(db, "random", k=4)) != ids(choose(db, "random", k=4, seed=8))
    assert ids(choose(db, "similar")) == ids(choose(db, "similar", seed=8))


@POLICIES
@pytest.mark.parametrize(
    "asked",
    [
        Example("template", "Anything else?", "SELECT COUNT(*) FROM customers WHERE country = 'Spain'"),
        Example("alternative", "Anything else?", "SELECT 1", alternatives=(POOL[3].sql,)),
    ],
    ids=lambda example: example.id,
)
def test_an_exemplar_shares_its_questions_template_only_if_asked(db, policy, asked):
    for seed in range(5):
        assert "p3" not in ids(choose(db, policy, [asked], k=5, seed=seed))[0]
    [choice] = choose(db, policy, [asked], k=6, same_template=True)
    assert "p3" in ids([choice])[0] and choice.refused == 0
    with pytest.raises(DatasetError, match="5 templates that may be shown, fewer than k = 6"):
        choose(db, policy, [asked], k=6)


@POLICIES
@pytest.mark.parametrize("nlq", ["count the  customers in france.", "Count the customers in France"])
def test_nearly_the_same_question_is_never_an_exemplar(db, policy, nlq):
    [choice] = choose(db, policy, [Example("near", nlq, "SELECT 9")], k=5, same_template=True)
    assert "p3" not in ids([choice])[0] and choice.refused == 1


def test_a_gold_chooses_nothing(db):
    """Two questions of the same words and of other golds are shown the same, as long as nothing is refused."""
    golds = ("SELECT 1", "SELECT a, b FROM c GROUP BY a, b")
    for policy in ("random", "similar"):
        one, other = (choose(db, policy, [Example("t", ASKED[0].nlq, gold)]) for gold in golds)
        assert ids(one) == ids(other)


def test_exemplars_have_different_templates(db):
    copies = [Example(f"c{n}", f"Cities, {word}?", f"SELECT city FROM offices LIMIT {n}") for n, word in
              enumerate(["please", "quickly", "in full", "any at all"], 1)]  # fmt: skip
    for policy in ("fixed", "random", "similar"):
        [choice] = exemplars.choose(POOL + copies, [Example("t", "Offices by city", "SELECT 1")], db, policy=policy,
                                    k=6, seed=1)  # fmt: skip
        assert len({sql.template(e.sql) for e in choice.exemplars}) == 6


def test_the_most_similar_question_stands_last_next_to_the_question(db):
    asked = Example("t", "How many orders have been cancelled so far?", "SELECT 1")
    [choice] = choose(db, "similar", [asked])
    assert choice.exemplars[-1].id == "p0"


def test_a_preliminary_skeleton_goes_before_the_words(db):
    """Nine neighbours agree on a skeleton, so another of that skeleton is shown before nearer words of another one."""
    pool = [Example(f"a{n}", f"total of kind {word}", f"SELECT SUM(amount) FROM {word}") for n, word in
            enumerate("red blue green pink grey brown black white teal".split())]  # fmt: skip
    near = Example("near", "total of every kind", "SELECT a, b, c FROM d WHERE e IN (SELECT f FROM g) ORDER BY h")
    [choice] = exemplars.choose([*pool, near], [Example("t", "total of every kind there", "SELECT 1")], db,
                                policy="similar", k=2, seed=7, same_template=True)  # fmt: skip
    assert "near" not in ids([choice])[0]


def test_no_exemplars_are_no_work(db):
    assert ids(choose(None, "similar", k=0)) == [[], [], []]


def test_no_other_policy_is_known(db):
    with pytest.raises(ValueError, match="fixed, random or similar, not 'best'"):
        choose(db, "best")


def test_contexts_hold_what_was_chosen_and_the_audit_says_so(db, tmp_path):
    run = runs.start(Baseline(out=str(tmp_path / "suite")))
    chosen = choose(db, "similar", same_template=True)
    made = exemplars.contexts(prompts.Context("schema"), chosen)
    assert [context.exemplars for context in made] == [choice.exemplars for choice in chosen]
    assert {context.description for context in made} == {"schema"}
    rows = exemplars.audit(run, chosen)
    assert rows == [json.loads(line) for line in (run.folder / "exemplar_audit.jsonl").read_text().splitlines()]
    assert [row["example_id"] for row in rows] == ["t0", "t1", "t2"]
    assert [row["exemplars"] for row in rows] == ids(chosen)
    assert all(len(row["similarity"]) == len(row["shares_template"]) == 3 for row in rows)
    run.finish(order=[e.id for e in ASKED])
    assert len((run.folder / "exemplar_audit.jsonl").read_text().splitlines()) == 3


def test_the_audit_tells_a_shared_template(db, tmp_path):
    asked = Example("t", "And how many in Spain?", "SELECT COUNT(*) FROM customers WHERE country = 'Spain'")
    [choice] = choose(db, "fixed", [asked], k=6, same_template=True)
    [row] = exemplars.audit(runs.start(Baseline(out=str(tmp_path / "suite"))), [choice])
    assert dict(zip(row["exemplars"], row["shares_template"], strict=True)) == {f"p{n}": n == 3 for n in range(6)}


@pytest.mark.parametrize(
    "question, masked",
    [
        ("How many orders from France were placed after 2004-03-01?",
         "how many <name> from <value> were placed after <value> ?"),
        ("What did Classic Cars cost in March 2004?", "what did <value> cost in <value> ?"),
        ("order dates of on hold orders", "<name> of <value> <name>"),
        ("Which products cost 1,000.50 or S10_1678?", "which <name> cost <value> or <value> ?"),
        ("Who may ask?", "who may ask ?"),
        ("", ""),
    ],
)  # fmt: skip
def test_names_and_values_are_masked(db, question, masked):
    assert masking.mask(question, masking.vocabulary(db)) == masked


def test_questions_are_alike_by_words_and_pairs_of_them():
    pool = ["count the <name>", "how many <name> have <value> ?"]
    [row] = similarity.questions(["how many <name> are <value> ?"], pool)
    assert row[1] > 0.8 > 0.2 > row[0]
    assert similarity.questions(["how many <name> have <value> ?", "zebra"], pool)[:, 1].round(6).tolist() == [1, 0]


def test_skeletons_are_alike_by_their_words():
    one = "SELECT COUNT(*) FROM _"
    assert similarity.skeletons(one, one) == 1 > similarity.skeletons(one, f"{one} WHERE _ = _") > 0.5
