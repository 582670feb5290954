"""English for composed questions: choices made, lists joined, nouns in the plural, articles put right.

>>> choose("[Show|List] the {many} in {country}", random.Random(1))
'List the {many} in {country}'
>>> plural("country of the customer"), articles("with a average price")
('countries of the customer', 'with an average price')

It knows the words of one lexicon and the shapes its nouns take, not English: a new noun may want a rule.
"""

import random
import re
from collections.abc import Callable, Mapping, Sequence

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_FIELD = re.compile(r"\{(\w+)\}")


def choose(text: str, rng: random.Random) -> str:
    """Decide every [a|b] of a text, the innermost first."""
    while _CHOICE.search(text):
        text = _CHOICE.sub(lambda match: rng.choice(match.group(1).split("|")), text)
    return " ".join(text.split())


def enumerate_words(items: Sequence[str], rng: random.Random) -> str:
    """Join words as a person would: "name", "name and city", "name, city and phone"."""
    if len(items) < 3:
        return rng.choice([" and ", " and ", ", "]).join(items)
    return ", ".join(items[:-1]) + rng.choice([" and ", ", "]) + items[-1]


def plural(noun: str) -> str:
    """Put a noun into the plural, the head of "city of the office" for one; lists and bracketed ones stay."""
    head, of, rest = noun.partition(" of ")
    if of:
        return plural(head) + of + rest
    if re.search(r"[(,]| and ", noun):
        return noun
    ending = "es" if noun.endswith(("s", "x")) else "s"
    return re.sub(r"(?<![aeo])y$", "ie", noun) + ending


def articles(text: str) -> str:
    """Write "a" or "an" by the first letter of what follows; a letter's sound is that of the lexicon's words."""
    text = re.sub(r"\b([Aa])n? (?=[^aeioAEIO\W])", r"\1 ", text)
    return re.sub(r"\b([Aa]) (?=[aeioAEIO]|MSRP\b)", r"\1n ", text)


def phrase(template: str, words: Mapping[str, str], rng: random.Random) -> str:
    """Fill a phrasing with words, {Word} beginning with a capital; a name that is no word stays, as a slot does."""
    def word(match: re.Match) -> str:
        name = match.group(1)
        if name in words:
            return words[name]
        lower = name[0].lower() + name[1:]
        return words[lower][:1].upper() + words[lower][1:] if lower in words else match.group()

    text = articles(" ".join(_FIELD.sub(word, choose(template, rng)).split()))
    return re.sub(r" +([.,?;:])", r"\1", text)


def phrasings(templates: Sequence[str], words: Callable[[], Mapping[str, str]], rng: random.Random, *,
              count: int) -> tuple[str, ...]:
    """Return up to `count` different questions, each from another template as far as they reach, with fresh words."""
    order = rng.sample(list(templates), len(templates))
    made = dict.fromkeys(phrase(order[n % len(order)], words(), rng) for n in range(2 * count))
    return tuple(made)[:count]
