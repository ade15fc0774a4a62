"""What MLflow's own list of runs shows of a suite: names that hold scores, and a description.

The list has few columns until somebody chooses others: a run's name, its data set, times. So a
parent is called by its method and its first scores, and above the list the experiment's description
says how the methods stand.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bench.contracts.kinds import METRIC
from bench.contracts.report import Table
from bench.contracts.width import NO_WIDTH, said_width
from bench.plan.cell import Cell
from bench.plan.identity import identity
from bench.plan.matrix import Entry, Plan
from bench.report.render import markdown
from bench.report.rows import reason_untrained, scores_of, state_of
from bench.store.layout import Store
from bench.store.lineage import caveat, changed_teachers
from bench.track.experiment import Experiment, logged_name

NOTE = "mlflow.note.content"
OURS = "distillbench.note"  # which description was ours: one that a person wrote stays
NOTE_LENGTH = 5000  # of an experiment's tag, MLflow's own limit
IN_A_NAME = 2  # scores
ARROWS = {True: "↓", False: "↑"}


class Headline(NamedTuple):
    """A metric's one value that lists and charts show."""

    name: str  # as MLflow calls it
    label: str
    digits: int
    is_lower: bool  # the better
    is_cost: bool  # of a network, not of images


def headlines(cells: Sequence[Cell], plan: Plan, store: Store) -> list[Headline]:
    """Return the headlines of cells that ended well: those of images first, and FID before all."""
    found: dict[str, Headline] = {}
    for cell in cells:
        for score in scores_of(cell, plan, store):
            declared = METRIC.declaration(score["metric"], score["metric"]).says
            values = list(score["values"])
            headline = declared.headline if declared.headline in values else ""
            if score["step"] == 0 and declared.better and (headline or len(values) == 1):
                name = logged_name(score, headline or values[0])
                label = " ".join([*name.split("/")[:-1], declared.label or score["metric"]])
                kind = (declared.better == "lower", declared.judges == "network")
                found[name] = Headline(name, label, declared.digits, *kind)

    def order(head: Headline) -> tuple[bool, bool]:
        return head.is_cost, head.name.split("/")[-1] != "fid"

    return sorted(found.values(), key=order)


def trained_of(entries: Sequence[Entry], plan: Plan, store: Store) -> list[Cell]:
    """Return the cells of entries that ended well and count as trained: others are in no mean."""
    found = []
    for entry in entries:
        state = state_of(entry, plan, store)
        is_done = state.status == "done" and not reason_untrained(entry, state, plan, store)
        if entry.cell is not None and is_done:
            found.append(entry.cell)
    return found


def means_of(cells: Sequence[Cell], plan: Plan, store: Store) -> dict[str, float]:
    """Return MLflow's name of a score -> its mean over cells, where each has a finite one."""
    found: dict[str, list[float]] = {}
    for cell in cells:
        for score in scores_of(cell, plan, store):
            for name, value in score["values"].items():
                if not score["step"] and math.isfinite(value):
                    found.setdefault(logged_name(score, name), []).append(value)
    return {n: math.fsum(v) / len(v) for n, v in found.items() if len(v) == len(cells)}


def called(entry: Entry, plan: Plan, scores: str = "") -> str:
    """Return how lists show a run: what differs between runs first, since they cut names.

    Args:
        entry: its place; the seed is left out.
        plan: where the place is.
        scores: those of the first headlines, as text.
    """
    sizes = [f"width {said_width(entry.width)}"] if entry.width != NO_WIDTH else []
    if len(plan.suite.discriminator_widths) > 1:
        sizes += [f"D {entry.discriminator_width}"]
    data = f"{entry.dataset} {entry.architecture}"
    if not scores:
        return f"{' '.join([entry.method, *sizes])}, {data}"
    several = len(plan.suite.widths) > 1 or len(plan.suite.discriminator_widths) > 1
    words = [entry.method, *sizes, scores] if several else [entry.method, f"{scores},", *sizes]
    return f"{' '.join(words).removesuffix(',')}, {data}"


def scores_in_a_name(
    heads: Sequence[Headline], means: Mapping[str, float], seeds: int, of: int
) -> str:
    """Return the first scores of images, as in `FID 45.20 PSNR 13.25`; with `(n=1/2)` of two."""
    shown = [head for head in heads if head.name in means and not head.is_cost][:IN_A_NAME]
    words = [f"{head.label} {means[head.name]:.{head.digits}f}" for head in shown]
    return " ".join([*words, *([f"(n={seeds}/{of})"] if words and seeds < of else [])])


