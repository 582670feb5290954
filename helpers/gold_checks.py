"""What executing the golds tells about them: do they run, differ, hang on a tie, pass as their own answer?

    golds = execute({"test": examples}, database)
    [finding.sentence for finding in tied(golds, database)]
    # ["test: golds that cut a tie at LIMIT: 1 (t7). A right answer may hold other rows: end ORDER BY with a key."]

Every check takes the executed golds and yields findings. A tie is proved by `expected`, which runs the statement once
more without its LIMIT; a LIMIT inside a subquery is tried by itself, and passed over where it refers to the outside.
What is found holds for the rows of this database; other rows may tie where these do not.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp

from helpers import evaluate
from helpers.comparison import CONVENTIONS, Expected
from helpers.database import Database, Result
from helpers.dataset import Example
from helpers.diagnosis import Finding, about
from helpers.expected import GoldFailed, expect
from helpers.judge import is_informative
from helpers.matching import plain
from helpers.runs import Prediction
from helpers.sql import parse

POOLS = ("train", "exemplars")  # splits that are learnt from, not scored
CONSTANT_SHARE = 0.02
VACUOUS_SHARE = {"scored": 0.03, "learnt": 0.10}


@dataclass(frozen=True)
class Gold:
    """An example's executed gold; `allowed` is all it accepts, None where it fails."""

    split: str
    example: Example
    result: Result
    allowed: Expected | None


def execute(splits: Mapping[str, Sequence[Example]], database: Database) -> list[Gold]:
    """Execute every gold; one that fails is kept with its error."""
    return [_gold(name, example, database) for name, examples in splits.items() for example in examples]


def _gold(split: str, example: Example, database: Database) -> Gold:
    result = database.execute(example.sql)
    return Gold(split, example, result, None if result.error else expect(example.sql, database))


def by_split(golds: Sequence[Gold]) -> dict[str, list[Gold]]:
    """Group golds by split, in the order of the splits."""
    groups: dict[str, list[Gold]] = {}
    for gold in golds:
        groups.setdefault(gold.split, []).append(gold)
    return groups


def failing(golds: Sequence[Gold], database: Database) -> Iterator[Finding]:
    """Golds, and alternatives, that do not run."""
    for split, part in by_split(golds).items():
        said = [(g.example.id, g.result.error) for g in part]
        said += [(g.example.id, database.execute(other).error) for g in part for other in g.example.alternatives]
        wrong = [(item, error) for item, error in said if error]
        if wrong:
            yield about("error", "gold_fails", split, [item for item, _ in wrong], "golds that fail, or an alternative",
                        f"The first says: {wrong[0][1].rstrip('.')}.")  # fmt: skip


def truncated(golds: Sequence[Gold], database: Database) -> Iterator[Finding]:
    """Golds that hit the row cap, which count as wrong whatever is predicted."""
    for split, part in by_split(golds).items():
        ids = [g.example.id for g in part if g.result.truncated]
        if ids:
            yield about("error", "gold_truncated", split, ids,
                        "golds with more rows than the row cap", "Raise max_rows or drop them.")  # fmt: skip


def tied(golds: Sequence[Gold], database: Database) -> Iterator[Finding]:
    """Golds whose LIMIT keeps some of several rows that tie."""
    for split, part in by_split(golds).items():
        ids = [g.example.id for g in part if g.allowed is not None and cuts_a_tie(g, database)]
        if ids:
            yield about("error", "tie_under_limit", split, ids,
                        "golds that cut a tie at LIMIT",
                        "A right answer may hold other rows: end ORDER BY with a key.")  # fmt: skip


def cuts_a_tie(gold: Gold, database: Database) -> bool:
    """Tell whether a LIMIT of the gold, outermost or in a subquery, cuts between rows that tie."""
    if gold.allowed.spare:
        return True
    for statement in _limited_subqueries(gold.example.sql):
        try:
            if expect(statement, database).spare:
                return True
        except GoldFailed:  # it refers to the query around it
            continue
    return False


def _limited_subqueries(sql: str) -> list[str]:
    tree = parse(sql)
    if tree is None:
        return []
    queries = [limit.parent for limit in tree.find_all(exp.Limit) if isinstance(limit.parent, exp.Query)]
    return [_standing_alone(query, tree) for query in queries if query is not tree]


