"""Which training examples a prompt shows: the same for all questions, random ones, or the most similar.

>>> choices = choose(train, test, database, policy="similar", k=3, seed=7)
>>> [(e.nlq, e.sql) for e in choices[0].exemplars], choices[0].similarity
>>> conversations = [prompts.conversation(c, e.nlq) for c, e in zip(contexts(shared, choices), test, strict=True)]

`similar` is DAIL-SQL's selection (Gao et al. 2023, "Text-to-SQL Empowered by Large Language Models"): questions are
compared with names and values masked, and those whose SQL skeleton is like that of a preliminary answer come first.
Gao et al. let a model write that answer; here it is guessed from the question alone, as the skeleton that the nearest
training questions agree on. So a base model and a tuned one see the same prompts, and a small model's wrong first pass
misleads nobody. A gold is looked at for one thing only, to refuse exemplars that share its template; it chooses none.

Refused are also questions nearly the same as the one asked. Which exemplars help a model is not known here.
"""

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from rapidfuzz import fuzz, process

from helpers import masking, similarity, sql
from helpers.database import Database
from helpers.dataset import DatasetError, Example
from helpers.journal import to_line
from helpers.leakage import RATIO
from helpers.runs import Run

if TYPE_CHECKING:
    from helpers.prompts import Context  # which shows what is chosen here

NEIGHBOURS = 10  # training questions that agree on a preliminary skeleton
GRADES = ("easy", "medium", "hard", "extra")
ALIKE = 0.85  # similarity from which a skeleton counts as like another, by DAIL-SQL's own setting


@dataclass(frozen=True)
class Choice:
    """What one question is shown, and why: `similarity` is that of the masked questions, an exemplar each."""

    example: Example
    policy: str
    exemplars: tuple[Example, ...] = ()
    similarity: tuple[float, ...] = ()
    refused: int = 0


def choose(pool: Sequence[Example], examples: Sequence[Example], database: Database, *, policy: str = "fixed", k: int,
           seed: int, same_template: bool = False) -> list[Choice]:
    """Choose k exemplars of different templates for every example, the most similar one last, next to the question.

    `random` depends on seed, question and pool, `similar` on question and pool, neither on the other examples. Raises
    DatasetError if fewer than k qualify.
    """
    if not k:
        return [Choice(example, policy) for example in examples]
    near = _near(pool, examples)
    refused = near if same_template else near | _of_their_templates(pool, examples)
    alike = _similarities(pool, examples, database)
    if policy == "fixed":
        refused[:] = refused.any(axis=0)
        orders = [_fixed(pool, examples, near, k, seed, same_template)] * len(examples)
    elif policy == "random":
        orders = [_random(pool, no, k, f"{seed}/{e.nlq}") for e, no in zip(examples, refused, strict=True)]
    elif policy == "similar":
        skeletons = [sql.skeleton(e.sql) for e in pool]
        orders = [_similar(pool, no, k, row, skeletons) for row, no in zip(alike, refused, strict=True)]
    else:
        raise ValueError(f"policy is fixed, random or similar, not {policy!r}.")
    return [
        Choice(example, policy, tuple(pool[i] for i in order), tuple(row[order].round(3).tolist()), int(no.sum()))
        for example, order, row, no in zip(examples, orders, alike, refused, strict=True)
    ]


def fixed(pool: Sequence[Example], *, k: int, seed: int, answered: Iterable[Example] = (),
          same_template: bool = False) -> tuple[Example, ...]:
    """Choose k exemplars for all questions of a run, of k different templates and of mixed difficulty.

    None shares its template, unless `same_template`, or its words with the questions to be `answered`. Raises
    DatasetError if the pool holds fewer than k that qualify.
    """
    examples = list(answered)
    return tuple(pool[i] for i in _fixed(pool, examples, _near(pool, examples), k, seed, same_template))


def contexts(context: "Context", choices: Iterable[Choice]) -> list["Context"]:
    """Return the context of each question: what all share, with the exemplars chosen for it."""
    return [replace(context, exemplars=choice.exemplars) for choice in choices]


