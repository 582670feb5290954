"""What a question's words ask for: an order, a number of rows, a key, each thing once, a column.

    asks_for_order("Names of the pets, oldest first?")            # True
    asks_for_limit("Which three pets are heaviest?", 3)           # True
    unexplained(["name", "weight"], "What are the pets called?")  # ["weight"]

Lists of English words, and nothing more: a question can ask in words that are not here, and use these words without
asking. Whoever reads the answers treats them so. Knows no SQL and no schema.
"""

import re
from collections.abc import Iterable

_KEY_WORDS = {
    "number": r"numbers?|nos?\b|nr|ids?|identifiers?",
    "code": r"codes?|ids?|identifiers?|skus?",
    "id": r"ids?|identifiers?|numbers?|nos?\b|codes?",
}
_KEY_KIND = {"no": "number", "nr": "number", "num": "number", "key": "id", "uuid": "id", "guid": "id"}
_COUNTED = re.compile(r"\bnumber of (?!(the|each|every|that|any|an?|all)\b)")

_NO_ORDER = re.compile(
    r"\b(first|last)([,/ ]+(and|or|&) |[ /,]+)?((first|last)[ -]?)?(names?|week|month|day|year)|at (least|most)\b|"
    r"\b(rest|request|west|interest|guest|budapest|test|contest|harvest)\b"
)
_ORDER = re.compile(
    r"\b(sort|rank|ascending|descending|asc\b|desc\b|alphabetic|chronolog|first|last\b|top|bottom|most|least|sequence|"
    r"timeline|ordere?d (by|from)|order (by|of)|best|worst|runner|running|cumulative|arrange|then by|\w{3,}est\b|"
    r"a[- ]?(to[- ]|-)z|(high|low|small|large|big|old|new|young)\w* to |down to|(up|down)wards|(de|in)creasing|"
    r"(in|by) ([\w'-]+ ){0,4}order\b(?! *#?\d)|\w+ order[,.;:?]?$|\w+ order[,;:])"
)
_ONE = re.compile(
    r"\b(most|least|top|best|worst|runner|first|last|single|max\w*|min\w*|second|third|fourth|\d+(st|nd|rd|th)|\w{3,}est)\b"
)
_EACH_ONCE = re.compile(
    r"\b(once|distinct|different|uniq|repeat|duplicat|which|what|who|where|all|every|each|list|are there|do we)"
)
_NUMBERS = dict(enumerate("one two three four five six seven eight nine ten eleven twelve".split(), 1))
_NUMBERS |= {15: "fifteen", 20: "twenty", 25: "twenty-five", 30: "thirty", 50: "fifty", 100: "hundred"}

# What else people say for the words of a column's name.
_SYNONYMS = {
    "amount": "pay how-much money sum", "average": "mean avg typical", "balance": "owe difference minus less",
    "city": "where cities", "code": "id sku", "markup": "ratio margin", "msrp": "retail list-price",
    "position": "place first running number",
    "profit": "earn margin difference minus gain", "revenue": "sales turnover income sold value",
    "count": "how-many number how-often quantity", "country": "where", "date": "when day", "days": "long",
    "email": "e-mail mail", "first": "earliest name who", "last": "latest name surname who", "longest": "max",
    "name": "who call title", "number": "no. # id", "paid": "pay spen", "percentage": "percent share % rate",
    "phone": "call telephone", "price": "cost charge pay msrp", "quantity": "how-many units pieces",
    "rank": "place position", "state": "where", "sum": "total how-much", "title": "called named",
    "total": "sum all overall how-much how-many worth value money amount", "units": "pieces how-many sold quantit",
    "value": "worth sales revenue how-much turnover", "year": "when",
}  # fmt: skip


def words(name: str) -> list[str]:
    """Split a column's or an alias's name into its words, in lower case."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]


def key_kind(name: str) -> str:
    """Return number, code or id for a name that ends in such a word, otherwise nothing."""
    last = words(name)[-1] if words(name) else ""
    kind = _KEY_KIND.get(last, last)
    return kind if kind in _KEY_WORDS else ""


def asks_for_key(question: str, name: str, *, counting: bool) -> bool:
    """Tell whether a question asks for a key, by its kind or its own words; `counting`: "number of" is a count."""
    said = _COUNTED.sub("count of ", question.lower()) if counting else question.lower()
    kind = key_kind(name)
    if kind:
        return "#" in said or re.search(rf"\b({_KEY_WORDS[kind]})\b", said) is not None
    return any(word[:6] in said for word in words(name) if len(word) > 3)


def asks_for_order(question: str) -> bool:
    """Tell whether a question asks for its answer in some order, or for the first or last in one."""
    return _ORDER.search(_NO_ORDER.sub(" ", question.lower())) is not None


def asks_for_limit(question: str, count: int) -> bool:
    """Tell whether a question asks for that many rows, in digits or words; for one, a superlative is enough."""
    said = re.search(rf"\b({count}|{_NUMBERS.get(count, count)})\b", question.lower())
    return said is not None or (count == 1 and _ONE.search(question.lower()) is not None)


def asks_for_each_once(question: str) -> bool:
    """Tell whether a question can mean each thing once."""
    return _EACH_ONCE.search(question.lower()) is not None


def unexplained(names: Iterable[str], question: str) -> list[str]:
    """Return the names, after the first, of which no word nor what else people say for it is in the question."""
    said = re.sub(r"\b(how|list) (many|much|often|price)", r"\1-\2", question.lower())
    return [name for name in list(names)[1:] if not any(clue in said for word in words(name) for clue in _clues(word))]


def _clues(word: str) -> tuple[str, ...]:
    return word[:4], *_SYNONYMS.get(word, "").split()
