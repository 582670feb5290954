"""The report as one HTML page that needs nothing else: figures inside it, no scripts, no fonts to fetch.

>>> html = page(methods, contrasts, sheets, images, about={"split": "test"})

`images` are PNG files by name. The page reads on a phone, where wide tables scroll in boxes of their own, and in print.
great_tables draws the tables, and `report.css` beside this room says how they look, in place of the style of its own
that great_tables gives each. Whatever a model or a user wrote is escaped. Knows no statistics: numbers come as text.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from helpers import contrasts as between
from helpers import failures
from helpers.contrasts import Contrast
from helpers.failures import Failure
from helpers.figures import colours
from helpers.methods import Method
from helpers.sheets import Sheet

LONGEST = 700
STYLESHEET = Path(__file__).with_name("report.css")

DEFINITIONS = {
    "va": "the statement passes the guard and runs within the limits",
    "ex": "columns in any order, rows as a multiset, row order only where the gold sorts: the headline",
    "ex_strict": "columns by position, rows as an exact multiset, order ignored",
    "ex_superset": "as ex, but further columns are allowed",
    "ex_set": "columns by position, rows as a set, as BIRD compares",
    "ex_spider": "as Spider's official scripts compare, DISTINCT stripped",
    "ts": "ex on the database and on every variant of the test suite",
}
FIGURES = {
    "scores": "VA, EX and TS of every method with 95 % intervals.",
    "conventions": "The same answers under each convention.",
    "difficulty": "EX by difficulty.",
    "feature": "EX by SQL feature of the gold.",
    "costs": "What accuracy costs.",
}


def page(
    methods: Sequence[Method],
    contrasts: Sequence[Contrast],
    sheets: Mapping[str, Sheet],
    images: Mapping[str, bytes],
    about: Mapping[str, str],
) -> str:
    """Return the whole page."""
    n, templates = len(methods[0].examples), len(set(methods[0].templates))
    title = f"Text-to-SQL: {len(methods)} method{'s' * (len(methods) > 1)} on {n} questions"
    shade = colours(methods)
    sections = _sections(methods, sheets, images, shade)
    body = [
        f"<h1>{escape(title)}</h1>",
        f"<p class=quiet>{n} questions of {templates} SQL templates{_about(about)}</p>",
        f"<p class=lead>{escape(between.verdict(methods, contrasts))}</p>",
        _warning(between.swaps(methods)),
        "<nav>" + " ".join(f'<a href="#{key}">{escape(head)}</a>' for key, (head, _) in sections.items()) + "</nav>",
        *(f'<h2 id="{key}"{_break(key)}>{escape(head)}</h2>\n{inner}' for key, (head, inner) in sections.items()),
    ]
    return _FRAME.format(title=escape(title), css=STYLESHEET.read_text(encoding="utf-8"), body="\n".join(body))


def _sections(methods, sheets: Mapping[str, Sheet], images: Mapping[str, bytes], shade: Mapping[str, str]) -> dict:
    """Return heading and content of each section, by anchor."""

    def tables(*names: str) -> str:
        return "".join(_table(sheets[name], shade) for name in names if name in sheets)

    def drawn(*names: str) -> str:
        return "".join(_figure(images[name], FIGURES[name]) for name in names if name in images)

    bars = "".join(
        _figure(images[f"error_classes_{n}"], f"Classes of error of {method.name}.")
        for n, method in enumerate(methods, 1)
        if f"error_classes_{n}" in images
    )
    wrong = "".join(_failures(method, failures.pick(methods, method), shade) for method in methods)
    found = {
        "scores": ("Scores", drawn("scores") + tables("scores") + drawn("conventions") + _definitions(sheets)),
        "seeds": ("Seeds", tables("seeds")),
        "differences": ("Differences, question by question", tables("differences", "matrix")),
        "difficulty": ("By difficulty", drawn("difficulty") + tables("difficulty")),
        "features": ("By SQL feature", drawn("feature") + tables("feature")),
        "errors": ("Why answers are wrong", bars + tables("error_classes")),
        "costs": ("What accuracy costs", drawn("costs") + tables("costs")),
        "failures": ("Wrong answers", wrong),
        "context": ("For orientation", tables("context")),
        "runs": ("Runs", tables("runs")),
    }
    return {key: section for key, section in found.items() if section[1]}


def _break(key: str) -> str:
    return " class=new-page" if key in ("failures", "errors") else ""


def _about(about: Mapping[str, str]) -> str:
    return "".join(f" · {escape(name)} {escape(value)}" for name, value in about.items())


def _warning(swaps: Sequence[str]) -> str:
    if not swaps:
        return ""
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in swaps)
    return f"<div class=warn><b>⇅ Ranks depend on the convention.</b><ul>{items}</ul></div>"


def _definitions(sheets: Mapping[str, Sheet]) -> str:
    terms = [name for name in sheets["scores"].columns if name in DEFINITIONS]
    return "<dl class=definitions>" + "".join(f"<dt>{t}</dt><dd>{escape(DEFINITIONS[t])}</dd>" for t in terms) + "</dl>"


def _figure(image: bytes, caption: str) -> str:
    data = base64.b64encode(image).decode()
    text = escape(caption)
    return f'<figure><img alt="{text}" src="data:image/png;base64,{data}"><figcaption>{text}</figcaption></figure>'


def _table(sheet: Sheet, shade: Mapping[str, str]) -> str:
    """Draw a sheet with great_tables, in a box that scrolls sideways."""
    import great_tables
    import pandas

    if not sheet.rows:
        return "<p class=quiet>None.</p>"
    keys = [f"c{n}" for n in range(len(sheet.columns))]
    drawn = great_tables.GT(pandas.DataFrame(sheet.rows, columns=keys), id=f"table-{sheet.name}")
    drawn = drawn.fmt(lambda text: _cell(text, shade), columns=keys)
    labels = {key: great_tables.html(_named(name, shade)) for key, name in zip(keys, sheet.columns, strict=True)}
    drawn = drawn.cols_label(**labels)
    for side, letter in (("left", "l"), ("right", "r")):
        columns = [key for key, how in zip(keys, sheet.align, strict=True) if how == letter]
        drawn = drawn.cols_align(side, columns=columns) if columns else drawn
    plain = re.sub(r"<style>.*?</style>", "", drawn.as_raw_html(), flags=re.DOTALL)
    return f"<div class=wide>{plain}</div><p class=note>{escape(sheet.note)}</p>"


def _cell(text: str, shade: Mapping[str, str]) -> str:
    first, _, second = text.partition("\n")
    return _named(first, shade) + (f"<br><small>{escape(second)}</small>" if second else "")


def _named(text: str, shade: Mapping[str, str]) -> str:
    """Escape a text, and let a method's name carry its colour and break where its parts meet."""
    if text not in shade:
        return escape(text)
    broken = re.sub(r"(?<=[/,])", "\0", text) if len(text) > 14 else text
    name = escape(broken).replace("\0", "<wbr>")
    return f'<span class=name><span class=dot style="background:{shade[text]}"></span>{name}</span>'


