"""Five steps of paired trainings are those of the original code, re-derived here from its steps.

NVIDIA/pix2pixHD (train.py, pix2pixHD_model.py), GAN Compression (resnet_distiller.py), OMGD
(multiteacher_distiller.py, with one teacher, and with two as it is) and DCD
(pix2pixbest_distiller.py, its adversarial term as the paper has it): each takes the gradients of a discriminator and of its generator from one state,
and only then moves both; a student that learns from a teacher in training moves after it.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tiny import by_method, tiny_plan
from torch import Tensor, nn

from bench.train.batches import Batches
from bench.train.learner import Learner, open_task
from bench.train.player import Player

CPU = torch.device("cpu")
LR = 1e-3
STEPS = 5
ROLES = ("down", "mid1", "mid2", "up")
PAIRED = {"architectures": ["resnet9"], "task": {"gan": "hinge", "order": "simultaneous"}}
BLIND = {"lambda_style": 0.0, "lambda_feature": 0.0}  # VGG-16 is not here


def two_teachers(architecture: str, shared: int) -> dict[str, Any]:
    """Return OMGD's row with a deeper teacher whose judge shares so many convolutions."""
    deeper = {"architecture": architecture, "width": 2, "shared": shared}
    return {**BLIND, "lambda_cd": 10.0, "teacher": {"deeper": deeper}}


METHODS: dict[str, dict[str, Any]] = {
    "pix2pixhd": {
        "architectures": ["pix2pixhd"],
        "methods": ["none"],
        "task": {"lambda_vgg": 0.0},
    },
    "gan_compression": PAIRED
    | {
        "methods": {"gc": {"method": "gan_compression", "recipe": "full"}},
        "teacher": {"width": 4, "discriminator_width": 2, "budget": {"steps": 2}},
    },
    "omgd": PAIRED | {"methods": {"omgd": {**BLIND, "lambda_cd": 10.0}}},
    "omgd_two_heads": PAIRED | {"methods": {"omgd": two_teachers("deep_mobile_resnet9", 3)}},
    "omgd_one_judge": PAIRED
    | {
        "architectures": {"unet": {"dropout": 0.0}},
        "methods": {"omgd": two_teachers("unet", 5)},
    },
    "dcd": PAIRED | {"methods": {"dcd": BLIND}},
}


