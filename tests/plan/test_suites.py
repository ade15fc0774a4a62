"""Every suite file: it states its protocol, is planned without its data, and trains."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
from tiny import somewhere, train_teachers, train_together

from bench.contracts.kinds import DATASET
from bench.errors import SuiteError
from bench.plan.expand import expand
from bench.plan.matrix import cohorts
from bench.plan.suite import load
from bench.plugins.source import ROOT
from bench.run.preflight import check
from bench.store.forms import Spec
from bench.store.layout import Store

pytestmark = pytest.mark.usefixtures("vgg16")  # some methods compare features of VGG-16

SUITES = sorted((ROOT / "suites").glob("*.yaml"))
TINY = ["size=32", "widths=[2]", "teacher.width=4", "seeds=[0]", "budget.steps=5"]


@pytest.fixture(params=SUITES, ids=[path.stem for path in SUITES])
def path(request: pytest.FixtureRequest) -> Path:
    """A suite file."""
    found: Path = request.param
    return found


def test_a_suite_asks_a_question_and_is_planned_without_its_data(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTILLBENCH_HOME", str(tmp_path))
    suite = load(path)
    assert suite.name == path.stem
    assert "?" in suite.question
    plan = expand(suite, elsewhere=somewhere)
    assert not [entry for entry in plan.students if entry.cell is None and not entry.like]
    for cell in [*plan.every_cell.values(), *plan.open]:
        Spec.model_validate(cell.spec({}))  # or `merge` would not take it


class Protocol(NamedTuple):
    """What a table was made with; a teacher is how it teaches, network, its two widths."""

    epochs: int | None
    batch: int
    gan: str
    widths: set[int]
    teachers: set[str]
    judges: set[int] = {64}  # widths of the students' discriminators
    dropout: float | None = None  # of a U-Net


RESNET, MOBILE, UNET = "frozen resnet9 64 64", "online mobile_resnet9 64 64", "frozen unet 64 64"
PROTOCOLS = {
    "wkd_table1_pix2pix": Protocol(15, 4, "vanilla", {32}, {UNET}, dropout=0.5),
    "wkd_table1_pix2pixhd": Protocol(15, 4, "lsgan", {12}, {"frozen pix2pixhd 64 64"}),
    "wkd_table2_cyclegan": Protocol(200, 1, "lsgan", {16, 24}, {RESNET}),
    "wkd_table3_cityscapes": Protocol(200, 1, "vanilla", {32}, {UNET}, dropout=0.5),
    "wkd_table4_bands": Protocol(200, 1, "lsgan", {16}, {RESNET}),
    "wkd_table5_paradigms": Protocol(
        200, 1, "lsgan", {16}, {f"frozen resnet9 {width} 64" for width in (16, 32, 48, 64)}
    ),
    "wkd_fig6_discriminators": Protocol(200, 1, "lsgan", {16}, {RESNET}, judges={16, 32, 48, 64}),
    "fesd_table1_horse2zebra": Protocol(200, 1, "lsgan", {16}, {RESNET, MOBILE}),
    "fesd_table1_summer2winter": Protocol(200, 1, "lsgan", {16}, {RESNET, MOBILE}),
    "fesd_table1_edges2shoes": Protocol(
        200, 4, "hinge", {16}, {"frozen unet 64 128", "online unet 64 128"}, {128}, dropout=0.0
    ),
    "fesd_table3_direction": Protocol(200, 1, "lsgan", {16}, {MOBILE}),
    "fesd_table4_shift": Protocol(200, 1, "lsgan", {16}, {MOBILE}),
    "fesd_table5_ratio": Protocol(200, 1, "lsgan", {16}, {MOBILE}),
    "fesd_table6_components": Protocol(200, 1, "lsgan", {16}, {MOBILE}),
    "fesd_table7_latency": Protocol(None, 1, "lsgan", {16, 64}, set()),
}
SAMPLED = ("sd_table1", "sd_table2", "sd_table5")
UNTRAINED = {"pca_kd_table1_vgg", "pca_kd_table1_small"}  # time networks, whatever trained them
OURS = {"sd_toy", "sd_toy_terms"}  # whose protocols the paper hardly states


def test_every_suite_of_a_paper_has_a_protocol() -> None:
    names = ("wkd_", "fesd_", "pca_kd_", "sd_")
    papers = {path.stem for path in SUITES if path.stem.startswith(names)}
    assert papers == {*PROTOCOLS, *UNTRAINED, *SAMPLED, *OURS, "pca_kd_fig6_vgg"}


def test_style_transfer_trains_by_the_papers_protocol() -> None:
    plan = expand(load(ROOT / "suites" / "pca_kd_fig6_vgg.yaml"), elsewhere=somewhere)
    cells = [entry.cell for entry in plan.students if entry.cell]
    assert len({cell.seed for cell in cells}) == 8
    assert {cell.nets.width for cell in cells} == {(10, 20, 58, 64), (16, 32, 64, 128)}
    ((epochs, *others),) = {
        (
            tuple(b.epochs for b in c.budgets),
            c.size,
            *{(b.batch, b.lr, b.decay) for b in c.budgets},
        )
        for c in cells
    }
    assert (epochs, others) == ((15, 10, 10, 10), [512, (8, 1e-4, 0.0)])
    taught = [cell for cell in cells if cell.teacher]
    (teacher,) = {plan.cells[cell.teacher].nets.architecture.name for cell in taught}
    assert (teacher, {c.methods[0].params["start"] for c in taught}) == ("vgg19", {"random"})


@pytest.mark.parametrize("name", SAMPLED)
def test_a_diffusion_model_trains_and_is_sampled_by_the_papers_protocol(name: str) -> None:
    """What is kept of it, as the plan has it; the suite's text says what is not."""
    path = ROOT / "suites" / f"{name}.yaml"
    assert "# Protocol of the paper:" in path.read_text()
    plan = expand(load(path), elsewhere=somewhere)
    cells = [entry.cell for entry in plan.students if entry.cell]
    networks = ("ldm_unet", "sd_unet")
    assert {(c.nets.architecture.name, c.nets.width) for c in cells} == {(n, 64) for n in networks}
    assert len({c.seed for c in cells}) == 8
    (teacher,) = {(plan.cells[c.teacher].nets.architecture.name, plan.cells[c.teacher].nets.width)
                  for c in cells if c.teacher}  # fmt: skip
    assert teacher == ("ldm_unet", 224)
    for nets in (cells[0].nets, cells[-1].nets):
        assert nets.architecture.params == nets.architecture.declared.defaults
    (budget,) = {(c.budget.steps, c.budget.batch, c.budget.lr, c.budget.decay) for c in cells}
    assert budget == (150_000, 256, 1e-4, 1.0)
    for cell in cells:
        assert cell.size == 64
        assert [cell.task.params[n] for n in ("betas", "first_beta", "last_beta", "times")] == [
            "scaled linear", 0.0015, 0.0195, 1000,
        ]  # fmt: skip
        outputs = [cell.outputs[n] for n in ("samples", "sampler", "steps", "offset", "eta")]
        assert outputs == [50_000, "ddim", 200, 1, 0.0]


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_suite_of_a_paper_trains_by_its_protocol(name: str) -> None:
    """As its plan has it, not as its text says."""
    path = ROOT / "suites" / f"{name}.yaml"
    lines = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert "# Protocol of the paper:" in "\n".join(lines)
    suite = load(path)
    assert len(suite.seeds) == 8 or name == "fesd_table7_latency"
    plan = expand(suite, elsewhere=somewhere)
    cells = [entry.cell for entry in plan.students if entry.cell]
    taught = {("frozen", plan.cells[c.teacher].nets) for c in cells if c.teacher}
    taught |= {("online", c.mentor) for c in cells if c.mentor}
    networks = {c.nets for c in cells} | {nets for _, nets in taught}
    (dropout,) = {nets.architecture.params.get("dropout") for nets in networks}
    ((size, epochs, batch, gan),) = {
        (c.size, c.budget.epochs, c.budget.batch, c.task.params["gan"]) for c in cells
    }
    assert size == 256
    assert PROTOCOLS[name] == Protocol(
        epochs,
        batch,
        gan,
        {c.nets.width for c in cells},
        {f"{how} {n.architecture.name} {n.width} {n.discriminator_width}" for how, n in taught},
        {c.nets.discriminator_width for c in cells},
        dropout,
    )