def _failures(method: Method, found: Sequence[Failure], shade: Mapping[str, str]) -> str:
    cards = "".join(_card(failure) for failure in found) or "<p class=quiet>None.</p>"
    return f"<h3>{_named(method.name, shade)}</h3>{cards}"


def _card(failure: Failure) -> str:
    told = (
        failure.error_class,
        f"wrong with {failure.wrong} of {failure.of} seeds" if failure.of > 1 else "",
        f"right in {', '.join(failure.right_in)}" if failure.right_in else "",
    )
    lines = {
        "gold": f"<code>{escape(_cut(failure.example.sql))}</code>",
        "answer": f"<code>{escape(_cut(failure.sql))}</code>" if failure.sql else "none",
        "error": escape(_cut(failure.error)),
        "why": escape(" · ".join(filter(None, told))),
    }
    listed = "".join(f"<dt>{term}</dt><dd>{text}</dd>" for term, text in lines.items() if text)
    question = f"<p><span class=quiet>{escape(failure.example.id)}</span> {escape(failure.example.nlq)}</p>"
    return f"<article>{question}<dl>{listed}</dl></article>"


def _cut(text: str) -> str:
    """Cut what a model repeated without end."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … ({len(text):,} characters in all)"


_FRAME = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{css}</style></head><body>
{body}
</body></html>
"""
