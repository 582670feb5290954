"""The sample's people: employees with their reporting lines, customers with name, address and representative.

>>> employees(generator(2003, "employees"))[0][:3]
(1002, 'Murphy', 'Diane')

The organisation chart and the markets are data in `pools.yaml`; who fills a free post, how a customer is
called and where it lives is drawn. Names and streets fit the market's language, not each other: a street
need not exist in its city. Credit limits are left to `sample`, which knows the orders.
"""

import itertools
import random
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal

from helpers.sample_pools import deck, fill, pools

Rows = list[tuple]


def employees(rng: random.Random) -> Rows:
    """Draw the employees, by number; managers come before those who report to them."""
    people = _people(rng)
    return [_employee(entry, people, rng) for entry in pools()["staff"]]


def _employee(entry: list, people: dict, rng: random.Random) -> tuple:
    number, office, manager, title, name = entry
    first, last = name.split("|") if "|" in name else (next(names) for names in people[name])
    plain = unicodedata.normalize("NFKD", f"{first[0]}{last}".lower())
    email = "".join(letter for letter in plain if "a" <= letter <= "z") + "@classicmodels.example"
    return number, last, first, f"x{rng.randint(100, 5999)}", email, office, manager, title


def _people(rng: random.Random) -> dict[str, tuple[Iterator[str], Iterator[str]]]:
    """Return decks of first and of last names by language."""
    people = pools()["people"].items()
    return {language: (deck(names["first"], rng), deck(names["last"], rng)) for language, names in people}


def customers(rng: random.Random) -> Rows:
    """Draw the customers; creditLimit is None for those who will order, 0 for the others."""
    people, companies, reps = _people(rng), _company_names(rng), _representatives(rng)
    drawn = []
    for market in pools()["markets"]:
        ordering = market["count"] - market.get("without_rep", 0) - market.get("idle", 0)
        for place, (name, city) in enumerate(_places(market, companies, rng)):
            represented = place < ordering + market.get("idle", 0)
            first, last = (next(names) for names in people[market["language"]])
            drawn.append((
                name, last, first, fill(market["phone"], rng), *_address(market, city, rng),
                next(reps[market["office"]]) if represented else None,
                None if place < ordering else Decimal("0.00"),
            ))
    return _numbered(drawn, rng)


def _places(market: dict, companies: dict[str, Iterator[str]], rng: random.Random) -> list[tuple[str, str]]:
    """Pair customer names with cities: known customers first, then each city left, then the two busy ones."""
    cities = market["cities"]
    by_name = {city.partition("/")[0]: city for city in cities}
    pairs = [(name, by_name[city]) for name, city in pools()["known_customers"].items() if city in by_name]
    taken = {city for _, city in pairs}
    queue = itertools.chain([city for city in cities if city not in taken], deck(cities[:2], rng))
    fresh = itertools.islice(queue, market["count"] - len(pairs))
    return pairs + [(next(companies[market["language"]]), city) for city in fresh]


def _address(market: dict, city: str, rng: random.Random) -> tuple:
    """Return addressLine1, addressLine2, city, state, postalCode, country."""
    street = fill(rng.choice(pools()["streets"][market["language"]]), rng)
    second = fill(rng.choice(pools()["second_lines"]), rng) if rng.random() < 0.18 else None
    postal = fill(market["postal"], rng) if market["postal"] else None
    name, _, state = city.partition("/")
    return street, second, name, state or None, postal, market["country"]


def _company_names(rng: random.Random) -> dict[str, Iterator[str]]:
    pool = pools()["company_names"]
    shops, endings = deck(pool["shops"], rng), deck(pool["endings"], rng)

    def invented(words: list[str]) -> Iterator[str]:
        seen = set()
        for word, shop, ending in zip(deck(words, rng), shops, endings, strict=False):
            if (word, shop) not in seen:
                seen.add((word, shop))
                yield f"{word} {shop}{ending}"

    return {language: invented(words) for language, words in pool["words"].items()}


def _representatives(rng: random.Random) -> dict[str, Iterator[int]]:
    busy = defaultdict(list)
    for number, office, _, title, _ in pools()["staff"]:
        if title == "Sales Rep" and number not in pools()["resting_reps"]:
            busy[office].append(number)
    return {office: deck(numbers, rng) for office, numbers in busy.items()}


def _numbered(customers: Rows, rng: random.Random) -> Rows:
    """Put a customer number before each row; the known numbers go to customers who will order."""
    known = pools()["known_customer_numbers"]
    free = [number for number in range(min(known), max(known)) if number not in known]
    shuffled = sorted(rng.sample(customers, len(customers)), key=lambda row: row[-1] is not None)
    numbers = known + rng.sample(free, len(customers) - len(known))
    return sorted((number, *row) for number, row in zip(numbers, shuffled, strict=True))
