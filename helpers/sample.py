"""The embedded sample: the classicmodels schema with rows of our own, the same bytes for the same seed.

>>> data = rows(seed=2003)
>>> len(data["orders"]), data["offices"][3][:2]
(326, ('4', 'Paris'))

Everything is drawn from `data/classicmodels/pools.yaml` with `random.Random` alone: names and addresses
come from pools too, so no release of a name library can change a row. Table sizes and the habits questions
depend on are those of the public sample (statuses and their rates, a peak every November, customers who
never ordered, two far ahead of the rest); the rows are not. `shared_values.yaml` lists the values both
have. Product pictures, HTML texts and history before 2003 are left out, and the price list never changes.
"""

import random
from collections import Counter
from decimal import Decimal

from helpers import sample_orders, sample_people
from helpers.sample_pools import FOLDER, cents, deck, generator, pools
from helpers.schema import Schema, from_ddl

SEED = 2003

Rows = list[tuple]


def schema() -> Schema:
    """Return the eight tables declared in `schema.sql`."""
    return from_ddl((FOLDER / "schema.sql").read_text(encoding="utf-8"))


def rows(seed: int = SEED) -> dict[str, Rows]:
    """Generate every table's rows, parents first, in column order; money is Decimal, a date is ISO text.

    Each table draws from a generator of its own: a change to one pool leaves unrelated tables as they were.
    """
    products = _products(generator(seed, "products"))
    employees = sample_people.employees(generator(seed, "employees"))
    customers = sample_people.customers(generator(seed, "customers"))
    orders = sample_orders.orders(customers, generator(seed, "orders"))
    details = sample_orders.orderdetails(orders, products, generator(seed, "orderdetails"))
    totals = sample_orders.totals(details)
    return {
        "productlines": [(name, line["text"], None, None) for name, line in pools()["product_lines"].items()],
        "products": products,
        "offices": [tuple(office) for office in pools()["offices"]],
        "employees": employees,
        "customers": _with_credit_limit(customers, orders, totals, generator(seed, "credit")),
        "payments": sample_orders.payments(customers, orders, totals, generator(seed, "payments")),
        "orders": orders,
        "orderdetails": details,
    }


def _products(rng: random.Random) -> Rows:
    vendors = deck(pools()["vendors"], rng)
    codes = _product_codes(rng)
    return sorted(
        (codes[scale].pop(), product, line, scale, next(vendors), *_offer(pool, scale, rng))
        for line, pool in pools()["product_lines"].items()
        for product, scale in _scaled_names(pool, rng)
    )


def _scaled_names(pool: dict, rng: random.Random) -> list[tuple[str, str]]:
    """Pair the known products of a line, and as many others as it lacks, with scales."""
    known = pool["known"]
    left = Counter(pool["scales"]) - Counter(known.values())
    scales = rng.sample(list(left.elements()), left.total())
    return [*known.items(), *zip(rng.sample(pool["names"], len(scales)), scales, strict=True)]


def _product_codes(rng: random.Random) -> dict[str, list[str]]:
    """Return codes such as S18_2248 by scale such as 1:18, as many as it has products, in random order."""
    scales = sum((Counter(line["scales"]) for line in pools()["product_lines"].values()), Counter())
    digits = iter(rng.sample(range(5000, 9000), scales.total()))  # known codes end below 5000
    codes = {}
    for scale, count in scales.items():
        prefix = f"S{scale.removeprefix('1:')}_"
        known = [code for code in pools()["known_codes"] if code.startswith(prefix)]
        fresh = [f"{prefix}{next(digits)}" for _ in range(count - len(known))]
        codes[scale] = rng.sample(known + fresh, count)
    return codes


def _offer(pool: dict, scale: str, rng: random.Random) -> tuple[str, int, Decimal, Decimal]:
    """Return productDescription, quantityInStock, buyPrice, MSRP."""
    first, second = rng.sample(pool["parts"], 2)
    description = f"A {scale} scale model with {first} and {second}."
    scarce = rng.random() < 0.06
    stock = rng.randint(12, 190) if scarce else rng.randint(400, 9990)
    low, high, mode = pool["msrp"]
    msrp = cents(rng.triangular(low, high, mode))
    return description, stock, cents(msrp * rng.randint(40, 70) / 100), msrp


def _with_credit_limit(customers: Rows, orders: Rows, totals: dict[int, Decimal], rng: random.Random) -> Rows:
    """Set the limits still open: about what a customer has bought so far, in full hundreds."""
    bought = Counter()
    for number, *_, customer in orders:
        bought[customer] += totals[number]
    limits = {number: _credit_limit(bought[number], rng.randint(50, 115)) for number, *_ in customers}
    return [(*row[:-1], limits[row[0]] if row[-1] is None else row[-1]) for row in customers]


def _credit_limit(bought: Decimal, percent: int) -> Decimal:
    limit = min(bought * percent / 100, 170_000 + bought / 15)
    return cents(max(limit, Decimal(11_000)).quantize(Decimal("1E2")))