@pytest.fixture(autouse=True)
def _exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses are computed in float32; here they stay in float64."""
    single = Tensor.float
    monkeypatch.setattr(Tensor, "float", lambda x: x if x.is_floating_point() else single(x))


@pytest.mark.parametrize("name", METHODS)
def test_five_steps_are_those_of_the_original_code(tmp_path: Path, name: str) -> None:
    plan = tiny_plan(tmp_path, size=64, **METHODS[name])
    (cell,) = by_method(plan).values()
    teacher = None
    if cell.teacher:
        above = plan.cells[cell.teacher]
        teacher = Player(above, above.nets, open_task(above), CPU)
        teacher.freeze()
        teacher.modules.double()
    learner = Learner(cell, CPU, teacher)
    for module in (
        *[p.modules for p in learner.players],
        *[t.distiller for t in learner.distillers[0]],
    ):
        module.double()
    step = REFERENCES[name](copy.deepcopy(learner), teacher)

    data = Batches(cell, learner.task)
    for number in range(STEPS):
        batch = {domain: x.double() for domain, x in data[number].items()}
        taught = teacher.forward(batch, learner.hints) if teacher else None
        learner.update(number, LR, batch, taught)
        networks = step(batch["A"], batch["B"])

    found = learner.networks()
    wanted = {
        f"{name}.{key}": x for name, net in networks.items() for key, x in net.state_dict().items()
    }
    start = Learner(cell, CPU, teacher).networks()
    for key, x in wanted.items():
        if not key.endswith("bias"):  # a norm cancels most of them: Adam would compare rounding
            assert float((found[key] - x).detach().abs().max()) < 1e-10, key
        if key.endswith("weight"):
            assert float((start[key] - x).detach().abs().max()) > LR, key
    made = learner.students[0].generators["AtoB"], networks["student0.generator.AtoB"]
    ours, theirs = (network(batch["B"])[0].detach() for network in made)  # with the biases
    assert float((ours - theirs).abs().max()) < 1e-8


def test_the_order_of_pix2pix_is_another(tmp_path: Path) -> None:
    """Its generator sees the discriminator as it has just become."""
    found = []
    for order in ("discriminator first", "simultaneous"):
        task = {"gan": "hinge", "order": order}
        plan = tiny_plan(tmp_path, methods=["none"], architectures=["resnet9"], task=task)
        (cell,) = by_method(plan).values()
        learner = Learner(cell, CPU, None)
        found.append(learner.update(0, LR, Batches(cell, learner.task)[0], None))
    first, at_once = found
    assert torch.equal(first["discriminator.AtoB"], at_once["discriminator.AtoB"])
    assert torch.equal(first["l1"], at_once["l1"])
    assert not torch.allclose(first["gan"], at_once["gan"])


Step = Callable[[Tensor, Tensor], dict[str, nn.Module]]


def adam(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=LR, betas=(0.5, 0.999), foreach=False)


def gradients(loss: Tensor, *modules: nn.Module) -> None:
    """Set the gradients of these modules alone."""
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    for p, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
        p.grad = gradient


def hinge(judge: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    on_fake, on_real = judge(fake.detach())[0][0], judge(real)[0][0]
    return 0.5 * ((1 + on_fake).clamp(min=0).mean() + (1 - on_real).clamp(min=0).mean())


def pix2pixhd(learner: Learner, teacher: Player | None) -> Step:
    """A two-scale LSGAN with feature matching; G moves before D, both by gradients of one state."""
    made, judge = (learner.students[0].modules[n]["AtoB"] for n in ("generator", "discriminator"))
    of_made, of_judge = adam(made.parameters()), adam(judge.parameters())
    layers = ("d1", "d2", "d3", "d4")

    def step(a: Tensor, b: Tensor) -> dict[str, nn.Module]:
        fake = made(a)[0]
        on_real, real = judge(torch.cat([a, b], 1), tuple(judge.taps))
        on_fake, seen = judge(torch.cat([a, fake], 1), tuple(judge.taps))
        on_pool, _ = judge(torch.cat([a, fake.detach()], 1))
        loss_d = (
            sum(
                (x**2).mean() + ((y - 1) ** 2).mean() for x, y in zip(on_pool, on_real, strict=True)
            )
            * 0.5
        )
        loss_g = sum(((x - 1) ** 2).mean() for x in on_fake)
        for scale in ("", "half."):
            for layer in layers:
                distance = (seen[scale + layer] - real[scale + layer].detach()).abs().mean()
                loss_g = loss_g + 10 * (1 / 2) * (4 / (3 + 1)) * distance
        gradients(loss_g, made)
        gradients(loss_d, judge)
        of_made.step()
        of_judge.step()
        return {"student0.generator.AtoB": made, "student0.discriminator.AtoB": judge}

    return step


def gan_compression(learner: Learner, teacher: Player | None) -> Step:
    """Hinge, 100 L1 to the ground truth, and the hints by 1x1 convolutions with weight 1."""
    assert teacher is not None
    made, judge = (learner.students[0].modules[n]["AtoB"] for n in ("generator", "discriminator"))
    adapters = learner.distillers[0][0].distiller.adapters
    above = teacher.modules["generator"]["AtoB"]
    of_made = adam(chain(made.parameters(), adapters.parameters()))
    of_judge = adam(judge.parameters())

    def step(a: Tensor, b: Tensor) -> dict[str, nn.Module]:
        with torch.no_grad():
            _, wanted = above(a, ROLES)
        fake, hints = made(a, ROLES)
        loss_d = hinge(judge, torch.cat([a, b], 1), torch.cat([a, fake], 1))
        loss_g = 100 * (fake - b).abs().mean() - judge(torch.cat([a, fake], 1))[0][0].mean()
        for role in ROLES:
            loss_g = loss_g + ((adapters[role](hints[role]) - wanted[role]) ** 2).mean()
        gradients(loss_d, judge)
        gradients(loss_g, made, adapters)
        of_judge.step()
        of_made.step()
        return {
            "student0.generator.AtoB": made,
            "student0.discriminator.AtoB": judge,
            "distiller0.AtoB.gan_compression.adapters": adapters,
        }

    return step


def teach(mentor: Player) -> Callable[[Tensor, Tensor], tuple[Tensor, dict[str, Tensor]]]:
    """One step of a Pix2Pix teacher with hinge loss; returns its image and hints before the step."""
    made, judge = (mentor.modules[n]["AtoB"] for n in ("generator", "discriminator"))
    of_made, of_judge = adam(made.parameters()), adam(judge.parameters())

    def step(a: Tensor, b: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        fake, hints = made(a, ROLES)
        loss_d = hinge(judge, torch.cat([a, b], 1), torch.cat([a, fake], 1))
        loss_g = 100 * (fake - b).abs().mean() - judge(torch.cat([a, fake], 1))[0][0].mean()
        gradients(loss_d, judge)
        gradients(loss_g, made)
        of_judge.step()
        of_made.step()
        return fake.detach(), {role: x.detach() for role, x in hints.items()}

    return step


def named(mentor: Player) -> dict[str, nn.Module]:
    """Return a mentor's networks as a cell names them."""
    return {f"mentor.{n}.AtoB": mentor.modules[n]["AtoB"] for n in ("generator", "discriminator")}


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """OMGD's: an 11 x 11 Gaussian window of standard deviation 1.5, zeros beyond the border."""
    at = torch.arange(11, dtype=a.dtype) - 5
    row = torch.exp(-(at**2) / (2 * 1.5**2))
    window = torch.outer(row / row.sum(), row / row.sum()).expand(3, 1, 11, 11)

    def blurred(x: Tensor) -> Tensor:
        return F.conv2d(x, window, padding=5, groups=3)

    ma, mb = blurred(a), blurred(b)
    va, vb, vab = blurred(a * a) - ma**2, blurred(b * b) - mb**2, blurred(a * b) - ma * mb
    c1, c2 = 0.01**2, 0.03**2
    both = (2 * ma * mb + c1) * (2 * vab + c2)
    return (both / ((ma**2 + mb**2 + c1) * (va + vb + c2))).mean()


