"""What a nightly run is held against: accepted scores, and when a change is a regression.

The rule, for scores of images. Equal code on one machine gives equal bits, and a score whose bits
are the accepted ones passes. One that did change is compared seed by seed: where bits change and
nothing else does, either night could have been the other, so the differences lie evenly about zero,
and however much two nights share at one seed is noise removed. A score is worse when its mean moved
the wrong way by more than its tolerance AND Student's one-sided paired test says so, after Holm's
correction over all scores that changed. So is the mean of a metric over all its cells, which shows
what shifts everything a little; scores and means are each tested at half of `LEVEL`. The chance of
a false alarm in a night on which bits changed, but quality did not, is `LEVEL` at most, as a mean
over accepted nights: after a lucky one it is higher (docs/statistics.md).

Speeds are compared on one device only: slower by more than a tenth, and beyond both nights'
quartiles where these were measured. Benchmarks are judged by their ratio to a peer in the same run,
or by five rounds. That is a rule of thumb, not a test.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.compare.accepted import ROUNDS, image_scores, network_scores, not_done, why
from bench.contracts.report import Bold, Rows, Table
from bench.errors import ReportError
from bench.maths.statistics import Values, holm, least_rise, rise_p
from bench.plan.cell import without_path

Json = dict[str, Any]

LEVEL = 0.01  # false alarms per night on which bits changed
FEW = 4  # seeds below which hardly any worsening can fail
SLOWER = 0.1  # of an accepted speed
MATRIX = ("seeds", "widths", "discriminator_widths")  # of a suite: what is gone is found missing
ASIDE = ("reports", "plugins")  # what shows scores, and where plug-ins lie: they change none
NAMED = ("datasets", "architectures", "methods", "metrics")  # likewise, but not what they say


@dataclass(frozen=True)
class Finding:
    """One line of a verdict."""

    kind: str  # "worse", "slower", "missing", "not comparable", "skipped", "better", "faster", ...
    what: str
    accepted: str = ""
    now: str = ""
    change: str = ""
    p: float | None = None
    note: str = ""

    @property
    def fails(self) -> bool:
        """Whether a nightly must not pass with this."""
        return self.kind in ("worse", "slower", "missing", "not comparable")


@dataclass(frozen=True)
class Verdict:
    """What was found, and out of how much."""

    findings: list[Finding]
    scores: int  # accepted
    changed: int  # scores with other bits than the accepted ones

    @property
    def fails(self) -> bool:
        """Whether anything fails."""
        return any(finding.fails for finding in self.findings)


def judge(rows: Rows, suite: Json, speeds: Json | str, accepted: Json) -> Verdict:
    """Hold a night against the accepted one; `suite` and `speeds` are as for `accept`.

    Where speeds should have been measured and were not, `speeds` says why.

    Raises:
        ReportError: the suite asks something else than the accepted one did.
    """
    other = _asked_differently(accepted["suite"], suite)
    if other:
        raise ReportError(
            f"{rows.suite}: {', '.join(other)} differ from the accepted suite's, so its scores say "
            "nothing here; `distillbench gate --accept` accepts anew."
        )
    protocols = accepted["protocols"]
    then = {w: {**s, "protocol": protocols[s["protocol"]]} for w, s in accepted["scores"].items()}
    verdict = judge_scores(image_scores(rows), then)
    for what, status in not_done(rows).items():
        before = accepted["not done"].get(what, "")
        same = status.partition(":")[0] == before.partition(":")[0]  # whatever step or reason
        kind = "skipped" if same else "missing"
        verdict.findings.append(Finding(kind, what, note=status))
    verdict.findings.extend(_speeds(network_scores(rows), accepted["networks"]))
    verdict.findings.extend(_benchmarks(speeds, accepted["benchmarks"]))
    return verdict


def _asked_differently(then: Json, now: Json) -> list[str]:
    """Return the keys of two suites that differ, the extent of the matrix aside."""
    found = []
    for key in (key for key in {**then, **now} if key not in (*MATRIX, *ASIDE)):
        if key in NAMED:
            common = [name for name in then[key] if name in now[key]]
            pairs = (
                (without_path(then[key][name]), without_path(now[key][name])) for name in common
            )
            found += [f"{key}.{n}" for n, (a, b) in zip(common, pairs, strict=True) if a != b]
        elif then.get(key) != now.get(key):  # one that states what few do, the other not
            found.append(key)
    return found


def judge_scores(now: Mapping[str, Json], accepted: Mapping[str, Json]) -> Verdict:
    """Hold scores, as `image_scores` returns them, against accepted ones."""
    findings: list[Finding] = []
    fair = []
    given, now = now, {what: _finite(score) for what, score in now.items()}
    for what, then in accepted.items():
        here = now.get(what, {"protocol": then["protocol"], "values": {}})
        lost = sorted(then["values"].keys() - here["values"].keys(), key=int)
        odd = [seed for seed in lost if seed in given.get(what, here)["values"]]
        for said, seeds in (("not finite", odd), ("no value", [s for s in lost if s not in odd])):
            if seeds:
                note = f"{said} at seed{'s' * (len(seeds) > 1)} {', '.join(seeds)}"
                note += why(here) if seeds is odd else ""
                findings.append(Finding("missing", what, note=note))
        if here["protocol"] != then["protocol"]:
            names = {**then["protocol"], **here["protocol"]}
            pairs = {n: (then["protocol"].get(n), here["protocol"].get(n)) for n in sorted(names)}
            said = ", ".join(
                f"{n} {new}, was {old}" for n, (old, new) in pairs.items() if old != new
            )
            findings.append(Finding("not comparable", what, note=said))
        elif then["values"].keys() & here["values"].keys():
            fair.append(what)
    added = (what for what in now if what not in accepted)
    findings += [Finding("new", what, note="not yet accepted") for what in added]
    changed = [what for what in fair if _moved(now[what]["values"], accepted[what]["values"])]
    single = [_Shift.of([what], what, now, accepted) for what in changed]
    means = list(_means(fair, changed, now, accepted))
    return Verdict([*findings, *_tested(means), *_tested(single)], len(accepted), len(changed))


def _finite(score: Json) -> Json:
    """Return a score without the seeds at which it is nan or infinite."""
    return {**score, "values": {s: v for s, v in score["values"].items() if math.isfinite(v)}}


def _moved(now: Mapping[str, float], accepted: Mapping[str, float]) -> bool:
    """Say whether any seed that both nights have changed its bits."""
    return any(now[seed] != accepted[seed] for seed in now.keys() & accepted.keys())


@dataclass(frozen=True)
class _Shift:
    """Two nights of one score, or of the mean of several."""

    what: str
    unit: str
    now: Values
    accepted: Values
    sign: int  # 1 where a rise is worse
    tolerance: float

    @classmethod
    def of(
        cls, cells: list[str], what: str, now: Mapping[str, Json], accepted: Mapping[str, Json]
    ) -> _Shift:
        """Average scores of one metric, at the seeds that all of them have in both nights."""
        known = (set(night[cell]["values"]) for night in (now, accepted) for cell in cells)
        seeds = sorted(set.intersection(*known), key=int)
        new, old = (
            np.mean([[night[cell]["values"][seed] for seed in seeds] for cell in cells], axis=0)
            for night in (now, accepted)
        )
        first = accepted[cells[0]]
        sign = 1 if first["better"] == "lower" else -1
        tolerance = float(np.mean([accepted[cell]["tolerance"] for cell in cells]))
        return cls(what, first["unit"], new, old, sign, tolerance)


def _means(
    fair: list[str], changed: list[str], now: Mapping[str, Json], accepted: Mapping[str, Json]
) -> Iterator[_Shift]:
    """Yield the mean over all cells of every metric that changed."""
    for metric in dict.fromkeys(accepted[what]["metric"] for what in changed):
        cells = [what for what in fair if accepted[what]["metric"] == metric]
        shift = _Shift.of(cells, f"mean of {len(cells)} cells: {metric}", now, accepted)
        if len(cells) > 1 and len(shift.now):
            yield shift


def _tested(shifts: list[_Shift]) -> list[Finding]:
    """Return what became of every shift, under Holm's correction each way at half of the level."""
    rises = [shift.sign * (shift.now - shift.accepted) for shift in shifts]
    worse = np.minimum(2 * holm([rise_p(rise) for rise in rises]), 1)
    better = np.minimum(2 * holm([rise_p(-rise) for rise in rises]), 1)
    found = []
    for shift, p_worse, p_better in zip(shifts, worse, better, strict=True):
        change = float(np.mean(shift.now - shift.accepted))
        matters = abs(change) > shift.tolerance
        if matters and p_worse <= LEVEL:
            kind, p = "worse", p_worse
        elif matters and p_better <= LEVEL:
            kind, p = "better", p_better
        else:
            kind, p = "changed", min(p_worse, p_better)
        before, after = _spread(shift.accepted), _spread(shift.now)
        share = f" ({change / abs(shift.accepted.mean()):+.1%})" if shift.accepted.mean() else ""
        said = f"{change:+.3g}{share}"
        note = f"tolerance {shift.tolerance:.3g} {shift.unit}".rstrip()
        found.append(Finding(kind, shift.what, before, after, said, float(p), note))
    return found


