"""What the doctor has to say: findings, each a level and one sentence, and the tables they were read from.

    about("error", "tie_under_limit", "test", ["t7"], "golds that cut a tie", "End ORDER BY with a key.").sentence
    # "test: golds that cut a tie: 1 (t7). End ORDER BY with a key."

Levels: an `error` makes a score wrong, a `warning` makes it doubtful, a `note` is for information. Knows no checks.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

LEVELS = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One thing found in one split: the items it is about, () for the split as a whole, and a sentence that says so."""

    level: str
    check: str
    split: str
    items: tuple[str, ...]
    sentence: str


@dataclass(frozen=True)
class Diagnosis:
    """All findings, the gravest first, and tables by name, each a list of rows with the same keys."""

    findings: tuple[Finding, ...]
    tables: dict[str, list[dict]]

    def at(self, level: str) -> tuple[Finding, ...]:
        """Return the findings of one level."""
        return tuple(finding for finding in self.findings if finding.level == level)

    def to_dict(self) -> dict:
        """Return plain data, as doctor.json holds it."""
        return {"counts": {level: len(self.at(level)) for level in LEVELS}, **asdict(self)}


def about(level: str, check: str, split: str, items: Sequence[str], what: str, then: str) -> Finding:
    """Make a finding about some items: what they are, how many and which, and what follows from it."""
    ids = tuple(dict.fromkeys(items))
    shown = ", ".join(ids[:5]) + (", …" if len(ids) > 5 else "")
    return Finding(level, check, split, ids, f"{split}: {what}: {len(ids)} ({shown}). {then}")