def omgd(learner: Learner, teacher: Player | None) -> Step:
    """The student: 10 (1 - SSIM) + 1e-5 TV + 10 channels, after the teacher's step."""
    assert learner.mentor is not None
    mentor, taught = learner.mentor, teach(learner.mentor)
    made = learner.students[0].modules["generator"]["AtoB"]
    adapters = learner.distillers[0][0].distiller.adapters
    of_made = adam(chain(made.parameters(), adapters.parameters()))

    def step(a: Tensor, b: Tensor) -> dict[str, nn.Module]:
        image, wanted = taught(a, b)
        fake, hints = made(a, ROLES)
        tv = (fake[..., 1:] - fake[..., :-1]).abs().sum()
        tv = tv + (fake[..., 1:, :] - fake[..., :-1, :]).abs().sum()
        loss = 10 * (1 - ssim(fake, image)) + 1e-5 * tv
        for role in ROLES:
            own, theirs = adapters[role](hints[role]).mean((2, 3)), wanted[role].mean((2, 3))
            loss = loss + 10 * ((own - theirs) ** 2).mean()
        gradients(loss, made, adapters)
        of_made.step()
        return {
            "student0.generator.AtoB": made,
            "distiller0.AtoB.omgd.adapters": adapters,
            **named(mentor),
        }

    return step


