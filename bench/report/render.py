"""Tables as markdown, LaTeX and CSV, captions of figures as LaTeX; all of it is escaped.

CSV knows no bold type.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

from bench.contracts.report import Bold, Figure, Table

LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # after a row's end it would be an argument
    "*": "{*}",  # and this one would be taken as part of it
    "±": r"$\pm$",
    "×": r"$\times$",
    "Δ": r"$\Delta$",
    "α": r"$\alpha$",
    "ᾱ": r"$\bar\alpha$",
    "√": r"$\surd$",
    "σ": r"$\sigma$",
    "…": r"\ldots{}",
    "†": r"$\dagger$",
    "‡": r"$\ddagger$",
    "✓": r"$\surd$",  # a tick without a package
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "→": r"$\rightarrow$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "−": r"$-$",
    "–": "--",
    "—": "---",
}

PAGE = 30  # rows and lines of text that fit a page, also in landscape
LINE = 110  # characters of a caption or note on one line

FOREIGN = set("«»ÐÞðþĄąĐđĘęĦħĮįĸĿŀŉŊŋŦŧŲųſ")  # need another font encoding than LaTeX's own (OT1)
PLAIN = {chr(code) for code in (*range(32, 127), *range(161, 384))} - FOREIGN  # pdflatex sets it

NUMBER = re.compile(r"^[-+]?\d[\d.,]*( ± [\d.]+)?( .*)?$")  # or a score, as tables have it


def markdown(table: Table) -> str:
    """Return a pipe table with its title and caption."""
    lines = [f"### {_markdown(table.title)}", ""]
    lines.append("| " + " | ".join(_markdown(cell) for cell in table.header) + " |")
    lines.append("|" + " --- |" * len(table.header))
    for block in table.blocks:
        lines += ["| " + " | ".join(_markdown(cell) for cell in row) + " |" for row in block]
    notes = [f"- {_markdown(note)}" for note in table.notes]
    return "\n".join([*lines, "", _markdown(table.caption), "", *notes, ""])


def latex(table: Table) -> str:
    """Return table environments that need booktabs and graphicx.

    Too wide a table is shrunk, too long a one goes on in further environments.
    """
    lines = ["% needs \\usepackage{booktabs,graphicx}"]
    parts = _pages(table)
    for number, blocks in enumerate(parts):
        caption = f"{_latex(table.title)}. {_latex(table.caption)}"
        if number:
            caption = f"{_latex(table.title)} (continued, {number + 1} of {len(parts)})."
        lines += [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{caption}}}\medskip",
            r"\footnotesize",
        ]
        if blocks or len(parts) == 1:
            lines += [
                r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
                rf"\begin{{tabular}}{{{'l' * len(table.header)}}}",
                r"\toprule",
                _latex_row(table.header),
                r"\midrule",
                "\n\\midrule\n".join("\n".join(map(_latex_row, block)) for block in blocks),
                r"\bottomrule",
                r"\end{tabular}}",
            ]
        if blocks is parts[-1]:
            lines += [rf"\par {_latex(note)}" for note in table.notes]
        lines.append(r"\end{table}")
    return "\n".join([*lines, ""])


def latex_figure(figure: Figure) -> str:
    """Return a figure environment with title, caption and notes; too large a figure is shrunk."""
    wide = f"{figure.drawing.get_size_inches()[0]:.2f}in"
    size = rf"width=\ifdim {wide}<\linewidth {wide}\else\linewidth\fi,height=.6\textheight"
    caption = " ".join(map(_latex, (f"{figure.title}.", figure.caption, *figure.notes)))
    return "\n".join(
        [
            "% needs \\usepackage{graphicx} and \\graphicspath{{FOLDER OF THIS FILE/}}",
            r"\begin{figure}",
            r"\centering",
            rf"\includegraphics[{size},keepaspectratio]{{{figure.name}.pdf}}",
            rf"\caption{{{caption}}}",
            r"\end{figure}",
            "",
        ]
    )


def _pages(table: Table) -> list[list[list[Sequence[str]]]]:
    """Return the blocks by page; the last may be empty, for notes that fit no other.

    A page begins with what its first row leaves to those above.
    """
    found: list[list[list[Sequence[str]]]] = [[]]
    count = _lines([table.caption])
    for block, complete in zip(table.blocks, filled(table), strict=True):
        if found[-1] and count + len(block) > PAGE:
            found.append([])
            count = 0
        found[-1].append([])
        for row, whole in zip(block, complete, strict=True):
            if count >= PAGE:
                found.append([[]])
                count = 0
            found[-1][-1].append(row if found[-1][-1] or count else [cell for cell, _ in whole])
            count += 1
    if count + _lines(table.notes) > PAGE:
        found.append([])
    return found


def _lines(texts: Sequence[str]) -> int:
    return sum(len(text) // LINE + 1 for text in texts)


def defused(cell: object) -> object:
    """Return a cell that no spreadsheet takes for a formula: text that looks like one is quoted."""
    if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return cell if NUMBER.match(cell) else f"'{cell}"
    return cell


def comma_separated(table: Table) -> str:
    """Return header and rows as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(defused, table.header))
    writer.writerows(map(defused, row) for block in table.blocks for row in block)
    return text.getvalue()


def filled(table: Table) -> list[list[list[tuple[str, bool]]]]:
    """Return (cell, whether it repeats the one above) in place of the table's cells.

    Empty cells at the start of a row stand for those above; a row that is sorted away from there
    has to bring them along.
    """
    blocks = []
    above: list[str] = []
    for block in table.blocks:
        rows = []
        for row in block:
            lead = next((i for i, cell in enumerate(row) if cell), 0) if above else 0
            above = [*above[:lead], *row[lead:]]
            rows.append([(cell, bool(cell) and i < lead) for i, cell in enumerate(above)])
        blocks.append(rows)
    return blocks


def _markdown(text: str) -> str:
    """Escape what would be markup; HTML in a markdown file is markup too, and so are formulas."""
    plain = " ".join(re.sub(r"([\\`*_{}\[\]<>#|~$])", r"\\\1", text).split())
    return f"**{plain}**" if plain and isinstance(text, Bold) else plain


def _latex(text: str) -> str:
    signed = re.sub(r"(?<![^\s([])-(?=\d)", "−", " ".join(text.split()))  # a sign, not a hyphen
    plain = "".join(LATEX.get(c, c if c in PLAIN else f"U+{ord(c):04X}") for c in signed)
    return rf"\textbf{{{plain}}}" if isinstance(text, Bold) else plain


def _latex_row(cells: object) -> str:
    assert isinstance(cells, (list, tuple))
    return " & ".join(_latex(cell) for cell in cells) + r" \\"
