"""The benchmark doctor: what is wrong with a set of questions, before a model is blamed for it.

    diagnosis = examine({"train": train, "test": test}, database)
    [finding.sentence for finding in diagnosis.at("error")]
    # ["test: golds that cut a tie at LIMIT: 1 (t7). A right answer may hold other rows: end ORDER BY with a key."]

    python -m helpers.audit --examples questions.jsonl --train train.jsonl --database sample --out DIR
    python -m helpers.audit --card data/classicmodels       # writes the data card, README.md

The checks stand in rooms of their own: `gold_checks` (results), `leakage` (overlap), `split_style` (divergence),
`house_style` (syntax). Exit status: 1 if something makes a score wrong (a gold that fails, leakage, a tie under LIMIT,
chance), 2 for a mistake in what was given, else 0. Splits named train and exemplars are learnt from, others are scored.
Whether a gold answers its question is for people to read.
"""

import argparse
import csv
import json
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

from helpers import data_card, dataset, gold_checks, house_style, leakage, split_style
from helpers.database import Database, DatabaseError, connect
from helpers.dataset import Example
from helpers.diagnosis import LEVELS, Diagnosis, Finding, about
from helpers.schema import Schema

__all__ = ["Diagnosis", "Finding", "examine", "stop_on_errors", "write"]

Splits = Mapping[str, Sequence[Example]]
LEARNT_FIRST = ("train", "exemplars", "dev")

# How grave a breach of the house style is for a score; the others are matters of taste to a stranger's file.
GRAVE = {"clock_or_chance": "error"}


def examine(splits: Splits, database: Database) -> Diagnosis:
    """Examine splits by name against the database their golds are for; a gold that fails is a finding.

    The tables are `splits`, `results`, `leakage`, `style` and `features`. Raises DatasetError if all splits are empty.
    """
    splits = {name: list(splits[name]) for name in sorted(splits, key=_rank) if splits[name]}
    if not splits:
        raise dataset.DatasetError("There are no questions to examine: give at least one split that is not empty.")
    golds = gold_checks.execute(splits, database)
    alike = leakage.pairs(splits)
    templates = split_style.templates(splits)
    style, features = split_style.style(splits, database.schema), split_style.features(splits)
    findings = chain(
        *(check(golds, database) for check in gold_checks.CHECKS),
        leakage.findings(alike),
        breaches(splits, database.schema),
        split_style.crowded(templates, gold_checks.POOLS),
        split_style.divergence(style, features),
    )
    tables = {
        "splits": templates,
        "results": gold_checks.table(golds),
        "leakage": leakage.table(leakage.across(alike)),
        "style": split_style.side_by_side("trait", style),
        "features": split_style.side_by_side("feature", features),
    }
    return Diagnosis(tuple(sorted(findings, key=lambda finding: LEVELS.index(finding.level))), tables)


def _rank(name: str) -> int:
    """Put what is learnt from first, so that a leak is told of the split that is scored."""
    return LEARNT_FIRST.index(name) if name in LEARNT_FIRST else len(LEARNT_FIRST)


def breaches(splits: Splits, schema: Schema) -> Iterator[Finding]:
    """Yield one finding for each rule of the house style that a split's golds break."""
    for name, examples in splits.items():
        found: dict[str, list[house_style.Violation]] = {}
        for violation in house_style.lint(examples, schema):
            found.setdefault(violation.rule, []).append(violation)
        for rule, violations in found.items():
            level = GRAVE.get(rule, "warning" if violations[0].level == "error" else "note")
            first = violations[0]
            yield about(level, rule, name, [v.item for v in violations], f"golds against the rule {rule}",
                        f"{first.item} {first.sentence}.")  # fmt: skip


def write(diagnosis: Diagnosis, folder: Path) -> None:
    """Write doctor.json and leakage.csv into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(diagnosis.to_dict(), indent=1, ensure_ascii=False)
    (folder / "doctor.json").write_text(f"{text}\n", encoding="utf-8")
    with (folder / "leakage.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(leakage.Pair.__dataclass_fields__))
        writer.writeheader()
        writer.writerows(diagnosis.tables["leakage"])


def stop_on_errors(diagnosis: Diagnosis) -> None:
    """Raise DatasetError with what makes a score wrong, if anything does."""
    sentences = [finding.sentence for finding in diagnosis.at("error")]
    if sentences:
        raise dataset.DatasetError(f"These questions would give wrong scores. {' '.join(sentences)}")


def show(diagnosis: Diagnosis) -> str:
    """Return the diagnosis as text: the tables, then the findings, the gravest first."""
    parts = [_grid(name, rows) for name, rows in diagnosis.tables.items() if name != "leakage"]
    parts += [f"{finding.level:7}  {finding.sentence}" for finding in diagnosis.findings]
    counts = ", ".join(f"{len(diagnosis.at(level))} {level}s" for level in LEVELS)
    return "\n".join([*parts, f"{counts}."])


def _grid(title: str, rows: Sequence[Mapping]) -> str:
    cells = [[str(key) for key in rows[0]], *([str(value) for value in row.values()] for row in rows)] if rows else []
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join([f"-- {title}", *lines, ""])


def _read(given: argparse.Namespace) -> dict[str, list[Example]]:
    """Read the files named on the command line, by split; --examples may be a folder of splits."""
    splits = dataset.load_splits(given.examples) if given.examples.is_dir() else {"test": dataset.load(given.examples)}
    more = {name: getattr(given, name) for name in ("train", "dev", "exemplars") if getattr(given, name)}
    return splits | {name: dataset.load(path) for name, path in more.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line: 1 for findings that make a score wrong, 2 and a sentence for a mistake in the arguments."""
    parser = argparse.ArgumentParser(prog="python -m helpers.audit", description=__doc__.partition("\n")[0])
    task = parser.add_mutually_exclusive_group(required=True)
    task.add_argument("--examples", type=Path, help="questions to be scored, a file or a folder of splits")
    task.add_argument("--card", type=Path, metavar="FOLDER", help="write README.md, the card of a folder of splits")
    for name in ("train", "dev", "exemplars"):
        parser.add_argument(f"--{name}", type=Path, help=f"the file of the split {name}")
    parser.add_argument("--database", default="sample", help="a source: sample, sqlite:///FILE, dump:PATH, ...")
    parser.add_argument("--out", type=Path, help="folder for doctor.json and leakage.csv")
    given = parser.parse_args(arguments)
    logging.basicConfig(format="%(message)s")
    try:
        with connect(given.database) as database:
            return _write_card(given.card, database) if given.card else _examine(given, database)
    except (dataset.DatasetError, DatabaseError, OSError) as error:
        print(error, file=sys.stderr)
        return 2


def _examine(given: argparse.Namespace, database: Database) -> int:
    diagnosis = examine(_read(given), database)
    if given.out:
        write(diagnosis, given.out)
    print(show(diagnosis))
    return 1 if diagnosis.at("error") else 0


def _write_card(folder: Path, database: Database) -> int:
    path = folder / "README.md"
    path.write_text(data_card.card(folder, database), encoding="utf-8")
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