def _spread(values: Values) -> str:
    spread = f" ± {values.std(ddof=1):.2g}" if len(values) > 1 else ""
    return f"{values.mean():.4g}{spread}"


def sight(scores: Mapping[str, Json]) -> str:
    """Say how much worse accepted scores must become before a night can be expected to fail.

    Per metric the median over its cells, and the mean of all cells: at that size half of the nights
    fail, if all scores change and two nights share nothing. Where nights correlate by r at a seed,
    the square root of 1 - r of it is enough.
    """
    metrics = dict.fromkeys(score["metric"] for score in scores.values())
    cells = {m: [what for what in scores if scores[what]["metric"] == m] for m in metrics}
    several = [metric for metric in metrics if len(cells[metric]) > 1]
    said = []
    for metric, names in cells.items():
        alone = [_Shift.of([name], name, scores, scores) for name in names]
        unit, mean = alone[0].unit, float(np.median([abs(s.accepted.mean()) for s in alone]))
        least = float(np.median([_least(shift, len(scores)) for shift in alone]))
        text = f"{metric} {_amount(least, mean, unit)}"
        whole = _Shift.of(names, metric, scores, scores)
        if metric in several and len(whole.now) > 1:
            shift = _least(whole, len(several))
            text += f", mean of {len(names)} cells {_amount(shift, abs(whole.now.mean()), unit)}"
        said.append(text)
    seeds = min(len(score["values"]) for score in scores.values())
    few = f"With {seeds} seeds hardly anything can fail: take {FEW}, or better 8. "
    return (
        f"{few * (seeds < FEW)}Losses that half of the nights would fail on: {'; '.join(said)}. "
        "Smaller ones, where nights are alike at a seed."
    )


