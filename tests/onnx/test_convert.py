"""A network as an ONNX file computes what torch computes, at any size, and says nothing else."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest
import torch

from bench.contracts.kinds import NETWORK
from bench.contracts.network import Generator
from bench.errors import AbsentExtra, ExportError
from bench.export.one_image import sides_of
from bench.onnx.convert import convert
from bench.onnx.session import Session
from bench.plan.cell import NUMERICS
from bench.train.device import configure

NAMES = ("image", "translated")
TRANSLATORS = ["deep_mobile_resnet9", "deep_unet", "mobile_resnet9", "pix2pixhd", "resnet9", "unet"]
OTHERS = {  # generators that do not make one image of one: no export of a student holds them
    "ldm_unet": "noise and a time",
    "sd_unet": "noise and a time",
    "signal_ffn": "noise and a time",
    **dict.fromkeys(
        ("ckd", "mobilenet", "pca_mobile", "pca_vgg", "photowct", "photowct2", "random_vgg"),
        "a content and a style",
    ),
    **dict.fromkeys(("vgg19", "wct2"), "a content and a style"),
}


def network(name: str, width: int = 2, size: int = 32, **params: Any) -> Generator:
    part = NETWORK.part(name, params, "test")
    torch.manual_seed(0)
    made: Any = part.load()(width, size, part.params)
    made.initialise()
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # as if it had learnt something
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
    return made.eval()


def test_every_generator_is_either_exported_or_known_not_to_be() -> None:
    generators = {
        name for name in NETWORK.names() if NETWORK.declaration(name, name).says.role == "generator"
    }
    assert generators == {*TRANSLATORS, *OTHERS}


@pytest.mark.parametrize("name", TRANSLATORS)
def test_onnxruntime_computes_what_torch_computes_at_any_size(name: str) -> None:
    one = network(name)
    step = sides_of(one).multiple
    content = convert(one, (torch.rand(2, 3, 32 + step, 32 + 2 * step),), NAMES, True)
    session = Session(content)
    for shape in [(1, 3, 32, 32), (3, 3, 32, 32 + step), (2, 3, 32 + 3 * step, 32)]:
        images = torch.rand(shape) * 2 - 1
        with torch.no_grad():
            expected = one(images)[0].numpy()
        np.testing.assert_allclose(session(images.numpy()), expected, atol=1e-4, rtol=0)
        assert expected.std() > 0
    assert b"site-packages" not in content
    assert b"/bench/" not in content


def test_equal_networks_give_equal_files_that_name_their_dimensions() -> None:
    import onnx

    images = torch.rand(2, 3, 36, 40)
    first, second = (convert(network("resnet9"), (images,), NAMES, True) for _ in range(2))
    assert first == second
    model = onnx.load_from_string(first)
    onnx.checker.check_model(model)
    for value in (*model.graph.input, *model.graph.output):
        sides = [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        assert sides == ["batch", 3, "height", "width"]


@pytest.mark.parametrize(
    ("name", "size", "sides"),
    [
        ("unet", 32, (32, 32)),
        ("unet", 64, (64, 64)),
        ("unet", 96, (32, 32)),
        ("resnet9", 32, (4, 8)),
    ],
)
def test_the_sizes_that_a_network_takes_are_found_by_trying(
    name: str, size: int, sides: tuple[int, int]
) -> None:
    one = network(name, size=size)
    assert tuple(sides_of(one)) == sides
    step, least = sides
    with torch.no_grad():
        assert one(torch.zeros(1, 3, least, least + step))[0].shape == (1, 3, least, least + step)
    try:
        with torch.no_grad():
            bad = one(torch.zeros(1, 3, least, least + step // 2))[0].shape
    except RuntimeError:
        return
    assert bad != (1, 3, least, least + step // 2)


def test_flags_of_a_run_are_as_they_were_before_a_conversion() -> None:
    """Torch's exporters raise under a run's flags, and would leave TF32 on behind them."""
    backends: Any = torch.backends
    flags = configure("cpu", torch.get_num_threads(), NUMERICS)
    content = convert(network("resnet9"), (torch.rand(1, 3, 32, 32),), NAMES)
    assert Session(content)(np.zeros((1, 3, 32, 32), np.float32)).shape == (1, 3, 32, 32)
    assert configure("cpu", torch.get_num_threads(), NUMERICS) == flags
    for part in (backends, backends.cudnn, backends.cudnn.conv, backends.cuda.matmul):
        assert part.fp32_precision == "ieee"


def test_without_the_extra_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if "onnx" in name else real(name)
    )
    for act in (lambda: Session(b""), lambda: convert(network("unet"), (torch.rand(1),))):
        with pytest.raises(AbsentExtra, match=r"pip install 'distillbench\[export\]'"):
            act()


def test_a_file_that_is_no_onnx_and_inputs_that_do_not_fit_are_one_line() -> None:
    with pytest.raises(ExportError, match="onnxruntime cannot run it"):
        Session(b"no model")
    content = convert(network("resnet9"), (torch.rand(1, 3, 32, 32),), NAMES)
    with pytest.raises(ExportError, match=r"inputs \(1, 3, 8, 8\)"):
        Session(content)(np.zeros((1, 3, 8, 8), np.float32))
