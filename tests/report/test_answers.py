"""Answers are never stronger than the tables: where seeds, scores or whole places are lost."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from bench.contracts.report import Answer, Rows
from bench.maths.statistics import Ranks
from reports.answers import Answers, _order
from reports.ranks import Ranked
from reports.significance import Significance

Scores = Mapping[str, Mapping[str, Sequence[float | None]]]
SEEDS = [50.0 + seed for seed in range(9)]
FEWER = [*SEEDS[:8], None]
LOWER = [50.0 + seed - 5 - seed / 10 for seed in range(9)]  # better than SEEDS by 5.0 to 5.8


def made(data: Scores, metric: str = "fid", better: str = "lower", direction: str = "") -> Rows:
    """Return rows of data set -> method -> score by seed, None where it diverged."""
    entries, scores = [], []
    for dataset, methods in data.items():
        for method, values in methods.items():
            for seed, value in enumerate(values):
                entry = {
                    "role": "student", "dataset": dataset, "architecture": "unet", "width": 2,
                    "discriminator_width": 2, "method": method, "seed": seed,
                    "is_control": method == "none", "key": f"{dataset}-{method}-{seed}",
                    "status": "diverged" if value is None else "done", "port": "",
                }  # fmt: skip
                entries.append(entry)
                says = {
                    "metric": metric, "label": metric.upper(), "unit": "", "digits": 2, "step": 0,
                    "judges": "images", "better": better, "direction": direction, "name": metric,
                    "protocol": json.dumps({"split": "test"}), "headline": True, "value": value,
                }  # fmt: skip
                if value is not None:
                    scores.append(entry | says)
    return Rows("t", "?", pd.DataFrame(entries), pd.DataFrame(scores))


def said(rows: Rows) -> list[str]:
    return [item.said for item in Answers().make(rows) if isinstance(item, Answer)]


def test_a_method_that_lost_a_seed_is_better_among_survivors_at_most() -> None:
    (answer,) = said(made({"d": {"none": SEEDS, "a": [*LOWER[:8], None]}}))
    assert answer == (
        "No method is shown to be better than the student alone by FID; a is better among "
        "survivors (a: +5.35 over the student alone, n = 8, 95 % interval [+5.19, +5.51], "
        "p = 0.0078 after Holm over 1)."
    )
    (answer,) = said(made({"d": {"c": SEEDS, "a": [*LOWER[:8], None]}}))
    assert answer == (
        "No method is shown to be better than every other one by FID: a is among survivors, "
        "48.15 against 53.50 of c (8 common seeds), and has lost seeds."
    )


def test_a_method_is_worse_among_survivors_where_the_student_alone_lost_seeds() -> None:
    higher = [2 * seed - low for seed, low in zip(SEEDS, LOWER, strict=True)]
    (answer,) = said(made({"d": {"none": FEWER, "a": higher}}))
    assert answer.endswith("student alone by FID; a is worse among survivors.")
    (answer,) = said(made({"d": {"none": SEEDS, "a": [*higher[:8], None], "b": SEEDS}}))
    assert answer.endswith("student alone by FID; a is worse.")  # what is left of it is worse


def test_means_and_n_are_of_common_seeds() -> None:
    """LOWER's mean over all nine seeds is 48.60, over the eight of the student alone 48.15."""
    (answer,) = said(made({"d": {"none": FEWER, "a": LOWER}}))
    assert answer == (
        "a is better than every other method by FID: 48.15 against 53.50 of none (8 common seeds; "
        "p ≤ 0.05 against each); +5.35 over the student alone, n = 8, 95 % interval [+5.19, +5.51]."
    )
    (answer,) = said(made({"d": {"c": [1.0, 9.0, 9.0], "a": [None, 8.0, 8.0]}}))
    assert answer.startswith("These 2 seeds cannot tell who is best by FID; the best mean is a's: ")
    (answer,) = said(made({"d": {"c": [1.0, None], "a": [None, 8.0]}}))
    assert answer.startswith("No seed has a score of every method by FID")


def test_a_gain_of_few_pairs_says_how_few() -> None:
    lost = [None] * 8
    (answer,) = said(made({"d": {"none": SEEDS, "a": [*lost, 30.0], "b": SEEDS}}))
    assert "largest gain is a's (+28.00 over the student alone, n = 1," in answer


def test_no_gain_at_all_is_no_loss() -> None:
    (answer,) = said(made({"d": {"none": SEEDS, "a": SEEDS}}))
    assert "the largest gain is a's (+0.00 over" in answer


