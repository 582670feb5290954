"""The sample's trade: orders, their lines, and the payments that settle them.

>>> orders(customers, generator(2003, "orders"))[0][:2]
(10100, '2003-01-01')

Volumes grow from January 2003 to May 2005 with a peak every November; two customers are far ahead of the
rest; an order is paid by check within three weeks of its arrival, or not yet. Prices are the list price
less up to 20 %: there are no returns, no seasons in prices and no stock movements behind `quantityInStock`.
"""

import calendar
import itertools
import random
from collections import Counter, defaultdict
from datetime import date, timedelta
from decimal import Decimal

from helpers.sample_pools import cents, pools

FIRST_ORDER, ORDERS, ORDER_LINES, PAYMENTS = 10100, 326, 2996, 273
MONTHS = tuple((2003 + month // 12, month % 12 + 1) for month in range(29))  # January 2003 to May 2005

Rows = list[tuple]


def orders(customers: Rows, rng: random.Random) -> Rows:
    """Draw the orders, numbered by date; only customers whose creditLimit is still None place any."""
    dates = _order_dates(rng)
    statuses = _statuses(rng)
    buyers = _buyers(customers, rng)
    return [
        _order(FIRST_ORDER + place, ordered, *statuses.get(place, ("Shipped", True)), buyer, rng)
        for place, (ordered, buyer) in enumerate(zip(dates, buyers, strict=True))
    ]


def _order(number: int, ordered: date, status: str, left: bool, buyer: int, rng: random.Random) -> tuple:
    required = ordered + timedelta(days=rng.choice((6, 7, 7, 8, 8, 9, 9, 10, 11, 12)))
    late = rng.random() < 0.03
    days = rng.randint(1, 30 if late else 6)
    shipped = (required if late else ordered) + timedelta(days=days)
    remark = rng.random() < {"Shipped": 0.2, "In Process": 0.2}.get(status, 1)
    comments = rng.choice(pools()["comments"][status]) if remark else None
    return number, str(ordered), str(required), str(shipped) if left else None, status, comments, buyer


def _order_dates(rng: random.Random) -> list[date]:
    """Draw dates in order: business grows month by month, with a peak in November and much before it."""
    season = {10: 1.5, 11: 3.2}
    weights = [(6 + 0.25 * place) * season.get(month, 1) for place, (_, month) in enumerate(MONTHS)]
    months = rng.choices(MONTHS, weights, k=ORDERS)
    return sorted(date(*month, rng.randint(1, calendar.monthrange(*month)[1])) for month in months)


def _statuses(rng: random.Random) -> dict[int, tuple[str, bool]]:
    """Return, by place in the run of orders, each status other than Shipped and whether the order left."""
    taken = {}
    for status, pool in pools()["statuses"].items():
        start, end = (round(share * ORDERS) for share in pool["between"])
        free = [place for place in range(start, end) if place not in taken]
        for rank, place in enumerate(rng.sample(free, pool["count"])):
            taken[place] = (status, rank >= pool["unshipped"])
    return taken


def _buyers(customers: Rows, rng: random.Random) -> list[int]:
    """Draw each order's customer: the top customers' share, one or two for any other, the rest by chance."""
    tops, known = pools()["top_customers"], {*pools()["known_customers"], *pools()["known_customer_numbers"]}
    bag, others = [], []
    for number, name, *_, limit in customers:
        if name in tops:
            bag += [number] * tops[name]
        elif limit is None:
            bag += [number] * (2 if known & {number, name} else rng.choice((1, 1, 2, 2, 2)))
            others.append(number)
    weights = [rng.triangular(0.2, 2.4, 0.8) for _ in others]
    bag += rng.choices(others, weights, k=ORDERS - len(bag))
    return rng.sample(bag, len(bag))


def orderdetails(orders: Rows, products: Rows, rng: random.Random) -> Rows:
    """Draw the lines of each order: some products sell three times as well as others, one never does."""
    prices = {row[0]: row[-1] for row in products if row[1] != pools()["never_ordered"]}
    codes = list(prices)
    weights = list(itertools.accumulate(rng.triangular(0.5, 1.8, 0.9) for _ in codes))
    details = []
    for order, size in zip(orders, _sizes(rng), strict=True):
        picked = {}
        while len(picked) < size:
            picked.setdefault(*rng.choices(codes, cum_weights=weights), len(picked) + 1)
        details += [_line(order[0], code, picked[code], prices[code], rng) for code in picked]
    return sorted(details)


def _sizes(rng: random.Random) -> list[int]:
    """Return how many lines each order has, 1 to 18, ORDER_LINES in all."""
    sizes = [rng.randint(1, 18) for _ in range(ORDERS)]
    while gap := ORDER_LINES - sum(sizes):
        place, step = rng.randrange(ORDERS), 1 if gap > 0 else -1
        if 1 <= sizes[place] + step <= 18:
            sizes[place] += step
    return sizes


def _line(order: int, code: str, number: int, msrp: Decimal, rng: random.Random) -> tuple:
    return order, code, _quantity(rng), cents(msrp * rng.randint(80, 100) / 100), number


def _quantity(rng: random.Random) -> int:
    tail = rng.random()
    low, high = (6, 19) if tail < 0.015 else (51, 97) if tail > 0.97 else (20, 50)
    return rng.randint(low, high)


def totals(details: Rows) -> dict[int, Decimal]:
    """Return what each order is worth."""
    worth = defaultdict(Decimal)
    for order, _, quantity, price, _ in details:
        worth[order] += quantity * price
    return worth


def payments(customers: Rows, orders: Rows, totals: dict[int, Decimal], rng: random.Random) -> Rows:
    """Settle orders that arrived: one check each, or for two at once by top customers; a few cover only half.

    The newest orders and some others are unpaid; every customer has settled one, unless none has arrived.
    """
    due = _due(customers, orders)
    left = Counter(buyer for _, buyer, _ in due)
    unpaid = set()
    for number, buyer, _ in [*due[-4:], *rng.sample(due, len(due))]:
        if len(due) - len(unpaid) > PAYMENTS and number not in unpaid and left[buyer] > 1:
            unpaid.add(number)
            left[buyer] -= 1
    paid = [check for check in due if check[0] not in unpaid]
    return sorted(_payment(buyer, settled, totals, rng) for _, buyer, settled in paid)


def _due(customers: Rows, orders: Rows) -> list[tuple[int, int, Rows]]:
    """Return the checks one may expect: the last order number, the customer, and the orders it settles."""
    tops = {row[0] for row in customers if row[1] in pools()["top_customers"]}
    arrived = defaultdict(list)
    for order in orders:
        if order[4] in ("Shipped", "Resolved"):
            arrived[order[-1]].append(order)
    due = []
    for buyer, bought in arrived.items():
        size = 2 if buyer in tops else 1
        batches = [bought[start:start + size] for start in range(0, len(bought), size)]
        due += [(batch[-1][0], buyer, batch) for batch in batches]
    return sorted(due)


def _payment(buyer: int, settled: Rows, totals: dict[int, Decimal], rng: random.Random) -> tuple:
    check = "".join(rng.choice("ABCDEFGHJKLMNPRSTUVW") for _ in "xx") + str(rng.randint(10_000, 999_999))
    paid = date.fromisoformat(max(order[3] for order in settled)) + timedelta(days=rng.randint(2, 18))
    amount = sum(totals[order[0]] for order in settled)
    return buyer, check, str(paid), cents(amount / 2 if rng.random() < 0.06 else amount)
