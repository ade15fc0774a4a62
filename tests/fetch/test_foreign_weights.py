"""Files of other people's networks: read by the official codes' names, refused where they differ.

The networks here are written anew from the layouts of the official codes, and share no code with
`bench/nets`: the same weights have to be the same function.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from bench.contracts.kinds import NETWORK
from bench.contracts.network import Network
from bench.errors import WeightsError
from bench.fetch.naming import best_fit, state_of, to_original
from bench.fetch.recognise import recognise
from bench.fetch.tensors import read_tensors


class Held(nn.Module):
    """A network whose layers lie in `model`, as in all of these codes."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class Block(nn.Module):
    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_block(x)


class Separable(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(c, c, 3, groups=c), nn.InstanceNorm2d(c), nn.Conv2d(c, c, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


Norm = Callable[[int], nn.Module]


def block(c: int, norm: Norm, conv: Callable[[], nn.Module], dropout: bool) -> Block:
    between = [nn.Dropout(0.5)] if dropout else []
    first = [nn.ReflectionPad2d(1), conv(), norm(c), nn.ReLU(True), *between]
    return Block(*first, nn.ReflectionPad2d(1), conv(), norm(c))


def expanded(c: int, norm: Norm) -> Block:
    bias = norm is nn.InstanceNorm2d
    return Block(
        nn.ReflectionPad2d(1),
        nn.Conv2d(c, 4 * c, 1, bias=bias), norm(4 * c), nn.ReLU(True),
        nn.Conv2d(4 * c, 4 * c, 3, bias=bias), norm(4 * c), nn.ReLU(True),
        nn.Conv2d(4 * c, c, 1, bias=bias), norm(c), nn.ReLU(True),
        nn.Dropout(0.0),
        nn.ReflectionPad2d(1),
        nn.Conv2d(c, c, 3, bias=bias), norm(c),
    )  # fmt: skip


def resnet(w: int, norm: Norm, downs: int = 2, dropout: bool = False, mobile: bool = False) -> Held:
    bias = norm is nn.InstanceNorm2d
    layers = [nn.ReflectionPad2d(3), nn.Conv2d(3, w, 7, bias=bias), norm(w), nn.ReLU(True)]
    for _ in range(downs):
        layers += [nn.Conv2d(w, 2 * w, 3, 2, 1, bias=bias), norm(2 * w), nn.ReLU(True)]
        w *= 2
    conv = (lambda: Separable(w)) if mobile else (lambda: nn.Conv2d(w, w, 3, bias=bias))
    layers += [block(w, norm, conv, dropout) for _ in range(9)]
    for _ in range(downs):
        up = nn.ConvTranspose2d(w, w // 2, 3, 2, 1, output_padding=1, bias=bias)
        layers += [up, norm(w // 2), nn.ReLU(True)]
        w //= 2
    return Held(*layers, nn.ReflectionPad2d(3), nn.Conv2d(w, 3, 7), nn.Tanh())


def deepest_resnet(w: int, norm: Norm) -> Held:
    bias = norm is nn.InstanceNorm2d

    def deepened(conv: nn.Module, c: int) -> list[nn.Module]:
        again = nn.Conv2d(c, c, 3, 1, 1, bias=bias)
        return [conv, norm(c), nn.ReLU(True), expanded(c, norm), again, norm(c), nn.ReLU(True)]

    layers = [nn.ReflectionPad2d(3), nn.Conv2d(3, w, 7, bias=bias), norm(w), nn.ReLU(True)]
    for c in (w, 2 * w):
        layers += deepened(nn.Conv2d(c, 2 * c, 3, 2, 1, bias=bias), 2 * c)
    c = 4 * w
    layers += [block(c, norm, lambda: Separable(c), True) for _ in range(4)]
    layers += [expanded(c, norm) for _ in range(2)]
    layers += [block(c, norm, lambda: Separable(c), True) for _ in range(5)]
    for c in (2 * w, w):
        layers += deepened(nn.ConvTranspose2d(2 * c, c, 3, 2, 1, output_padding=1, bias=bias), c)
    return Held(*layers, nn.ReflectionPad2d(3), nn.Conv2d(w, 3, 7), nn.Tanh())


class Level(nn.Module):
    """A level of a U-Net, in which the next one lies."""

    def __init__(
        self, outer: int, inner: int, below: Level | None, outermost: bool, norm: Norm, deep: bool
    ) -> None:
        super().__init__()
        self.outermost = outermost
        bias = norm is nn.InstanceNorm2d
        down = nn.Conv2d(3 if outermost else outer, inner, 4, 2, 1, bias=bias)
        joined = inner if below is None else 2 * inner
        up = nn.ConvTranspose2d(joined, outer, 4, 2, 1, bias=bias or outermost)
        more = 2 if deep else 0
        if outermost:
            layers = [down, *(expanded(inner, norm) for _ in range(more)), below]
            layers += [
                *(expanded(2 * inner, norm) for _ in range(more)),
                nn.ReLU(True),
                up,
                nn.Tanh(),
            ]
        elif below is None:
            layers = [nn.LeakyReLU(0.2, True), down, nn.ReLU(True), up, norm(outer)]
        else:
            layers = [nn.LeakyReLU(0.2, True), down, norm(inner)]
            layers += [*(expanded(inner, norm) for _ in range(more)), below]
            layers += [nn.ReLU(True), up, norm(outer)]
            layers += [*(expanded(outer, norm) for _ in range(more)), nn.Dropout(0.5)]
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x) if self.outermost else torch.cat([x, self.model(x)], 1)


def unet(w: int, norm: Norm, levels: int, deep: bool = False) -> nn.Module:
    network = nn.Module()
    widths = [min(8, 2**i) * w for i in range(levels)]
    level = None
    for i in reversed(range(levels)):
        level = Level(widths[i - 1] if i else 3, widths[i], level, i == 0, norm, deep)
    network.model = level
    network.forward = level.forward  # type: ignore[union-attr]
    return network


def judge_layers(c: int, w: int, norm: Norm, pad: int) -> list[list[nn.Module]]:
    groups = [[nn.Conv2d(c, w, 4, 2, pad), nn.LeakyReLU(0.2, True)]]
    for stride in (2, 2, 1):
        conv = nn.Conv2d(w, 2 * w, 4, stride, pad, bias=norm is nn.InstanceNorm2d)
        groups.append([conv, norm(2 * w), nn.LeakyReLU(0.2, True)])
        w *= 2
    return [*groups, [nn.Conv2d(w, 1, 4, 1, pad)]]


def patchgan(c: int, w: int, norm: Norm) -> Held:
    return Held(*(layer for group in judge_layers(c, w, norm, 1) for layer in group))


class Scales(nn.Module):
    """Pix2PixHD's discriminators: the last one sees the image as it is."""

    def __init__(self, c: int, w: int, grouped: bool) -> None:
        super().__init__()
        self.grouped = grouped
        for scale in range(2):
            groups = judge_layers(c, w, nn.InstanceNorm2d, 2)
            if grouped:
                for i, layers in enumerate(groups):
                    self.add_module(f"scale{scale}_layer{i}", nn.Sequential(*layers))
            else:
                flat = [layer for group in groups for layer in group]
                self.add_module(f"layer{scale}", nn.Sequential(*flat))
        self.downsample = nn.AvgPool2d(3, 2, 1, count_include_pad=False)

    def judge(self, scale: int, x: Tensor) -> Tensor:
        parts = [f"scale{scale}_layer{i}" for i in range(5)] if self.grouped else [f"layer{scale}"]
        for name in parts:
            x = self.get_submodule(name)(x)
        return x

    def forward(self, x: Tensor) -> list[Tensor]:
        return [self.judge(1, x), self.judge(0, self.downsample(x))]


IN, BN = nn.InstanceNorm2d, nn.BatchNorm2d
GENERATORS: dict[str, tuple[nn.Module, str, dict[str, str]]] = {
    "resnet": (resnet(3, IN), "resnet9", {}),
    "resnet, batch norm": (resnet(3, BN), "resnet9", {"norm": "batch"}),
    "resnet, dropout": (resnet(3, IN, dropout=True), "resnet9", {}),
    "global": (resnet(3, IN, downs=3), "pix2pixhd", {}),
    "mobile": (resnet(3, IN, dropout=True, mobile=True), "mobile_resnet9", {}),
    "mobile, batch norm": (resnet(3, BN, dropout=True, mobile=True), "mobile_resnet9", {"norm": "batch"}),
    "deepest mobile": (deepest_resnet(3, IN), "deep_mobile_resnet9", {}),
    "unet": (unet(3, BN, 6), "unet", {}),
    "unet, instance norm": (unet(3, IN, 6), "unet", {"norm": "instance"}),
    "deepest unet": (unet(3, BN, 6, deep=True), "deep_unet", {}),
}  # fmt: skip
JUDGES: dict[str, tuple[nn.Module, str, dict[str, str]]] = {
    "patchgan": (patchgan(6, 3, IN), "patchgan", {}),
    "patchgan, batch norm": (patchgan(6, 3, BN), "patchgan", {"norm": "batch"}),
    "scales": (Scales(6, 3, grouped=True), "multiscale_patchgan", {}),
    "scales, ungrouped": (Scales(6, 3, grouped=False), "multiscale_patchgan", {}),
}


def own(name: str, params: dict[str, str], width: int = 3, size: int = 64) -> Network:
    part = NETWORK.part(name, params, name)
    last = size if part.declared.role == "generator" else 6
    return part.load()(width, last, part.params)


def drawn(reference: nn.Module) -> nn.Module:
    """Return the network with weights and statistics that differ from tensor to tensor."""
    torch.manual_seed(0)
    for name, x in reference.state_dict().items():
        if x.is_floating_point():
            x.uniform_(0.5, 1.5) if name.endswith("running_var") else x.normal_(0, 0.2)
    return reference.eval()


@pytest.mark.parametrize("kind", [*GENERATORS, *JUDGES])
def test_the_same_weights_are_the_same_function(kind: str, tmp_path: Path) -> None:
    reference, name, params = {**GENERATORS, **JUDGES}[kind]
    torch.save(drawn(reference).state_dict(), tmp_path / "net.pth")
    network = own(name, params)
    network.load_state_dict(state_of(network, read_tensors(tmp_path / "net.pth"), "net").state)
    network.eval()
    x = torch.randn(2, 3 if kind in GENERATORS else 6, 64, 64)
    with torch.no_grad():
        mine, theirs = network(x)[0], reference(x)
    torch.testing.assert_close(
        mine if isinstance(mine, Tensor) else list(mine),
        theirs if isinstance(mine, Tensor) or isinstance(theirs, list) else [theirs],
        atol=1e-6,
        rtol=1e-5,
    )


@pytest.mark.parametrize("kind", [*GENERATORS, *JUDGES])
def test_it_is_recognised(kind: str) -> None:
    reference, name, params = {**GENERATORS, **JUDGES}[kind]
    best = recognise(reference.state_dict(), 64)[0]
    assert (best.architecture, best.width, best.fit.fault) == (name, 3, "")
    network = own(name, params)
    norm = best.params.get("norm", network.defaults["norm"]) or "instance"
    assert norm == (params.get("norm", network.defaults["norm"]) or "instance")
    assert best.weights == sum(p.numel() for p in reference.parameters())


def test_depth_tells_the_size_of_a_u_net() -> None:
    assert recognise(unet(2, BN, 5).state_dict())[0].size == 32


@pytest.mark.parametrize(
    "name", [n for n in NETWORK.names() if NETWORK.declaration(n, n).says.widths == 1]
)
def test_a_layout_names_every_tensor_and_no_two_alike(name: str) -> None:
    part = NETWORK.part(name, {}, name)
    declared = part.declared
    with torch.device("meta"):
        made = part.load()(32, 6 if declared.role == "discriminator" else 64, part.params)
    wanted = set(made.state_dict())
    for names in made.layouts().values():
        assert set(names) == wanted
        assert len(set(names.values())) == len(wanted)


@pytest.mark.parametrize("name", ["resnet9", "unet", "mobile_resnet9", "deep_unet", "pix2pixhd"])
def test_official_names_and_back(name: str) -> None:
    network = own(name, {})
    state = network.state_dict()
    again = state_of(network, to_original(network, state), name).state
    assert again.keys() == state.keys()
    assert all(torch.equal(again[key], state[key]) for key in state)


def wrapped(state: dict[str, Tensor], how: str) -> object:
    module = {f"module.{name}": x for name, x in state.items()}
    return {
        "state_dict": {"state_dict": state, "epoch": 3},
        "netG": {
            "netG": module,
            "netD": {"model.0.bias": torch.zeros(3)},
            "optimizer": {"lr": 1.0},
        },
        "model": {"model": state},
        "DataParallel": module,
        "half": {name: x.half() for name, x in state.items()},
    }[how]


@pytest.mark.parametrize("how", ["state_dict", "netG", "model", "DataParallel", "half"])
def test_wrappers_are_seen_through(how: str, tmp_path: Path) -> None:
    state = {name: x.half().float() for name, x in drawn(resnet(3, IN)).state_dict().items()}
    torch.save(wrapped(state, how), tmp_path / "net.pth")
    found = state_of(own("resnet9", {}), read_tensors(tmp_path / "net.pth"), "net").state
    assert all(torch.equal(found[name], x) for name, x in state.items())


def test_safetensors_and_torch_files_of_old(tmp_path: Path) -> None:
    state = drawn(resnet(3, IN)).state_dict()
    save_file(dict(state), tmp_path / "net.bin")  # known by its contents, not by its name
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    for file in ("net.bin", "old.pth"):
        found = read_tensors(tmp_path / file)
        assert all(torch.equal(found[name], x) for name, x in state.items())


def test_safetensors_may_begin_as_an_archive_does(tmp_path: Path) -> None:
    """A header of 0x4b50 bytes begins with PK."""
    file, state = tmp_path / "net.safetensors", {"x": torch.ones(2)}
    save_file(state, file, {"note": ""})
    empty = int.from_bytes(file.read_bytes()[:8], "little")
    save_file(state, file, {"note": "n" * (0x4B50 - empty)})
    assert file.read_bytes()[:2] == b"PK"
    assert torch.equal(read_tensors(file)["x"], state["x"])


def test_statistics_of_old_instance_norms_are_dropped_and_said() -> None:
    state = dict(resnet(3, IN).state_dict())
    state |= {"model.2.running_mean": torch.zeros(3), "model.2.running_var": torch.ones(3)}
    fit = state_of(own("resnet9", {}), state, "net")
    assert "2 statistics of instance norm dropped" in fit.said


def test_batch_norms_of_old_have_no_count_of_batches() -> None:
    state = {n: x for n, x in resnet(3, BN).state_dict().items() if "num_batches" not in n}
    fit = state_of(own("resnet9", {"norm": "batch"}), state, "net")
    assert "counts of batches set to 0" in fit.said
    own("resnet9", {"norm": "batch"}).load_state_dict(fit.state)


def test_what_does_not_fit_is_named() -> None:
    state = dict(resnet(4, IN).state_dict())
    with pytest.raises(
        WeightsError, match=r"model.1.weight is \[4, 3, 7, 7\], should be \[3, 3, 7, 7\]"
    ):
        state_of(own("resnet9", {}), state, "net")
    lacking = {n: x for n, x in resnet(3, IN).state_dict().items() if n != "model.26.bias"}
    with pytest.raises(WeightsError, match=r"model.26.bias is missing \(1 in all\)"):
        state_of(own("resnet9", {}), lacking, "net")
    with pytest.raises(WeightsError, match=r"model.2.weight is unexpected"):
        state_of(
            own("resnet9", {}),
            resnet(3, nn.InstanceNorm2d).state_dict() | {"model.2.weight": torch.ones(3)},
            "net",
        )


def test_two_networks_that_fit_are_one_too_many() -> None:
    state = resnet(3, IN).state_dict()
    both = {f"netG_{d}.{name}": x for d in "AB" for name, x in state.items()}
    with pytest.raises(WeightsError, match=r"several that fit, 'netG_A.', 'netG_B.'"):
        state_of(own("resnet9", {}), both, "net")
    assert recognise(both, 64)[0].also == ("netG_B.",)


def test_a_batch_norm_network_is_not_read_as_instance_norm() -> None:
    assert best_fit(own("resnet9", {}), resnet(3, BN).state_dict()).faults


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("run",)


def test_nothing_in_a_file_is_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"state_dict": Evil()}, tmp_path / "evil.pth")
    torch.save(resnet(3, IN), tmp_path / "module.pth")
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(Evil()))
    for name in ("evil.pth", "module.pth"):
        with pytest.raises(WeightsError, match=r"save `network.state_dict\(\)` alone"):
            read_tensors(tmp_path / name)
    with pytest.raises(WeightsError, match="cannot be read as weights"):
        read_tensors(tmp_path / "evil.pkl")
    assert capsys.readouterr().out == ""


def test_files_that_are_no_weights(tmp_path: Path) -> None:
    file = tmp_path / "net.pth"
    torch.save(resnet(3, IN).state_dict(), file)
    whole = file.read_bytes()
    for content, said in (
        (whole[: len(whole) // 2], "cannot be read as weights"),
        (b"<html>404</html>", "neither a file of torch"),
        (b"", "neither a file of torch"),
        ((2**60).to_bytes(8, "little") + b"{}", "cannot be read as safetensors"),
    ):
        file.write_bytes(content)
        with pytest.raises(WeightsError, match=said):
            read_tensors(file)
    torch.save([torch.zeros(1)], file)
    with pytest.raises(WeightsError, match="holds no tensors by name"):
        read_tensors(file)


def test_files_that_would_fill_the_memory(tmp_path: Path) -> None:
    torch.save({"x": torch.zeros(1).expand(10**6, 10**6)}, tmp_path / "wide.pth")
    with pytest.raises(WeightsError, match="x: not a plain tensor"):
        read_tensors(tmp_path / "wide.pth")
    with zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data/0", bytes(10**7))
    with pytest.raises(WeightsError, match="compressed archive"):
        read_tensors(tmp_path / "bomb.pth")


def test_a_changed_file_is_noticed(tmp_path: Path) -> None:
    torch.save(resnet(3, IN).state_dict(), tmp_path / "net.pth")
    with pytest.raises(WeightsError, match="has changed"):
        read_tensors(tmp_path / "net.pth", "0" * 64)


def test_integers_and_what_is_not_finite_are_no_weights() -> None:
    state = dict(resnet(3, IN).state_dict())
    quantised = {n: (100 * x).to(torch.int8) for n, x in state.items()}
    with pytest.raises(WeightsError, match=r"model.1.weight is int8, should be of floats"):
        state_of(own("resnet9", {}), quantised, "net")
    assert best_fit(own("resnet9", {}), quantised).faults == len(state)
    for spoilt in (float("nan"), float("inf")):
        state["model.1.bias"] = torch.tensor([0.0, spoilt, 0.0])
        prefixed = {f"module.{n}": x for n, x in state.items()}
        with pytest.raises(WeightsError, match=r"net: module.model.1.bias is not finite"):
            state_of(own("resnet9", {}), prefixed, "net")


def test_a_file_with_a_tensor_of_fewer_dimensions_is_recognised_as_far_as_it_goes() -> None:
    state = dict(patchgan(6, 3, BN).state_dict()) | {"model.0.weight": torch.zeros(3)}
    best = recognise(state, 64)[0]
    assert best.architecture == "patchgan"
    assert "model.0.weight is [3], should be [" in best.fit.fault