def omgd_two(learner: Learner, teacher: Player | None) -> Step:
    """Two teachers whose discriminator is one up to some block; the student imitates both images.

    D: half of (fake + real) of each teacher, summed. Each teacher: -D + 100 L1. All three gradients
    are of one state. The student: 10 (1 - SSIM) + 1e-5 TV of either, channels of the wide one.
    """
    cell = learner.cell
    assert learner.mentor is not None
    assert learner.deeper is not None
    assert cell.deeper is not None
    wide, deep = (p.modules["generator"]["AtoB"] for p in (learner.mentor, learner.deeper))
    judges = [p.modules["discriminator"]["AtoB"].model for p in (learner.mentor, learner.deeper)]
    ends = [0, 2, 5, 8, 11, 12]  # of the official blocks, in layers
    end = ends[cell.deeper.shared]
    head = nn.Sequential(OrderedDict([(str(n), judges[1][n]) for n in range(end, 12)]))

    def eyes(head: nn.Module) -> nn.Module:
        return Judge(judges[0][:end], head)

    by_wide, by_deep = eyes(judges[0][end:]), eyes(head)
    made = learner.students[0].modules["generator"]["AtoB"]
    adapters = learner.distillers[0][0].distiller.adapters
    of_wide, of_deep = adam(wide.parameters()), adam(deep.parameters())
    of_judge = adam(chain(judges[0].parameters(), head.parameters()))
    of_made = adam(chain(made.parameters(), adapters.parameters()))

    def step(a: Tensor, b: Tensor) -> dict[str, nn.Module]:
        fake_w, wanted = wide(a, ROLES)
        fake_d, _ = deep(a)
        real = torch.cat([a, b], 1)
        seen_w, seen_d = torch.cat([a, fake_w], 1), torch.cat([a, fake_d], 1)
        gradients(hinge(by_wide, real, seen_w) + hinge(by_deep, real, seen_d), judges[0], head)
        for network, judge, fake, seen in (
            (wide, by_wide, fake_w, seen_w),
            (deep, by_deep, fake_d, seen_d),
        ):
            gradients(100 * (fake - b).abs().mean() - judge(seen)[0][0].mean(), network)
        of_judge.step()
        of_wide.step()
        of_deep.step()
        fake, hints = made(a, ROLES)
        loss = torch.zeros((), dtype=a.dtype)
        for image in (fake_w.detach(), fake_d.detach()):
            tv = (fake[..., 1:] - fake[..., :-1]).abs().sum()
            tv = tv + (fake[..., 1:, :] - fake[..., :-1, :]).abs().sum()
            loss = loss + 10 * (1 - ssim(fake, image)) + 1e-5 * tv
        for role in ROLES:
            own, theirs = adapters[role](hints[role]).mean((2, 3)), wanted[role].mean((2, 3))
            loss = loss + 10 * ((own - theirs.detach()) ** 2).mean()
        gradients(loss, made, adapters)
        of_made.step()
        own_head = nn.Module()
        own_head.model = head
        return {
            "student0.generator.AtoB": made,
            "distiller0.AtoB.omgd.adapters": adapters,
            "deeper.generator.AtoB": deep,
            "deeper.discriminator.AtoB": own_head,
            **named(learner.mentor),
        }

    return step


class Judge(nn.Module):
    """A discriminator of a trunk and a head; its answer has the form of ours."""

    def __init__(self, trunk: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.trunk, self.head = trunk, head

    def forward(self, x: Tensor) -> tuple[list[Tensor], dict[str, Tensor]]:
        return [self.head(self.trunk(x))], {}


def dcd(learner: Learner, teacher: Player | None) -> Step:
    """The student fools the teacher's discriminator, which has just moved and compares the hints."""
    assert learner.mentor is not None
    mentor, taught = learner.mentor, teach(learner.mentor)
    made, judge = (
        learner.students[0].modules["generator"]["AtoB"],
        mentor.modules["discriminator"]["AtoB"],
    )
    views = learner.distillers[0][0].distiller.views
    of_made = adam(chain(made.parameters(), views.parameters()))

    def step(a: Tensor, b: Tensor) -> dict[str, nn.Module]:
        _, wanted = taught(a, b)
        fake, hints = made(a, ROLES)
        loss = -judge(torch.cat([a, fake], 1))[0][0].mean()
        for role in ROLES:
            seen = []
            for adapters, hint in ((views.student, hints), (views.teacher, wanted)):
                view = adapters[role](hint[role])
                while view.shape[-1] < 32:  # each pixel becomes four
                    view = view.repeat_interleave(2, 2).repeat_interleave(2, 3)
                seen.append(judge(view, ("d4",))[1]["d4"])
            loss = loss + (seen[0] - seen[1]).abs().mean()
        gradients(loss, made, views)
        of_made.step()
        return {
            "student0.generator.AtoB": made,
            "distiller0.AtoB.dcd.views": views,
            **named(mentor),
        }

    return step


REFERENCES: dict[str, Callable[[Learner, Player | None], Step]] = {
    "pix2pixhd": pix2pixhd,
    "gan_compression": gan_compression,
    "omgd": omgd,
    "omgd_two_heads": omgd_two,
    "omgd_one_judge": omgd_two,
    "dcd": dcd,
}
