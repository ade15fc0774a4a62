"""Tables and figures as LaTeX that goes into a two-column paper as it is; all of it is escaped.

A table is as wide as a column or as a page, in type of 8 points that nothing shrinks; what does not
fit goes on in a further environment. Notes stand in a text of their own.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence

from bench.contracts.report import Bold, Figure, Table
from bench.report.columns import (
    COLUMN,
    GAP,
    SMALL_GAP,
    Column,
    Number,
    columns_of,
    fitted,
    height,
    pieces,
    spans,
    total,
)
from bench.report.render import HOLES, filled

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
    "ᾱ": r"$\bar\alpha$",
    "√": r"$\surd$",
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
    "“": "``",
    "”": "''",
    "„": ",,",
    "‘": "`",
    "’": "'",
    "‚": ",",
}
GREEK = {
    "αβγδεζηθ": "alpha beta gamma delta varepsilon zeta eta theta",
    "ικλμνξπρς": "iota kappa lambda mu nu xi pi rho varsigma",
    "στυφχψω": "sigma tau upsilon varphi chi psi omega",
    "ϵϑϕϖϱ": "epsilon vartheta phi varpi varrho",
    "ΓΔΘΛΞΠΣΥΦΨΩ": "Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega",
}
LATEX |= {
    letter: rf"$\{name}$"
    for letters, names in GREEK.items()
    for letter, name in zip(letters, names.split(), strict=True)
}
LATEX |= dict(zip("οΑΒΕΖΗΙΚΜΝΟΡΤΧ", "oABEZHIKMNOPTX", strict=True))  # they have Latin shapes

FOREIGN = set("«»ÐÞðþĄąĐđĘęĦħĮįĸĿŀŉŊŋŦŧŲųſ")  # need another font encoding than LaTeX's own (OT1)
PLAIN = {chr(code) for code in (*range(32, 127), *range(161, 384))} - FOREIGN  # pdflatex sets it

FIGURE = 3.4  # inches of a drawing that stands in one column
TALLEST = 8.2  # inches of a figure beside its caption
ROWS = 48  # lines of a table that fit a page beside its caption
NEEDS = "% needs \\usepackage{booktabs,siunitx}; what it rests on stands in"
SHOWS = (
    "% needs \\usepackage{graphicx} and \\graphicspath{{FOLDER OF THIS FILE/}}; "
    "what it rests on stands in"
)
TYPE = r"\fontsize{8}{9.6}\selectfont"
ALIGN = (  # of siunitx, in this table alone
    r"\sisetup{detect-weight=true,mode=text,retain-explicit-plus=true,group-digits=none,"
    r"input-decimal-markers={.}}"
)


def latex(table: Table) -> str:
    """Return table environments that need booktabs and siunitx.

    `table` where a column of 3.3 inches holds it, else `table*` of 7 inches. Empty columns are left
    out; one that has the same in every row is named in the caption instead. The columns of too wide
    a table go on in further environments, and so do the rows of too long a one. Labels are
    `tab:NAME`, `tab:NAME-2`, ...
    """
    rows = [row for block in filled(table) for row in block]
    ends = set(itertools.accumulate(len(block) for block in table.blocks))
    columns, said = columns_of(table, rows)
    lines = [f"{NEEDS} {table.name}.notes.tex"]
    pages = [(part, page) for part in fitted(columns) for page in _pages(part, len(rows)) if part]
    for number, (part, page) in enumerate(pages or [([], range(0))]):
        star = "*" if total(part) > COLUMN else ""
        caption = ". ".join([escaped(table.title), *map(escaped, said)])
        caption += f". {escaped(table.brief)}" if table.brief else "."
        label = f"tab:{table.name}"
        if number:
            caption = f"{escaped(table.title)} (continued, {number + 1} of {len(pages)})."
            label += f"-{number + 1}"
        lines += [
            rf"\begin{{table{star}}}[t]",
            r"\centering\setlength{\belowcaptionskip}{4pt}",
            rf"\caption{{{caption}}}",
            rf"\label{{{label}}}",
            *(_tabular(part, page, ends) if part else ()),
            rf"\end{{table{star}}}",
        ]
    return "\n".join([*lines, ""])


def latex_figure(figure: Figure) -> str:
    """Return a figure environment of the drawing's own size, over one column or over two.

    Its label is `fig:NAME`. Only what is larger than the page is shrunk.
    """
    wide, high = figure.drawing.get_size_inches()
    star = "*" if wide > FIGURE else ""
    size = rf"width=\ifdim {wide:.2f}in>\linewidth\linewidth\else {wide:.2f}in\fi"
    if high > TALLEST:
        size += f",height={TALLEST}in,keepaspectratio"
    return "\n".join(
        [
            f"{SHOWS} {figure.name}.notes.tex",
            rf"\begin{{figure{star}}}[t]",
            r"\centering",
            rf"\includegraphics[{size}]{{{figure.name}.pdf}}",
            rf"\caption{{{escaped(figure.title)}.}}",
            rf"\label{{fig:{figure.name}}}",
            rf"\end{{figure{star}}}",
            "",
        ]
    )


def latex_notes(item: Table | Figure) -> str:
    """Return what a table or figure means and rests on, as text for an appendix."""
    kind, short = ("Table", "tab") if isinstance(item, Table) else ("Figure", "fig")
    lines = [
        r"\par\begingroup\raggedright\sloppy\footnotesize",
        rf"\textbf{{{kind}~\ref{{{short}:{item.name}}}: {escaped(item.title)}.}}",
        _breakable(item.caption),
    ]
    if item.notes:
        lines += [r"\begin{itemize}\setlength{\itemsep}{0pt}\setlength{\parskip}{0pt}"]
        lines += [rf"\item {_breakable(note)}" for note in item.notes]
        lines.append(r"\end{itemize}")
    return "\n".join([*lines, r"\par\endgroup", ""])


def _tabular(columns: Sequence[Column], page: range, ends: set[int]) -> Iterator[str]:
    """Yield the lines of one page of rows."""
    above = spans(columns)
    shown = columns[1:] if above else columns
    yield rf"{TYPE}\setlength{{\tabcolsep}}{{{GAP / 2:g}pt}}{ALIGN}"
    yield rf"\begin{{tabular}}{{@{{}}{''.join(map(_preamble, shown))}@{{}}}}"
    yield r"\toprule"
    yield " & ".join(map(_head, shown)) + r" \\"
    yield r"\midrule"
    for row in page:
        is_first = row == page.start
        if not is_first and row in ends:
            yield r"\midrule"
        if above and (is_first or not columns[0].is_as_above(row)):
            count = sum(2 if column.has_tail else 1 for column in shown)
            place = escaped(columns[0].cells[row])
            yield rf"\multicolumn{{{count}}}{{@{{}}l}}{{\textit{{{place}}}}} \\"
        yield " & ".join(_cell(column, row, is_first=is_first) for column in shown) + r" \\"
    yield r"\bottomrule"
    yield r"\end{tabular}"


def _preamble(column: Column) -> str:
    if column.wrapped:
        return rf">{{\raggedright\arraybackslash}}p{{{column.wrapped:.1f}pt}}"
    if not column.numbers:
        return "l"
    whole, part = column.digits
    form = f"{'+' if column.is_signed else ''}{whole}" + (f".{part}" if part else "")
    return rf"S[table-format={form}]" + (
        rf"@{{\hspace{{{SMALL_GAP}pt}}}}l" if column.has_tail else ""
    )


def _head(column: Column) -> str:
    side = "c" if column.numbers else "l"
    text = r" \\ ".join(map(escaped, column.heads))
    if len(column.heads) > 1:
        text = rf"\begin{{tabular}}[b]{{@{{}}{side}@{{}}}}{text}\end{{tabular}}"
    if column.has_tail:
        return rf"\multicolumn{{2}}{{c}}{{{text}}}"
    return f"{{{text}}}" if column.numbers else text


def _cell(column: Column, row: int, *, is_first: bool) -> str:
    """Return a cell; one that repeats the one above stays empty below the first row of a page."""
    text = column.cells[row]
    is_empty = column.is_repeated[row] and not is_first
    if not column.numbers:
        return "" if is_empty else (_breakable(text) if column.wrapped else escaped(text))
    number = column.numbers[row]
    if is_empty or not text:
        return " & " if column.has_tail else ""
    if number is None:
        odd = "---" if text in HOLES else escaped(text)
        return rf"\multicolumn{{2}}{{c}}{{{odd}}}" if column.has_tail else f"{{{odd}}}"
    bold = r"\bfseries " if isinstance(text, Bold) else ""
    return f"{bold}{number.mean}" + (f" & {bold}{_tail(column, number)}" if column.has_tail else "")


def _tail(column: Column, number: Number) -> str:
    """Return deviation and rest; deviations of fewer digits are moved under the others' last."""
    if not number.sd:
        return escaped(number.rest)
    most = max(len(n.sd) for n in column.numbers if n)
    pad = rf"\phantom{{{'0' * (most - len(number.sd))}}}" if len(number.sd) < most else ""
    rest = rf"\ {escaped(number.rest)}" if number.rest else ""
    return rf"$\pm$\,{pad}{number.sd}{rest}"


def _pages(columns: Sequence[Column], rows: int) -> Iterator[range]:
    """Yield the rows of each page."""
    start = count = 0
    for row in range(rows):
        lines = height(columns, row)
        if row > start and count + lines > ROWS:
            yield range(start, row)
            start, count = row, 0
        count += lines
    if rows:
        yield range(start, rows)


def _breakable(text: str) -> str:
    """Return a text whose long names may be broken at their joints."""
    words = (r"\allowbreak{}".join(map(escaped, pieces(word))) for word in text.split())
    plain = " ".join(words)
    return rf"\textbf{{{plain}}}" if isinstance(text, Bold) else plain


def escaped(text: str) -> str:
    """Return text as LaTeX sets it, bold where it is; a letter that it lacks as its code."""
    signed = re.sub(r"(?<![^\s([])-(?=\d)", "−", " ".join(text.split()))  # a sign, not a hyphen
    plain = "".join(LATEX.get(c, c if c in PLAIN else f"U+{ord(c):04X}") for c in signed)
    return rf"\textbf{{{plain}}}" if isinstance(text, Bold) else plain