def audit(run: Run, choices: Iterable[Choice]) -> list[dict]:
    """Write exemplar_audit.jsonl into the run folder, a row a question, and return its rows."""
    rows = [
        {
            "example_id": choice.example.id,
            "policy": choice.policy,
            "exemplars": [exemplar.id for exemplar in choice.exemplars],
            "similarity": list(choice.similarity),
            "shares_template": [sql.template(e.sql) in _templates(choice.example) for e in choice.exemplars],
            "refused": choice.refused,
        }
        for choice in choices
    ]
    run.write("exemplar_audit.jsonl", "".join(map(to_line, rows)))
    return rows


def _near(pool: Sequence[Example], examples: Sequence[Example]) -> np.ndarray:
    """Tell for every example, (examples, pool), which of the pool asks nearly the same."""
    if not examples:
        return np.zeros((0, len(pool)), dtype=bool)
    texts = [[" ".join(e.nlq.casefold().split()) for e in part] for part in (examples, pool)]
    return process.cdist(*texts, scorer=fuzz.ratio, score_cutoff=RATIO, dtype=np.uint8) > 0


def _of_their_templates(pool: Sequence[Example], examples: Sequence[Example]) -> np.ndarray:
    """Tell for every example, (examples, pool), which of the pool share its template."""
    templates = [sql.template(e.sql) for e in pool]
    shared = [[template in gold for template in templates] for gold in map(_templates, examples)]
    return np.array(shared, dtype=bool).reshape(len(examples), len(pool))


def _templates(example: Example) -> set[str]:
    return {sql.template(statement) for statement in (example.sql, *example.alternatives)}


def _similarities(pool: Sequence[Example], examples: Sequence[Example], database: Database) -> np.ndarray:
    known = masking.vocabulary(database)
    return similarity.questions(*([masking.mask(e.nlq, known) for e in part] for part in (examples, pool)))


def _fixed(pool: Sequence[Example], examples: Sequence[Example], near: np.ndarray, k: int, seed: int,
           same_template: bool) -> list[int]:
    """Take from the difficulties in turn what no example refuses; a statement is parsed once it is a candidate."""
    order = np.flatnonzero(~near.any(axis=0)).tolist()
    random.Random(seed).shuffle(order)
    seen = set() if same_template else set().union(*map(_templates, examples))
    grades = [*GRADES, *sorted({e.difficulty for e in pool}.difference(GRADES))]
    queues = [iter([i for i in order if pool[i].difficulty == grade]) for grade in grades]
    chosen: dict[str, int] = {}
    while queues and len(chosen) < k:
        queue = queues.pop(0)
        for i in queue:
            template = sql.template(pool[i].sql)
            if template not in seen:
                seen.add(template)
                chosen[template] = i
                queues.append(queue)
                break
    return _enough(chosen, k)


def _random(pool: Sequence[Example], refused: np.ndarray, k: int, seed: str) -> list[int]:
    order = [i for i in range(len(pool)) if not refused[i]]
    random.Random(seed).shuffle(order)
    return _of_different_templates(pool, order, k)[:k]


def _similar(pool: Sequence[Example], refused: np.ndarray, k: int, alike: np.ndarray,
             skeletons: Sequence[str]) -> list[int]:
    """Order by likeness of skeleton to the preliminary one, then by that of the question; the most similar last."""
    order = [i for i in np.argsort(-alike, kind="stable").tolist() if not refused[i]]
    votes: dict[str, float] = defaultdict(float)
    for i in order[:NEIGHBOURS]:
        votes[skeletons[i]] += alike[i]
    preliminary = max(votes, key=votes.__getitem__, default="")
    order.sort(key=lambda i: similarity.skeletons(preliminary, skeletons[i]) < ALIKE)
    return _of_different_templates(pool, order, k)[:k][::-1]


def _of_different_templates(pool: Sequence[Example], order: Sequence[int], k: int) -> list[int]:
    """Keep the first of each template, in order."""
    first: dict[str, int] = {}
    for i in order:
        first.setdefault(sql.template(pool[i].sql), i)
    return _enough(first, k)


def _enough(by_template: dict[str, int], k: int) -> list[int]:
    if len(by_template) < k:
        raise DatasetError(
            f"The training split has {len(by_template)} templates that may be shown, fewer than k = {k}: "
            "lower k or add training examples."
        )
    return list(by_template.values())
