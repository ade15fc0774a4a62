"""`distillbench count`: parameters and multiply-adds, in every convention."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import click

from bench.cli.options import json_option
from bench.contracts.width import Width, said_width
from bench.run.gpus import driver


def choose_device(wanted: str) -> str:
    """Choose the GPU where there is one; torch is only asked where a driver is installed."""
    if wanted != "auto":
        return wanted
    if driver() == "cpu":
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _width(ctx: click.Context, param: click.Parameter, text: str) -> Width:
    """Read a width: `16`, or `10,20,58,64`."""
    numbers = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdigit() and int(word) for word in numbers):
        raise click.BadParameter(f"{text!r}: expected positive numbers, as in 16 or 10,20,58,64.")
    found = tuple(int(word) for word in numbers)
    return found if len(found) > 1 else found[0]


def parameters(
    ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]
) -> dict[str, Any]:
    """Read `name=value`s, each value as a suite would have it."""
    from bench.plan.yaml import parse

    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise click.BadParameter(f"{text!r}: expected name=value, as in multiples=[1,2,4].")
        found[name] = parse(value, f"--set {text}")
    return found


@click.command()
@click.argument("network")
@click.option(
    "--width",
    callback=_width,
    metavar="CHANNELS",
    required=True,
    help="Base channels; several numbers, as in 10,20,58,64, where an architecture has several.",
)
@click.option("--size", type=click.IntRange(1), default=256, show_default=True, help="Image side.")
@click.option(
    "--channels",
    type=click.IntRange(1),
    default=6,
    show_default=True,
    help="A discriminator's input.",
)
@click.option(
    "--set",
    "given",
    multiple=True,
    metavar="NAME=VALUE",
    callback=parameters,
    help="A parameter of the network, as in multiples=[1,2,4]; may be repeated.",
)
@json_option
def count(
    network: str, width: Width, size: int, channels: int, given: dict[str, Any], as_json: bool
) -> None:
    """Count parameters and MACs of NETWORK, a file of bench/nets/, in each convention.

    \b
    C1  true multiply-adds
    C2  + biases, norms and activations: ptflops, WKD
    C3  C1 with transposed convolutions at their output: thop, GAN Compression, OMGD, FESD
    C5  C1 without the products of attention: thop on latent diffusion, Spectral Diffusion
    """
    from bench.evaluate.costs import count_network

    found = count_network(network, width, size, channels, given)
    if as_json:
        asked = {"network": network, "width": width, "size": size}
        click.echo(json.dumps(asked | asdict(found)))
        return
    click.echo(f"{network}, width {said_width(width)}, {size} x {size} pixels, batch 1")
    click.echo(f"parameters  {found.params:>16,}  {found.params / 1e6:10.5f} M")
    counts = {"C1": found.macs, "C2": found.macs_c2, "C3": found.macs_c3, "C5": found.macs_c5}
    for name, macs in counts.items():
        click.echo(f"MACs ({name})   {macs:>16,}  {macs / 1e9:10.4f} G")