def test_omgd_has_its_two_teachers_where_data_are_paired() -> None:
    """scripts/unet_pix2pix/edges2shoes/distill.sh: ngf 16, ndf 128, n_share 5."""
    suite = load(ROOT / "suites" / "fesd_table1_edges2shoes.yaml")
    cells = {e.method: e.cell for e in expand(suite, elsewhere=somewhere).students if e.cell}
    deeper = {name: cell.deeper for name, cell in cells.items() if cell.deeper}
    assert set(deeper) == {"omgd"}
    nets = deeper["omgd"].nets
    assert (nets.architecture.name, nets.width, nets.discriminator_width) == ("deep_unet", 16, 128)
    assert deeper["omgd"].shared == 5


def test_a_suite_trains_on_photographs_in_place_of_its_data(path: Path, tmp_path: Path) -> None:
    """All its methods, five steps, tiny networks: whatever a real run would refuse or break."""
    suite = load(path)
    names = [row.get("dataset", name) for name, row in suite.datasets.items()]
    tasks = {DATASET.declaration(name, str(path)).says.task for name in names}
    stand_in = {"paired": "photo_edges", "unpaired": "grass2brick"}
    stand_in |= {"style": "style_photos", "diffusion": "photo_crops", "signals": "tones"}
    sets = [*TINY, f"datasets=[{', '.join(stand_in[task] for task in sorted(tasks))}]"]
    several = len(suite.discriminator_widths) > 1
    judges = "discriminator_widths=[2, 3]" if several else "discriminator_widths=[2]"
    if tasks == {"style"}:  # a width is four numbers
        sets += ["widths=[[2, 3, 4, 5]]", "teacher.width=[4, 5, 6, 7]", "stages={}"]
        # the other sources are files of one width
        sets += ["teacher.architecture=random_vgg", "teacher.budget.steps=2"]
    if tasks == {"diffusion"}:  # gates split widths by four
        sets += ["widths=[4]", "teacher.width=8", "budget.batch=2"]
        sets += [f"architectures.{name}.blocks=1" for name in suite.architectures]
    sets += [judges] * (not tasks & {"style", "diffusion", "signals"})  # where nobody discriminates
    sets += ["task.lambda_vgg=0"] * ("pix2pixhd" in suite.architectures)
    deeper = [n for n, row in suite.methods.items() if row.get("teacher", {}).get("deeper")]
    sets += [f"methods.{name}.teacher.deeper.width=2" for name in deeper]
    if "latents" in suite.task:
        sets += ["task.latents.width=2", "task.latents.steps=2", "task.latents.batch=2"]
    sets += ["snapshots.times=2"] * bool(suite.snapshots)
    sets += ["tune=null"] * bool(suite.tune)  # students as they are before their weights are chosen
    plan = expand(load(path, sets))
    check(plan.cells.values(), plan.cells, print)
    store = Store(tmp_path / "runs")
    train_teachers(plan, store)
    for cells in cohorts(entry.cell for entry in plan.students if entry.cell):
        train_together(cells, plan, store)
    ended = {str(entry): store.state(entry.cell.key) for entry in plan.students if entry.cell}
    assert {state.status for state in ended.values()} == {"done"}, ended


def test_a_suite_of_the_project_is_called_by_its_name_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(Path("quick")).path == ROOT / "suites" / "quick.yaml"
    with pytest.raises(SuiteError, match=r"unknown suite 'quikc'\. Did you mean 'quick'\?"):
        load(Path("quikc"))
    with pytest.raises(SuiteError, match="comes with distillbench is called by its name alone"):
        load(Path("suites/quick.yaml"))
    (tmp_path / "quick").mkdir()  # a folder of that name is no suite
    assert load(Path("quick")).name == "quick"
    (tmp_path / "quick.yaml").write_text((ROOT / "suites" / "style_quick.yaml").read_text())
    assert load(Path("quick.yaml")).name == "style_quick"
