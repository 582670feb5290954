"""Training pairs from templates: a question and its SQL, filled with values drawn from a database.

>>> pairs = synthesise(database, seed=7, n=3200)
>>> pairs[0].nlq, pairs[0].sql
('How many customers are based in the US?', "SELECT COUNT(*) AS customerCount FROM customers WHERE country = 'USA'")

    python -m helpers.synthesis --lexicon data/classicmodels/lexicon.yaml --out data/classicmodels/train.jsonl

Slots stand for literals alone, so all pairs of a template have the same `sql.template`, difficulty and features, and
templates are drawn from in proportions that meet the profile in their folder as nearly as they can. Every statement is
executed; one that fails is a TemplateError naming its template, one that finds nothing is drawn again. Whether a
question asks for what its SQL returns, no code can check. The folder's format is `templates`' affair, the values are
`slots`'. Knows no models, prompts or metrics.
"""

import argparse
import heapq
import itertools
import logging
import random
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from rapidfuzz import fuzz, process

from helpers import composition, slots, sql
from helpers.dataset import FOLDER, Example, load, save
from helpers.lexicon import read as read_lexicon
from helpers.slots import Slot, TemplateError
from helpers.templates import Template, read

log = logging.getLogger(__name__)

TEMPLATES = FOLDER / "templates"
COMPOSED = 1500
LARGEST_SHARE = 0.03
WRITTEN = 5.0  # weight of a template somebody wrote against that of a composed one
TYPO_RATE = 0.03
NEAR_DUPLICATE = 90
TRIES = 40
ROUNDS = 30
FURTHEST = 5
GOLDEN = 0.6180339887498949  # its multiples, less their whole parts, are spread evenly (Weyl 1916)

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_SENTENCE = re.compile(r"(?<=[?.] )[a-z](?=[a-z])")
# No misspelling in words that name keys, order or distinctness: what is asked for must stay beyond doubt.
_WORD = re.compile(r"(?<![\w{'’.-])"
                   r"(?!number|code|order|sort|alphab|rank|distinct|differ|repeat|duplic|count|check|payment)"
                   r"[a-z]{5,}(?![\w}'’.-])")


def synthesise(
    database, *, seed: int, n: int, templates: Path = TEMPLATES, exclude: Iterable[Example] = (),
    lexicon: Path | None = None, composed: int = COMPOSED,
) -> list[Example]:
    """Make `n` training examples, or as many as the templates give; the same arguments give the same examples.

    Templates that share a `sql.template` with an example of `exclude`, and questions like one of its questions
    (rapidfuzz ratio of 90 or more), are left out. With a `lexicon` file, `composed` templates made from it are added;
    one that finds nothing is left out, and written templates weigh WRITTEN times as much. Raises TemplateError naming
    the template at fault.
    """
    exclude = list(exclude)
    pool = read(templates)
    if lexicon:
        more = composition.compose(read_lexicon(lexicon), count=composed, seed=seed)
        written = (replace(template, weight=WRITTEN * template.weight) for template in pool.templates)
        pool = replace(pool, templates=(*written, *more))
    filled = {name: slots.fill(name, spec, database) for name, spec in pool.slots.items()}
    golds = {t.name: _fill(t, filled, random.Random(0))[1] for t in pool.templates}
    dropped = collisions(golds, exclude)
    if dropped:
        log.warning("%d templates are left out, as an excluded question has their SQL: %s",
                    len(dropped), ", ".join(dropped))
    kept = [t for t in pool.templates if t.name not in dropped]
    graded = {t.name: (sql.hardness(golds[t.name]), sql.features(golds[t.name])) for t in kept}
    traits = {name: (difficulty, *features, *width(golds[name])) for name, (difficulty, features) in graded.items()}
    weights = _balance({t.name: t.weight for t in kept}, traits, pool.profile)
    taken = [example.nlq.lower() for example in exclude]
    makers = [(t, weights[t.name], _pairs(t, filled, database, random.Random(f"{seed} {t.name}"), taken)) for t in kept]
    made = list(itertools.islice(_by_weight(makers, most=max(1, int(n * LARGEST_SHARE))), n))
    random.Random(seed).shuffle(made)
    return [
        Example(
            f"s{number:04d}", nlq, gold, "train", *graded[template.name],
            alternatives=tuple(gold.replace(text, other) for text, other in template.accept),
        )
        for number, (template, nlq, gold) in enumerate(made, 1)
    ]


def collisions(golds: Mapping[str, str], examples: Iterable[Example]) -> list[str]:
    """Name the templates whose SQL (`golds`, by template name), literals masked, is that of one of the examples."""
    known = {sql.template(e.sql) for e in examples}
    return [name for name, gold in golds.items() if known and sql.template(gold) in known]


def _pairs(
    template: Template, filled: Mapping[str, Slot], database, rng: random.Random, taken: list[str]
) -> Iterator[tuple[str, str]]:
    """Yield pairs with a new question and a result that says something, until TRIES draws in a row give none."""
    seen: set[str] = set()
    misses = near = 0
    while misses < TRIES:
        nlq, gold = _fill(template, filled, rng)
        result = database.execute(gold)
        if result.error:
            raise TemplateError(f"Template {template.name}: its SQL fails ({result.error}): {gold}")
        is_near = _is_near(nlq.lower(), taken)
        if is_near or nlq.lower() in seen or _says_nothing(result.rows):
            misses, near = misses + 1, near + is_near
            continue
        misses = 0
        seen.add(nlq.lower())
        yield nlq, gold
    if not seen and not near and not template.composed:
        raise TemplateError(f"Template {template.name} finds nothing in {TRIES} tries: widen its slots or drop it.")


