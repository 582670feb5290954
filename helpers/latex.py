r"""A sheet as a LaTeX table for a thesis, in booktabs style.

    \begin{table}[htbp] \caption{Methods by convention} \label{tab:scores} ... \toprule ... \bottomrule ...

pandas draws the table and escapes what LaTeX would obey; a cell's second line becomes a row of its own. Needs
`\usepackage{booktabs}`, and `\usepackage[T1]{fontenc}` with pdfLaTeX. Letters outside Latin script, as a method's
name may have them, need XeLaTeX or LuaLaTeX and a font that has them.
"""

from helpers.sheets import Sheet

# What pandas' escaping leaves and pdfLaTeX does not set, or sets as another sign.
SIGNS = str.maketrans(
    {
        "−": "$-$",
        "–": "--",
        "→": r"$\rightarrow$",
        "⇅": r"$\updownarrow$",
        "·": r"$\cdot$",
        "×": r"$\times$",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': r"\textquotedbl{}",
    }
)


def table(sheet: Sheet) -> str:
    """Return the sheet as a `table` environment, with its note below it."""
    lines = (
        r"% needs \usepackage{booktabs}",
        r"\begin{table}[htbp]",
        r"\centering\small",
        rf"\caption{{{escape(sheet.caption)}}}",
        rf"\label{{tab:{sheet.name}}}",
        r"\setlength{\tabcolsep}{4pt}",
        _tabular(sheet),
        rf"\par\smallskip\footnotesize {escape(sheet.note)}",
        r"\end{table}",
    )
    return "\n".join(lines) + "\n"


def _tabular(sheet: Sheet) -> str:
    """Draw the rows, a little space between them where a row takes two lines."""
    import pandas

    groups = [_lines(cells) for cells in sheet.rows]
    frame = pandas.DataFrame([line for group in groups for line in group], columns=list(sheet.columns))
    drawn = frame.to_latex(index=False, escape=True, column_format=sheet.align).strip().translate(SIGNS)
    head, body = drawn.split("\\midrule\n")
    lines = iter(body.splitlines())
    spaced = ["\n".join(next(lines) for _ in group) for group in groups]
    between = "\n\\addlinespace\n" if any(len(group) > 1 for group in groups) else "\n"
    return "\n".join((f"{head}\\midrule", between.join(spaced), *lines))


def _lines(cells: tuple[str, ...]) -> list[list[str]]:
    """Return a row of cells as the printed rows it takes."""
    split = [cell.split("\n") for cell in cells]
    return [[part[n] if n < len(part) else "" for part in split] for n in range(max(map(len, split)))]


def escape(text: str) -> str:
    """Return text with what LaTeX would obey escaped, by pandas' rules and SIGNS."""
    import pandas

    drawn = pandas.DataFrame([text]).to_latex(index=False, header=False, escape=True)
    return drawn.split("\\midrule\n")[1].split(" \\\\\n")[0].translate(SIGNS)
