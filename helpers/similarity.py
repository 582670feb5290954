"""How alike questions are by their words, and statements by their skeletons.

>>> questions(["how many <name> are <value> ?"], ["count the <name>", "how many <name> have <value> ?"]).round(1)
array([[0.1, 0.9]])
>>> skeletons("SELECT COUNT(*) FROM _", "SELECT COUNT(*) FROM _ WHERE _ = _")
0.66…

Questions: the cosine of TF-IDF vectors over words and pairs of neighbouring words. Skeletons: the normalised indel
similarity over their words. Both are between 0 and 1. Two words of one meaning are two words here.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from rapidfuzz import fuzz


def questions(asked: Sequence[str], pool: Sequence[str]) -> np.ndarray:
    """Return the similarity of every question asked to every one of the pool, (asked, pool).

    Words weigh by their rarity in the pool alone, so a question's row depends on no other question asked.
    """
    found = Counter(term for text in pool for term in set(_terms(text)))
    terms = {term: number for number, term in enumerate(found)}
    rarity = np.log((1 + len(pool)) / (1 + np.array([*found.values()], dtype=float))) + 1
    return (_vectors(asked, terms, rarity) @ _vectors(pool, terms, rarity).T).toarray()


@lru_cache(maxsize=100_000)
def skeletons(one: str, other: str) -> float:
    """Return how alike two skeletons are, as `sql.skeleton` writes them."""
    return fuzz.ratio(one.split(), other.split()) / 100


def _vectors(texts: Sequence[str], terms: dict[str, int], rarity: np.ndarray):
    """Return a sparse row of unit length for each text; the terms the pool does not have are left out."""
    from scipy.sparse import csr_array, diags_array

    cells = [(row, terms[term]) for row, text in enumerate(texts) for term in _terms(text) if term in terms]
    rows, columns = zip(*cells, strict=True) if cells else ((), ())
    counted = csr_array((np.ones(len(cells)), (rows, columns)), shape=(len(texts), len(terms)))
    weighed = counted @ diags_array(rarity)
    lengths = np.sqrt(weighed.multiply(weighed).sum(axis=1))
    return diags_array(1 / np.where(lengths > 0, lengths, 1)) @ weighed


def _terms(text: str) -> Iterator[str]:
    words = text.split()
    yield from words
    yield from map(" ".join, zip(words, words[1:], strict=False))