def test_best_of_all_at_six_seeds_is_no_contradiction_to_the_table_of_gains() -> None:
    """2 / 2^6 = 0.03 against each, and 0.06 after Holm over two methods."""
    near = [seed - 1 - seed / 100 for seed in SEEDS]
    rows = made({"d": {"none": SEEDS[:6], "a": LOWER[:6], "b": near[:6]}})
    (answer,) = said(rows)
    assert answer.startswith("a is better than every other method by FID: ")
    assert "Holm" not in answer
    (table,) = Significance().make(rows)
    assert table.notes[-1].endswith(
        "0.062 after Holm over 2 methods: no single gain over the student alone can be significant "
        "here, whatever its size, before there are 7 seeds; to be better than every other method, "
        "bold in the results, these are enough."
    )


def test_the_table_of_gains_counts_what_it_can_test_block_by_block() -> None:
    """Methods without a score are in no family of Holm, nor those of another data set."""
    lost = {f"m{n}": [None] * 6 for n in range(6)}
    rows = made({"d": {"none": SEEDS[:6], "a": LOWER[:6], **lost}})
    (table,) = Significance().make(rows)
    assert table.idle == ""
    assert table.notes == [
        "The smallest p that 6 common seeds can give is 0.031, and 0.031 after Holm over 1 method."
    ]
    seven = {f"m{n}": SEEDS[:4] for n in range(7)}
    both = made({"d": {"none": SEEDS[:6], "a": LOWER[:6]}, "e": {"none": SEEDS[:4], **seven}})
    (table,) = Significance().make(both)
    assert table.idle == ""
    assert [note.partition(":")[0] for note in table.notes] == [
        "d, unet, width 2 (FID)",
        "e, unet, width 2 (FID)",
    ]
    (table,) = Significance().make(made({"e": {"none": [1.0], "a": [2.0]}}))
    assert table.idle == "of 1 seed, too few to show any"
    (table,) = Significance().make(made({"e": {"none": [1.0, None], "a": [None, 2.0]}}))
    assert table.notes == ["No method shares a seed with the student alone."]


def together(*parts: Rows) -> Rows:
    entries = pd.concat([part.entries for part in parts]).drop_duplicates(
        ["key"], ignore_index=True
    )
    return Rows("t", "?", entries, pd.concat([part.scores for part in parts], ignore_index=True))


def test_every_place_has_an_answer_by_a_metric_that_it_has() -> None:
    edges = made({"d": {"none": SEEDS[:6], "a": LOWER[:6]}})
    photos = made({"e": {"none": SEEDS[:6], "a": LOWER[:6]}}, metric="psnr")
    lost = made({"f": {"none": [None] * 6, "a": [None] * 6}})
    answers = said(together(edges, photos, lost))
    assert [answer.partition(":")[0] for answer in answers] == [
        "a is better than every other method by FID",
        "a is better than every other method by PSNR",
        "No method has a score.",
    ]
    assert said(lost) == ["No method has a score."]
    assert said(replace(lost, entries=lost.entries.assign(status="done"))) == []  # none was asked


def over(places: int, **scores: float) -> dict[str, dict[str, list[float | None]]]:
    return {f"d{n}": {method: [score] for method, score in scores.items()} for n in range(places)}


def test_all_that_share_the_first_rank_are_named() -> None:
    *_, answer = said(made(over(12, none=3.0, a=1.0, b=1.0)))
    assert answer.startswith(
        "By FID, a and b rank first on average (1.50), significantly better than none (critical "
    )


def test_who_is_in_no_rank_for_want_of_scores_is_named() -> None:
    data = over(12, none=3.0, a=2.0, c=4.0, b=1.0)
    data["d0"]["b"] = [None]
    *_, answer = said(made(data))
    assert "a ranks first" in answer
    assert answer.endswith("; without b, which lacks scores somewhere.")
    data |= {place: {**methods, "e": [None]} for place, methods in data.items()}
    *_, answer = said(made(data))
    assert answer.endswith("; without b and e, which lack scores somewhere.")


def test_ranks_differ_only_where_friedmans_test_says_so() -> None:
    """Ranks that are a critical difference apart, by chance, where the test of all is not."""
    ranks = pd.Series({"a": 1.0, "b": 2.5, "c": 4.0})
    found = Ranks(ranks, n=5, p=0.06, critical=2.9)
    ranked = Ranked("2", "FID", found, [], [])
    assert "which 5 places cannot tell from chance" in _order(ranked, has_directions=False)
    ranked = ranked._replace(ranks=replace(found, p=0.05))
    assert "significantly better than c" in _order(ranked, has_directions=False)


def test_two_directions_of_one_data_set_are_said_to_be_no_two() -> None:
    data = over(12, none=3.0, a=1.0, b=2.0)
    *_, answer = said(made(data))
    assert "directions" not in answer
    both = together(*(made(data, direction=direction) for direction in ("AtoB", "BtoA")))
    *_, answer = said(both)
    assert answer.endswith(
        "; directions of one data set are not independent, which makes this optimistic."
    )