def _standing_alone(query: exp.Query, tree: exp.Expression) -> str:
    """Write a subquery as a statement, after the common table expressions that come before it."""
    clause, copy = tree.args.get("with_"), query.copy()
    if clause is not None and not copy.args.get("with_"):
        owner = query.find_ancestor(exp.CTE)
        names = [cte.alias for cte in clause.expressions]
        before = names.index(owner.alias) if owner is not None and owner.alias in names else len(names)
        if before:
            copy.set("with_", exp.With(expressions=[cte.copy() for cte in clause.expressions[:before]]))
    return copy.sql(dialect="mysql")


def vacuous(golds: Sequence[Gold], database: Database) -> Iterator[Finding]:
    """Splits with many golds whose result is empty, all NULL or a single 0."""
    for split, part in by_split(golds).items():
        ids = [g.example.id for g in part if is_vacuous(g)]
        most = VACUOUS_SHARE["learnt" if split in POOLS else "scored"]
        if ids:
            level = "warning" if len(ids) > most * len(part) else "note"
            yield about(level, "vacuous", split, ids,
                        "golds that return nothing, NULL or a single 0",
                        f"They are {len(ids) / len(part):.1%} of the split and tell little.")  # fmt: skip


def is_vacuous(gold: Gold) -> bool:
    """Tell whether a gold runs and its result says nothing."""
    return not gold.result.error and not is_informative(gold.result.rows)


def constant(golds: Sequence[Gold], database: Database) -> Iterator[Finding]:
    """Splits in which one constant answer is right more often than in 2 % of the items."""
    for split, part in by_split(golds).items():
        shown, ids = best_constant(part)
        if split not in POOLS and len(ids) > max(1, CONSTANT_SHARE * len(part)):
            yield about("warning", "constant_baseline", split, ids,
                        f"golds whose result is {shown}",
                        f"A model that always answers so scores {len(ids) / len(part):.1%}.")  # fmt: skip


def best_constant(golds: Sequence[Gold]) -> tuple[str, list[str]]:
    """Return the result that is most often the gold's, as text, and the ids of the examples it answers."""
    groups = defaultdict(list)
    for gold in golds:
        if not gold.result.error:
            groups[content(gold.result)].append(gold)
    best = max(groups.values(), key=len, default=[])
    rows = [tuple(map(plain, row)) for row in best[0].result.rows[:1]] if best else []
    return (str(rows[0]) if rows else "no rows"), [gold.example.id for gold in best]


def content(result: Result) -> tuple:
    """Return what two results share that are equal whatever the order of their rows and columns; hashable."""
    rows = [tuple(_rounded(value) for value in row) for row in result.rows]
    columns = sorted(range(len(result.columns)), key=lambda at: sorted(repr(row[at]) for row in rows))
    return len(result.columns), frozenset(Counter(tuple(row[at] for at in columns) for row in rows).items())


def _rounded(value):
    value = plain(value)
    return float(f"{value:.6g}") if isinstance(value, float) else value


def not_its_own_answer(golds: Sequence[Gold], database: Database) -> Iterator[Finding]:
    """Golds that, given as predictions, are not right under every convention."""
    for split, part in by_split(golds).items():
        examples = [g.example for g in part if not g.result.error]
        if split in POOLS or not examples:
            continue
        try:
            verdicts = evaluate.score(examples, [Prediction(e.id, sql=e.sql) for e in examples], database)
        except GoldFailed:  # an alternative fails, which `failing` reports
            continue
        for convention in ("va", *CONVENTIONS):
            ids = [verdict.example_id for verdict in verdicts if not getattr(verdict, convention)]
            if ids:
                yield about("error", "gold_as_prediction", split, ids,
                            f"golds that are wrong under {convention} as their own prediction",
                            "No prediction can be right: mend or drop them.")  # fmt: skip


CHECKS = (failing, truncated, tied, not_its_own_answer, constant, vacuous)


def table(golds: Sequence[Gold]) -> list[dict]:
    """Return one row a split: how many golds run, distinct results, the best constant answer, vacuous golds."""
    rows = []
    for split, part in by_split(golds).items():
        shown, ids = best_constant(part)
        rows.append({
            "split": split,
            "golds": len(part),
            "running": sum(not g.result.error for g in part),
            "distinct results": len({content(g.result) for g in part if not g.result.error}),
            "best constant": shown[:60],
            "constant baseline": round(len(ids) / len(part), 4),
            "vacuous": round(sum(map(is_vacuous, part)) / len(part), 4),
        })  # fmt: skip
    return rows
