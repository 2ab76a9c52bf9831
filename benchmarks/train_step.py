"""A training step compared with other libraries: `python -m benchmarks.train_step [--quick] [--json FILE] [--device
cpu|cuda|mps]`.

Forward, backward, clipping and AdamW, on the same batch, with networks of the same number of parameters (within 5%), in turn
in one process. A peer runs in both memory formats, and the faster one counts. The same run measures the machine's limits: a
product of 2048 x 2048 matrices, and a large 3 x 3 convolution, forward and backward.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measure import emulates_bfloat16, interleave, median_ratio, write_json
from benchmarks.networks import CHANNELS, DiffusersUNet, TorchcfmUNet, captions, is_installed, laptop_unet
from flowmodel.model.device import DevicePolicy
from flowmodel.nets import count_parameters

GOALS = {32: 2.2, 64: 2.0}  # times as fast as each peer, float32 on a CPU
BATCHES = {32: 32, 64: 16}
OURS = "ours"


@dataclass(frozen=True)
class Row:
    """A network's figures; `speed_up` is how many times as fast ours is."""

    network: str
    size: int
    precision: str
    parameters: int
    gflop_step: float
    images_per_second: float
    gflops: float
    speed_up: float


def training_step(network: nn.Module, policy: DevicePolicy, size: int, batch: int) -> Callable[[], None]:
    """Forward, backward, clipping and AdamW on one batch of noise; returns when the device has finished."""
    network = network.to(policy.device, memory_format=policy.memory_format)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(network.parameters(), 1e-4, fused=policy.fused_optimizer)
    torch.manual_seed(0)
    x_BCHW = torch.randn(batch, CHANNELS, size, size).to(policy.device).contiguous(memory_format=policy.memory_format)
    t_B, text = torch.rand(batch).to(policy.device), captions(batch, policy.device)
    forward = torch.compile(network) if policy.compile else network

    def step() -> None:
        with policy.autocast_context():
            loss = (forward(x_BCHW, t_B, text).float() - x_BCHW).square().mean()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        _wait(policy.device)

    return step


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
    elif device == "mps":
        torch.mps.synchronize()


def _forward_gflop(network: nn.Module, size: int) -> float:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.cpu()(torch.randn(1, CHANNELS, size, size), torch.rand(1), captions(1))
    return counter.get_total_flops() / 1e9


def measure(size: int, policy: DevicePolicy, precision: str, repeats: int) -> list[Row]:
    """The networks at images of `size` pixels under `policy`."""
    contiguous = DevicePolicy(policy.device, torch.contiguous_format, policy.autocast, policy.fused_optimizer, policy.compile)
    builders: dict[str, tuple[Callable[[], nn.Module], tuple[DevicePolicy, ...]]] = {
        OURS: (laptop_unet, (policy,)),
        "ours, depthwise separable": (
            lambda: laptop_unet(convolution="depthwise_separable", channels=(96, 160, 240), head_dim=16),
            (policy,),
        ),
        "ours, stem 4": (lambda: laptop_unet(patch_size=4, channels=(80, 160)), (policy,)),
    }
    if is_installed("diffusers"):
        builders["diffusers UNet2DConditionModel"] = (lambda: DiffusersUNet(size), (policy, contiguous))
    if is_installed("torchcfm"):
        builders["torchcfm UNetModel"] = (lambda: TorchcfmUNet(size), (policy, contiguous))
    batch = BATCHES[size]
    runs, built = {}, {}
    for name, (build, policies) in builders.items():
        for number, chosen in enumerate(dict.fromkeys(policies)):
            torch.manual_seed(0)
            built[name] = network = build()
            runs[name, number] = training_step(network, chosen, size, batch)
    times = interleave({f"{name}/{number}": run for (name, number), run in runs.items()}, repeats, warm_up=2)
    rows = []
    for name, network in built.items():
        own = min((times[f"{name}/{n}"] for known, n in runs if known == name), key=median)
        gflop = 3 * batch * _forward_gflop(network, size)  # the backward pass costs twice as much
        seconds = median(own)
        rows.append(
            Row(
                network=name,
                size=size,
                precision=precision,
                parameters=count_parameters(network),
                gflop_step=gflop,
                images_per_second=batch / seconds,
                gflops=gflop / seconds,
                speed_up=median_ratio(own, times[f"{OURS}/0"]),
            )
        )
    return rows


