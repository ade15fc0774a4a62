"""Draws `architecture.svg`: the wings and who imports whom, from today's imports.

    python docs/figures/architecture.py

Order from top to bottom is that of the layers in pyproject.toml, which `lint-imports` checks.
Arrows that follow from others are left out.
"""

from __future__ import annotations

import ast
import html
import tomllib
from pathlib import Path

import grimp

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PACKAGES = ("bench", "baselines", "reports")
ROW, TOP, NAME, TEXT, ARCS, WIDTH = 31, 20, 14, 150, 690, 840  # pixels
FONT = 'font-family="Helvetica, Arial, sans-serif"'
MARKER = (
    "id='tip' viewBox='0 0 8 8' refX='7' refY='4' markerWidth='6' markerHeight='6' orient='auto'"
)
PLUGINS = {"baselines", "reports", *(f"bench.{n}" for n in ["tasks", "nets", "data", "metrics"])}
PLUGINS |= {"bench.features", "bench.segmenters"}


def wings() -> list[str]:
    """Return the wings from the door to the ground, as the layers of the linter name them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    return [name.strip() for layer in layers for name in layer.split("|")]


def arrows(names: list[str]) -> set[tuple[str, str]]:
    """Return (importing, imported) for wings, without what follows from others."""
    graph = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True, cache_dir=None)
    every = {
        (above, below)
        for module in graph.modules
        for imported in graph.find_modules_directly_imported_by(module)
        if (above := _wing(module, names)) and (below := _wing(imported, names)) and above != below
    }
    below_of = {name: {b for a, b in every if a == name} for name in names}

    def reaches(start: str, end: str) -> bool:
        return any(x == end or reaches(x, end) for x in below_of[start])

    return {(a, b) for a, b in every if not any(reaches(x, b) for x in below_of[a] - {b})}


def _wing(module: str, names: list[str]) -> str:
    return next((n for n in names if module == n or module.startswith(f"{n}.")), "")


def says(name: str) -> str:
    """Return the first line of a wing's docstring."""
    path = ROOT / name.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return (ast.get_docstring(ast.parse(file.read_text())) or "").partition("\n")[0]


def drawing() -> str:
    """Return the figure as SVG."""
    names = wings()
    place = {name: TOP + ROW * i for i, name in enumerate(names)}
    height = TOP + ROW * len(names)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" {FONT}>',
        f"<defs><marker {MARKER}><path d='M0 0 8 4 0 8z' fill='#567'/></marker></defs>",
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
    ]
    for name in names:
        y = place[name]
        fill = "#dcefe0" if name in PLUGINS else "#e4ecf7"
        short = html.escape(name.removeprefix("bench."))
        parts += [
            f'<rect x="8" y="{y - 13}" width="{ARCS - 12}" height="26" rx="4" fill="{fill}"/>',
            f'<text x="{NAME}" y="{y + 4}" font-size="13" font-weight="bold">{short}</text>',
            f'<text x="{TEXT}" y="{y + 4}" font-size="12">{html.escape(says(name))}</text>',
        ]
    for above, below in sorted(arrows(names), key=lambda pair: [names.index(n) for n in pair]):
        start, end = place[above] + 4, place[below] - 4
        bend = ARCS + 14 + (end - start) * 0.36
        parts.append(
            f'<path d="M{ARCS} {start} C{bend:.0f} {start} {bend:.0f} {end} {ARCS} {end}" '
            'fill="none" stroke="#567" stroke-width="1.2" marker-end="url(#tip)"/>'
        )
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    (HERE / "architecture.svg").write_text(drawing())
