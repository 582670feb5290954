"""Score predictions against examples on a database: one verdict an example, under every convention.

    python -m helpers.evaluate --examples test.jsonl --predictions FILE --database sample --out DIR
    # DIR/verdicts.jsonl: {"example_id": "t001", "va": true, "ex": false, ..., "error_class": "extra column"}
    # DIR/metrics.json:   {"n": 200, "va": 0.93, "ex": 0.61, "ts": 0.55, ...}

Every example gets a verdict: a prediction that is missing, empty or failing is wrong, never left out. Each
distinct statement is run once a database. TS is asked only of what EX accepts, variant by variant, and stops
at the first refusal.

Not known here: models, and how a prediction came about. A statement whose result changes between runs
(RAND(), NOW() outside the embedded engine) gets the verdict of the run that was made.
"""

import argparse
import json
import logging
import sys
import threading
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from helpers import dataset, journal
from helpers.comparison import CONVENTIONS, same_result
from helpers.database import Database, DatabaseError, connect
from helpers.dataset import Example
from helpers.expected import GoldFailed
from helpers.journal import Prediction, RunError, to_line
from helpers.judge import Verdict, judge_all
from helpers.metrics import summarise

__all__ = ["CONVENTIONS", "EvaluationError", "GoldFailed", "Verdict", "same_result", "score", "summarise"]

log = logging.getLogger(__name__)


class EvaluationError(ValueError):
    """Predictions that do not belong to the examples; names the ids."""


def score(
    examples: Sequence[Example],
    predictions: Iterable[Prediction],
    database: Database,
    *,
    suite: Sequence[Database] | None = None,
    jobs: int = 1,
) -> list[Verdict]:
    """Return one verdict an example, in the order of the examples.

    With `jobs` above 1 joblib spreads the examples over workers that connect to the databases' sources again,
    with default limits; `joblib.parallel_config` chooses another backend than local processes. Raises
    EvaluationError for a prediction of an unknown example or two of one, GoldFailed for a gold that fails.
    """
    by_id = _assign(examples, predictions)
    asked = [(example, by_id[example.id].sql.strip() if example.id in by_id else "") for example in examples]
    if jobs == 1:
        outcomes = judge_all(asked, database, suite)
    else:
        outcomes = _spread(asked, database, suite, jobs)
    return [
        _named(outcome, example, by_id.get(example.id)) for outcome, example in zip(outcomes, examples, strict=True)
    ]


def _assign(examples: Sequence[Example], predictions: Iterable[Prediction]) -> dict[str, Prediction]:
    predictions = list(predictions)
    by_id = {prediction.example_id: prediction for prediction in predictions}
    ids = [example.id for example in examples]
    unknown = sorted(by_id.keys() - set(ids))
    if unknown:
        raise EvaluationError(f"No such example: {_listed(unknown)}; are these predictions for other examples?")
    if len(by_id) < len(predictions):
        seen: set[str] = set()
        twice = sorted({p.example_id for p in predictions if p.example_id in seen or seen.add(p.example_id)})
        raise EvaluationError(f"More than one prediction for {_listed(twice)}; keep one line an example.")
    missing = [name for name in ids if name not in by_id]
    if missing:
        log.warning("No prediction for %s; counted as wrong.", _listed(missing))
    return by_id


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def _named(outcome: Verdict, example: Example, prediction: Prediction | None) -> Verdict:
    """Put an example's and its prediction's names on the outcome of its statement."""
    fields = vars(outcome) | {"example_id": example.id}
    if prediction is None:
        return Verdict(
            **fields
            | {
                "error_code": "missing",
                "error": "There is no prediction.",
                "flags": ("missing", *outcome.flags),
            }
        )
    return Verdict(**fields | {"method": prediction.method, "model": prediction.model})


def _spread(asked: list, database: Database, suite: Sequence[Database] | None, jobs: int) -> list[Verdict]:
    from joblib import Parallel, delayed

    size = max(1, len(asked) // (8 * abs(jobs)))
    chunks = [asked[at : at + size] for at in range(0, len(asked), size)]
    sources = None if suite is None else [variant.source for variant in suite]
    done = Parallel(n_jobs=jobs)(delayed(_judge_elsewhere)(chunk, database.source, sources) for chunk in chunks)
    return [outcome for part in done for outcome in part]


_OPENED = threading.local()  # an engine serves one thread, and joblib's backend may be threads


def _judge_elsewhere(asked: list, source: str, suite: Sequence[str] | None) -> list[Verdict]:
    """Judge a chunk in a worker, which keeps its connections for the next chunk."""
    return judge_all(asked, _opened(source), None if suite is None else [_opened(name) for name in suite])


def _opened(source: str) -> Database:
    kept = _OPENED.__dict__
    if source not in kept:
        kept[source] = connect(source)
    return kept[source]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 2 and one sentence on stderr for a mistake in what was given."""
    parser = argparse.ArgumentParser(prog="python -m helpers.evaluate", description=__doc__.partition("\n")[0])
    parser.add_argument("--examples", type=Path, required=True, help="questions with gold SQL, JSON or JSON lines")
    parser.add_argument("--predictions", type=Path, required=True, help="predictions.jsonl, or a run folder")
    parser.add_argument("--database", required=True, help="a source: sample, sqlite:///FILE, dump:PATH, cloudsql ...")
    parser.add_argument("--out", type=Path, required=True, help="folder for verdicts.jsonl and metrics.json")
    parser.add_argument("--testsuite", type=Path, help="folder written by python -m helpers.testsuite")
    parser.add_argument("--jobs", type=int, default=1, help="worker processes (joblib)")
    given = parser.parse_args(arguments)
    logging.basicConfig(format="%(message)s")
    try:
        metrics = _evaluate(given)
    except (dataset.DatasetError, RunError, EvaluationError, GoldFailed, DatabaseError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    for name in ("n", "va", *CONVENTIONS, "ts", "ex_informative"):
        if metrics[name] is not None:
            print(f"{name:15} {metrics[name]:.3f}" if name != "n" else f"{name:15} {metrics[name]}")
    return 0


def _evaluate(given: argparse.Namespace) -> dict:
    from helpers import testsuite

    examples, predictions = dataset.load(given.examples), journal.predictions(given.predictions)
    suite = None if given.testsuite is None else testsuite.load(given.testsuite)
    with connect(given.database) as database:
        verdicts = score(examples, predictions, database, suite=suite, jobs=given.jobs)
    metrics = summarise(verdicts, examples, predictions)
    given.out.mkdir(parents=True, exist_ok=True)
    journal.replace_file(given.out / "verdicts.jsonl", "".join(to_line(asdict(verdict)) for verdict in verdicts))
    journal.replace_file(given.out / "metrics.json", json.dumps(metrics, indent=2, ensure_ascii=False) + "\n")
    return metrics


if __name__ == "__main__":
    sys.exit(main())
