"""A step can be captured: what changes from step to step lies in tensors, and the host never looks.

No GPU is needed: `recording.py` does what a CUDA graph does. A step that looks at a tensor cannot
be recorded, and one whose numbers are the host's repeats those of the step that was recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from engines import Captured, make_capturable
from recording import HostRead, Recording
from test_diffusion_task import DIFFUSION
from test_diffusion_task import plan_of as diffusion_plan
from tiny import tiny_plan

from bench.check.lessons import lesson
from bench.contracts.kinds import METHOD
from bench.plan.matrix import Plan
from bench.train.checkpoint import digest
from bench.train.device import nondeterminism
from bench.train.learner import Learner

RECORDED, END = 2, 5  # steps
NOISE = 1e-6  # of a state, where sums are taken in any order
PAIRED: dict[str, Any] = {"budget": {"steps": 9, "batch": 2}}
UNPAIRED: dict[str, Any] = PAIRED | {
    "datasets": ["grass2brick"],
    "architectures": ["resnet9"],
    "task": {"pool": 5},  # full in the middle of the step that is recorded
}
TRANSLATING = [
    name
    for name in METHOD.names()
    if (tasks := METHOD.declaration(name, "test").says.tasks) is None or "paired" in tasks
]
PEERS = {"method": "wkd", "teacher": {"mode": "peers"}}
DENOISING: dict[str, Any] = {"hinton_l2": {}, "sd_native": {"levels": 2}}
QUICK = [(name, "paired") for name in (*TRANSLATING, "peers")]
QUICK.append(("none", "unpaired"))
QUICK += [(name, "diffusion") for name in ("none", *DENOISING)]
SLOW = [(name, "unpaired") for name in (*TRANSLATING, "peers") if name != "none"]


def plan_of(folder: Path, name: str, place: str) -> Plan:
    row = {"peers": PEERS}.get(name, {"method": name} | DENOISING.get(name, {}))
    if place == "diffusion":
        lite = {"lite": DIFFUSION["architectures"]["lite"]}
        return diffusion_plan(folder, architectures=lite, methods={name: row})
    return tiny_plan(folder, **{"paired": PAIRED, "unpaired": UNPAIRED}[place], methods={name: row})


def lr(step: int) -> float:
    """A float32, as the tensor is: another one at each step."""
    return 2.0**-10 * (1 - step / 16)


State = dict[str, torch.Tensor]


def copied(state: State) -> State:
    """Return a state of its own: what is loaded goes on changing."""
    return {name: x.clone() for name, x in state.items()}


def stepped(learner: Learner, batches: Any, teach: Any, steps: range) -> State:
    """Return a state after steps as they are."""
    for step in steps:
        batch = {name: x.to(learner.device) for name, x in batches[step].items()}
        learner.update(step, lr(step), batch, teach(batch) if learner.teacher else None)
    return copied(learner.state())


def recorded(
    learner: Learner, batches: Any, teach: Any, rate: Any, record: Callable[[Any], Any] = Recording
) -> State:
    """Return a state after step 1 as it is and replays of step 2 from there on."""
    batch = {name: x.to(learner.device, copy=True) for name, x in batches[0].items()}
    recording = None

    def advance() -> object:
        return learner.advance(step, rate, batch, teach(batch) if learner.teacher else None)

    for step in range(1, END):
        if isinstance(rate, torch.Tensor):
            rate.fill_(lr(step))
        for name, x in batches[step].items():
            batch[name].copy_(x)
        learner.draw(step, len(batch["A"]))
        if step < RECORDED:
            advance()
            continue
        recording = recording or record(advance)
        recording.replay()
    return copied(learner.state())


def taken(
    plan: Plan, folder: Path, device: str, record: Callable[[Any], Any], times: int = 1
) -> list[State]:
    """Return what steps lead to, `times` times from one state, and what replays lead to."""
    learner, batches, teach = lesson(plan, folder, device)
    start, found = stepped(learner, batches, teach, range(1)), []
    for _ in range(times):
        learner.load(copied(start))
        found.append(stepped(learner, batches, teach, range(1, END)))
    learner.load(copied(start))
    make_capturable(learner)
    rate = torch.zeros((), device=device)
    return [*found, recorded(learner, batches, teach, rate, record)]


def apart(state: State, other: State) -> float:
    """Return how far two states are from each other, as a part of the first."""
    assert state.keys() == other.keys()
    pairs = [(x.double(), other[name].double()) for name, x in state.items()]
    return float(sum((x - y).abs().sum() for x, y in pairs) / sum(x.abs().sum() for x, _ in pairs))


@pytest.mark.usefixtures("vgg16")
@pytest.mark.parametrize(
    ("name", "place"),
    [*QUICK, *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW)],
)
def test_a_recorded_step_goes_on_as_the_step_itself_does(
    tmp_path: Path, name: str, place: str
) -> None:
    """Every tensor of the state, bit for bit; a learning rate of the host would be the first."""
    wanted, found = taken(plan_of(tmp_path, name, place), tmp_path, "cpu", Recording)
    assert digest(found) == digest(wanted)


@pytest.mark.gpu
@pytest.mark.usefixtures("vgg16")
@pytest.mark.parametrize(("name", "place"), [*QUICK, *SLOW])
def test_a_cuda_graph_of_a_step_goes_on_as_the_step_itself_does(
    tmp_path: Path, name: str, place: str
) -> None:
    """Bit for bit; where an operator is not deterministic, as near as the same steps again."""
    stream, names = torch.cuda.Stream(), set[str]()
    with torch.cuda.stream(stream), nondeterminism(names):
        plan = plan_of(tmp_path, name, place)
        wanted, again, found = taken(plan, tmp_path, "cuda", lambda c: Captured(c, stream), 2)
    if names:
        assert apart(wanted, found) <= max(NOISE, 10 * apart(wanted, again))
    else:
        assert digest(found) == digest(wanted)


def test_a_learning_rate_of_the_host_stays_what_it_was_when_it_was_recorded(tmp_path: Path) -> None:
    learner, batches, teach = lesson(plan_of(tmp_path, "none", "paired"), tmp_path)
    start = copied(learner.state())
    states = []
    for rate in (lr(RECORDED), torch.tensor(0.0)):
        learner.load(copied(start))
        states.append(recorded(learner, batches, teach, rate))
    assert apart(*states) > 100 * NOISE  # which the comparison on a GPU would see


def test_a_call_that_looks_at_a_tensor_cannot_be_recorded() -> None:
    numbers = torch.arange(4.0)
    for call in (numbers.sum().item, numbers.nonzero, lambda: numbers[numbers > 1]):
        with pytest.raises(HostRead):
            Recording(call)


def test_a_recording_leaves_everything_as_it_was_and_repeats_it_with_other_numbers() -> None:
    seen, total = torch.ones(2), torch.zeros(())

    def call() -> torch.Tensor:
        total.add_(seen.sum())
        return total * 2

    recording = Recording(call)
    assert total == 0
    recording.replay()
    seen.fill_(3.0)
    recording.replay()
    assert (total, recording.value) == (8, 16)
