"""The card of a folder of splits, in Hugging Face's form: what `dataset.card` says, how it was made, and its profile.

    card(Path("data/classicmodels"), database)       # "---\nlanguage: en\nlicense: apache-2.0\n..."

How the questions were made and what they are for is prose, in `about.md` of the folder; the numbers are counted.
`python -m helpers.audit --card FOLDER` writes the card. Knows no models.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from helpers import dataset, gold_checks, split_style
from helpers.database import Database
from helpers.dataset import Example

GRADES = ("easy", "medium", "hard", "extra")


def card(folder: Path, database: Database) -> str:
    """Return the card's text; raises DatasetError if the folder holds no splits."""
    splits = dataset.load_splits(folder)
    paths = {name: folder / f"{name}.jsonl" for name in splits}
    head = dataset.card(paths, source=database.source, schema_hash=database.schema.hash)
    about = folder / "about.md"
    prose = about.read_text(encoding="utf-8") if about.exists() else ""
    return "\n".join(part.strip() + "\n" for part in (head, prose, _profile(splits, database)) if part.strip())


def _profile(splits: Mapping[str, Sequence[Example]], database: Database) -> str:
    results = {row["split"]: row for row in gold_checks.table(gold_checks.execute(splits, database))}
    templates = {row["split"]: row for row in split_style.templates(splits)}
    grades = {name: Counter(example.difficulty for example in examples) for name, examples in splits.items()}
    rows = [(f"{grade} (Spider's hardness)", [f"{grades[n][grade]}" for n in splits]) for grade in GRADES]
    for label in ("largest template", "effective n"):
        rows.append((label, [f"{templates[n][label]}" for n in splits]))
    for label in ("constant baseline", "vacuous"):
        rows.append((label, [f"{results[n][label]:.1%}" for n in splits]))
    for row in split_style.side_by_side("feature", split_style.features(splits)):
        rows.append((f"`{row['feature']}`", [f"{row[n]:.1f}%" for n in splits]))
    table = "\n".join(f"| {label} | {' | '.join(values)} |" for label, values in rows)
    names = " | ".join(splits)
    return f"## Profile\n\n| | {names} |\n|---|{'---|' * len(splits)}\n{table}\n"
