"""Every report: what `distillbench check` asks of a user's own."""

from __future__ import annotations

import pytest
from tiny import keeps

from bench.check.pages import questions
from bench.check.question import Question
from bench.contracts.kinds import REPORT

ASKED = [
    pytest.param(question, id=f"{name}-{question.said}")
    for name in REPORT.names()
    for question in questions(REPORT.part(name, {}, "test"))
]


@pytest.mark.parametrize("question", ASKED)
def test_a_report_keeps_its_contract(question: Question) -> None:
    keeps(question)