def _least(shift: _Shift, tests: int) -> float:
    """Return the least worsening that matters and is significant, as the first of several tests."""
    spread = math.sqrt(2) * float(shift.accepted.std(ddof=1))
    found = least_rise(spread, len(shift.accepted), LEVEL / 2 / tests)
    return max(found, shift.tolerance)


def _amount(value: float, mean: float, unit: str) -> str:
    """Return an amount with its share of a mean."""
    if not mean:
        return f"{value:.3g} {unit}".rstrip()
    share = f"{100 * value / mean:.2g} %" if value < mean else "over 100 %"
    return f"{value:.3g} {unit}".rstrip() + f" ({share})"


def _speeds(now: Mapping[str, Json], accepted: Mapping[str, Json]) -> Iterator[Finding]:
    """Compare what was measured on networks: counts exactly, speeds on the same device."""
    for what, then in accepted.items():
        here = now.get(what, {"value": math.nan})
        if math.isnan(here["value"]):
            yield Finding("missing", what, f"{then['value']:.4g}", note="not measured")
            continue
        machines = [_machine(night["protocol"]) for night in (then, here)]
        if machines[0] != machines[1]:
            said = f"accepted on {machines[0]}, measured on {machines[1]}"
            yield Finding(
                "skipped", what, f"{then['value']:.4g}", f"{here['value']:.4g}", note=said
            )
            continue
        kind = _pace(then, here, SLOWER if machines[0] else 0.0)
        if kind and not machines[0]:  # a count
            kind = {"slower": "worse", "faster": "better"}[kind]
        if kind:
            yield _speed(kind, what, then, here)