def machine_limits(policy: DevicePolicy, repeats: int) -> dict[str, float]:
    """GFLOP/s of a matrix product and of a convolution, in the precision of `policy`."""
    dtype = policy.autocast or torch.float32
    a, b = (torch.randn(2048, 2048, device=policy.device, dtype=dtype) for _ in range(2))
    convolution = nn.Conv2d(256, 256, 3, padding=1, device=policy.device, dtype=dtype).to(memory_format=policy.memory_format)  # type: ignore[call-overload]
    x_BCHW = torch.randn(32, 256, 32, 32, device=policy.device, dtype=dtype).contiguous(memory_format=policy.memory_format)
    gradient_BCHW, x_BCHW = torch.ones_like(x_BCHW), x_BCHW.requires_grad_()

    def product() -> None:
        torch.mm(a, b)
        _wait(policy.device)

    def convolve() -> None:
        convolution(x_BCHW).backward(gradient_BCHW)
        _wait(policy.device)

    times = interleave({"product": product, "convolution": convolve}, repeats)
    convolution_flop = 3 * 2 * 9 * 256 * 256 * 32 * 32 * 32
    return {
        "product of 2048 x 2048 matrices": 2 * 2048**3 / median(times["product"]) / 1e9,
        "3 x 3 convolution, 256 channels, forwards and backwards": convolution_flop / median(times["convolution"]) / 1e9,
    }


def _policies(device: str) -> dict[str, DevicePolicy]:
    float32 = DevicePolicy.choose(device, "float32", "off")
    if float32.device == "mps":
        return {"float32": float32}
    if float32.device == "cuda":
        return {"float32": float32, "bfloat16, compiled": DevicePolicy.choose(device, "bfloat16", "on")}
    return {"float32": float32, "bfloat16": DevicePolicy.choose(device, "bfloat16", "off")}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, 32 pixels and float32 only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers there")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"])
    options = parser.parse_args()
    console, kept, report = Console(width=150), True, []
    for precision, policy in _policies(options.device).items():
        if options.quick and precision != "float32":
            continue
        repeats, sizes = (3, (32,)) if options.quick else (9, (32, 64))
        emulated = precision != "float32" and emulates_bfloat16(policy.device)
        if emulated:
            console.print("this CPU has no instructions for bfloat16 and takes about ten times as long: 32 pixels only, twice")
            repeats, sizes = 2, (32,)
        limits = {} if emulated else machine_limits(policy, repeats)  # one emulated product takes a minute
        for size in sizes:
            rows = measure(size, policy, precision, repeats)
            console.print(_table(rows, size, policy))
            report.append({"size": size, "policy": str(policy), "limits": limits, "rows": [asdict(row) for row in rows]})
            peers = [row for row in rows if not row.network.startswith(OURS)]
            if policy.device == "cpu" and precision == "float32":
                kept = kept and all(row.speed_up >= GOALS[size] for row in peers)
            ours = rows[0]
            for what, gflops in limits.items():
                console.print(f"{what}: {gflops:.0f} GFLOP/s; ours runs at {ours.gflops / gflops:.0%} of it")
    if not peers:
        console.print("no peer is installed: pip install -e '.[bench]'")
    write_json(options.json, report)
    return 0 if kept else 1


def _table(rows: list[Row], size: int, policy: DevicePolicy) -> Table:
    goal = f"; the goal is {GOALS[size]} times each peer" if policy.device == "cpu" and policy.autocast is None else ""
    table = Table(
        *("network", "parameters", "GFLOP a step", "images/s", "GFLOP/s", "ours is x times as fast"),
        title=f"training step, {size} x {size}, batch {BATCHES[size]}, {policy}{goal}",
    )
    for row in rows:
        table.add_row(
            row.network,
            f"{row.parameters / 1e6:.2f} M",
            f"{row.gflop_step:.1f}",
            f"{row.images_per_second:.1f}",
            f"{row.gflops:.0f}",
            "" if row.network == OURS else f"{row.speed_up:.2f}",
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