def _fill(template: Template, filled: Mapping[str, Slot], rng: random.Random) -> tuple[str, str]:
    """Return a question and its SQL with values drawn for the slots."""
    phrasing = rng.choice(template.phrasings)
    while _CHOICE.search(phrasing):
        phrasing = _CHOICE.sub(lambda match: rng.choice(match.group(1).split("|")), phrasing)
    phrasing = " ".join(phrasing.split())
    if phrasing[0].isupper():
        phrasing = _SENTENCE.sub(lambda match: match.group().upper(), phrasing)
    if rng.random() < TYPO_RATE:
        phrasing = _misspell(phrasing, rng)
    try:
        drawn = slots.draw(slots.names(template.sql), filled, rng)
        question, gold = slots.say(phrasing, drawn, rng), slots.write(template.sql, drawn)
    except TemplateError as error:
        raise TemplateError(f"Template {template.name}: {error}") from None
    return (question[0].upper() + question[1:] if phrasing[0].isupper() else question), gold


def _misspell(phrasing: str, rng: random.Random) -> str:
    """Swap, drop or double a letter inside one word of lower-case letters; slots and names stay as they are."""
    words = list(_WORD.finditer(phrasing))
    if not words:
        return phrasing
    word = rng.choice(words)
    at = rng.randrange(word.start() + 1, word.end() - 2)
    before, first, second, after = phrasing[:at], phrasing[at], phrasing[at + 1], phrasing[at + 2:]
    return before + rng.choice([second + first, second, first + first + second]) + after


def _says_nothing(rows: list[tuple]) -> bool:
    return not any(value not in (None, 0) for row in rows for value in row)


def _is_near(question: str, taken: list[str]) -> bool:
    return process.extractOne(question, taken, scorer=fuzz.ratio, score_cutoff=NEAR_DUPLICATE) is not None


def width(gold: str) -> tuple[str, ...]:
    """Return ("one_column",) for a statement that returns one, which is a trait of the profile, else nothing."""
    tree = sql.parse(gold)
    return ("one_column",) if tree is not None and len(tree.selects) == 1 else ()


def _balance(
    wanted: Mapping[str, float], traits: Mapping[str, tuple[str, ...]], profile: Mapping[str, float]
) -> dict[str, float]:
    """Weigh the templates, by name, so that each trait of the profile has its share.

    Iterative proportional fitting (Deming and Stephan 1940): trait by trait, those that have it are scaled to its
    share and those that lack it to the rest, until it settles. No template gets less than a fifth or more than
    five times what its own weight would give it, so that none is left out and none dominates.
    """
    weights = dict(wanted)
    having = {trait: {name for name, found in traits.items() if trait in found} for trait in profile}
    for _ in range(ROUNDS):
        for trait, share in profile.items():
            sum_having = sum(weights[name] for name in having[trait])
            sum_lacking = sum(weights.values()) - sum_having
            if having[trait] and len(having[trait]) < len(weights):
                inside, outside = share / sum_having, (1 - share) / sum_lacking
                weights = {name: w * (inside if name in having[trait] else outside) for name, w in weights.items()}
        unit = sum(weights.values()) / sum(wanted.values())
        weights = {name: min(max(w / unit, wanted[name] / FURTHEST), wanted[name] * FURTHEST)
                   for name, w in weights.items()}
    return weights


def _by_weight(
    makers: list[tuple[Template, float, Iterator[tuple[str, str]]]], *, most: int
) -> Iterator[tuple[Template, str, str]]:
    """Yield pairs, each from the template furthest behind its weight; no question twice, at most `most` of one.

    Templates start at different fractions of a pair, or all that weigh less than a pair would have none.
    """
    queue = [((number * GOLDEN % 1) / weight, number, 0) for number, (_, weight, _) in enumerate(makers)]
    heapq.heapify(queue)
    asked: set[str] = set()
    while queue:
        due, number, made = heapq.heappop(queue)
        template, weight, maker = makers[number]
        pair = next((p for p in maker if p[0].lower() not in asked), None)
        if pair is None:
            continue
        asked.add(pair[0].lower())
        yield template, *pair
        if made + 1 < most:
            heapq.heappush(queue, (due + 1 / weight, number, made + 1))


def main(arguments: list[str] | None = None) -> None:
    """Write a training file; `python -m helpers.synthesis --help`."""
    from helpers import database

    parser = argparse.ArgumentParser(description="Make training pairs from templates and a database.")
    parser.add_argument("--database", default="sample", help="a source, see helpers/database.py")
    parser.add_argument("--templates", type=Path, default=TEMPLATES, help="a folder of YAML files")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--n", type=int, default=20000)
    parser.add_argument("--lexicon", type=Path, help="a lexicon file, to compose more templates from")
    parser.add_argument("--composed", type=int, default=COMPOSED, help="how many are composed")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--exclude", type=Path, nargs="*", help="files whose questions and SQL must not occur "
                        "(test.jsonl and dev.jsonl beside --out, or else the suite's own)")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    names = ("test.jsonl", "dev.jsonl")
    beside = [path for path in map(options.out.with_name, names) if path.exists()]
    paths = options.exclude if options.exclude is not None else beside or [FOLDER / name for name in names]
    exclude = [example for path in paths for example in load(path)]
    with database.connect(options.database) as opened:
        made = synthesise(opened, seed=options.seed, n=options.n, templates=options.templates, exclude=exclude,
                          lexicon=options.lexicon, composed=options.composed)
    save(options.out, made)
    print(f"{len(made)} pairs of {len({sql.template(e.sql) for e in made})} templates in {options.out}")


if __name__ == "__main__":
    main()