def _machine(protocol: Json) -> str:
    """Return on what something was timed; "" for what any machine counts alike."""
    if "device" not in protocol:
        return ""
    return f"{protocol['device']}, {protocol['threads']} thread{'s' * (protocol['threads'] != 1)}"


def _benchmarks(now: Json | str, accepted: Json) -> Iterator[Finding]:
    """Compare the tests of pytest-benchmark."""
    if isinstance(now, str):
        yield Finding("missing", "benchmarks", note=now)
        return
    if not accepted:
        return
    if not now:
        yield Finding("skipped", "benchmarks", note="none given; accepted ones exist")
        return
    if now["machine"] != accepted["machine"]:
        said = f"accepted on {accepted['machine']}, measured on {now['machine']}"
        yield Finding("skipped", "benchmarks", note=said)
        return
    for name, then in accepted["tests"].items():
        here = now["tests"].get(name)
        if here is None:
            was = f"{then['value']:.4g} {then['unit']}"
            yield Finding("missing", name, was, note="not measured")
        elif kind := _pace(then, here, SLOWER):
            yield _speed(kind, name, then, here)
    for name in now["not judged"]:
        note = f"neither a ratio to a peer nor {ROUNDS} rounds: its time is not judged"
        yield Finding("skipped", name, note=note)


def _pace(then: Json, here: Json, tolerance: float) -> str:
    """Return "slower" or "faster" where a value moved by more than the tolerance and the noise."""
    if here["value"] == then["value"]:  # infinity, which is out of memory, among them
        return ""
    if abs(here["value"] - then["value"]) <= tolerance * abs(then["value"]):
        return ""
    if then["quartiles"] and here["quartiles"]:
        (low, high), (new_low, new_high) = then["quartiles"], here["quartiles"]
        if new_low <= high and low <= new_high:
            return ""
    rose = here["value"] > then["value"]
    return "slower" if rose == (then["better"] == "lower") else "faster"


def _speed(kind: str, what: str, then: Json, here: Json) -> Finding:
    ratio = f"{here['value'] / then['value'] - 1:+.1%}" if then["value"] else ""
    before, after = (f"{night['value']:.4g} {night['unit']}".rstrip() for night in (then, here))
    return Finding(kind, what, before, after, ratio)


ORDER = ("worse", "slower", "missing", "not comparable", "better", "faster", "skipped", "new")


def table(verdict: Verdict, suite: str, sight: str = "", caveats: Sequence[str] = ()) -> Table:
    """Return a verdict as a table: what fails first; of what merely changed, only the means.

    `sight` says what could have been seen at all, as the function of that name does; `caveats`
    are those of the suite's rows.
    """
    shown = [f for kind in ORDER for f in verdict.findings if f.kind == kind]
    shown += [f for f in verdict.findings if f.kind == "changed" and f.what.startswith("mean of")]
    block = [
        [
            Bold(f.kind) if f.fails else f.kind,
            *(f.what, f.accepted, f.now, f.change, "" if f.p is None else f"{f.p:.4f}", f.note),
        ]
        for f in shown
    ]
    block = block or [["same", f"{verdict.scores} scores", *[""] * 5]]
    caption = (
        f"{verdict.changed} of {verdict.scores} accepted scores have other bits. A score is worse "
        "or better where its mean over seeds moved by more than its tolerance and Student's "
        f"one-sided paired test gives p ≤ {LEVEL} after correction for all that changed. Slower: "
        f"by more than {SLOWER:.0%}, and beyond both nights' quartiles, on the same device. "
        + sight
    ).strip()
    title = f"{suite}: {'FAILED' if verdict.fails else 'passed'}"
    header = ["Verdict", "Score", "Accepted", "Now", "Change", "p (Holm)", "Note"]
    return Table("gate", title, caption, header, [block], caveats)