def describe(experiment: Experiment, plan: Plan, store: Store) -> None:
    """Write the description of a suite's experiment, unless a person has written one.

    Raises:
        Exception: whatever MLflow raises when it cannot be reached or written.
    """
    said = experiment.tags.get(NOTE, "")
    if said and experiment.tags.get(OURS) != identity(said):
        return
    text = _description(plan, store)
    if text and text != said:
        for tag, value in ((OURS, identity(text)), (NOTE, text)):
            experiment.client.set_experiment_tag(experiment.id, tag, value)
            experiment.tags[tag] = value


class _Standing(NamedTuple):
    """A method at one place."""

    entry: Entry
    seeds: int  # that trained
    of: int  # that the suite has
    means: Mapping[str, float]


def _description(plan: Plan, store: Store) -> str:
    """Return a line that ranks the methods by the first score, and a table; "" without scores."""
    planned: dict[tuple[str, ...], list[Entry]] = {}
    for entry in plan.entries:
        planned.setdefault(entry.group, []).append(entry)
    groups, found = list[list[Entry]](), []
    for entries in planned.values():
        done = [e for e in entries if e.cell and store.state(e.cell.key).status == "done"]
        if done:
            cells = trained_of(done, plan, store)
            means = means_of(cells, plan, store)
            found.append(_Standing(done[0], len(cells), len(entries), means))
            groups.append(done)
    first = {e[0].dataset: e[0].cell for e in groups if e[0].role == "student"}
    heads = headlines([cell for cell in first.values() if cell is not None], plan, store)
    if not heads:
        return ""
    lines = [_line(standing, heads) for standing in found]
    ranked = _ranked(found, heads[0]) or "no student trained"
    title = f"{heads[0].label} {ARROWS[heads[0].is_lower]} {ranked}"
    caption = "Means over the seeds that are done and trained, n of those planned. A description "
    caption += "of your own is left alone."
    if changed := changed_teachers(store, plan.every_cell):
        caption += f" {caveat(list(changed))}"
    header = ["Data", "Width", "Method", "Seeds"]
    header += [f"{head.label} {ARROWS[head.is_lower]}" for head in heads]
    for shown in range(len(lines), 0, -1):
        left = f" Not shown for want of room: {len(lines) - shown} rows." * (shown < len(lines))
        table = Table("methods", title, f"{caption}{left}", header, [lines[:shown]])
        text = markdown(table).removeprefix("### ")
        if len(text) <= NOTE_LENGTH:
            return text
    return ""


def _line(standing: _Standing, heads: Sequence[Headline]) -> list[str]:
    entry, means = standing.entry, standing.means
    cells = [f"{entry.dataset}, {entry.architecture}", said_width(entry.width), entry.method]
    scores = (f"{means[h.name]:.{h.digits}f}" if h.name in means else "—" for h in heads)
    few = f"/{standing.of}" * (standing.seeds < standing.of)
    return [*cells, f"{standing.seeds}{few}", *scores]


def _ranked(found: Sequence[_Standing], head: Headline) -> str:
    """Return the students of each place by one score, the best first.

    Those that lack seeds come last, with how many they have: the survivors' mean ranks nothing.
    """
    sign = 1 if head.is_lower else -1
    ranked: dict[tuple[str, ...], list[tuple[bool, float, str]]] = {}
    for entry, seeds, of, means in found:
        if entry.role == "student" and head.name in means:
            value, few = means[head.name], seeds < of
            said = f"{entry.method} {value:.{head.digits}f}" + f" (n={seeds}/{of})" * few
            sizes = (f"width {said_width(entry.width)}", f"D {entry.discriminator_width}")
            place = (entry.dataset, entry.architecture, *sizes)
            ranked.setdefault(place, []).append((few, sign * value, said))
    differ = [len(set(axis)) > 1 for axis in zip(*ranked, strict=True)]
    places = {
        place: " ".join(x for x, told in zip(place, [True, *differ[1:]], strict=True) if told)
        for place in ranked
    }
    return "; ".join(
        f"{places[place]}: {', '.join(said for *_, said in sorted(scores))}"
        for place, scores in ranked.items()
    )
