"""Peak memory of a training step against those of others: `python -m benchmarks.memory [--quick] [--json FILE] [--device …]`.

Each network runs in a separate process. On a CPU the result is the peak of the resident memory minus the memory before the
network was created; on CUDA it is the peak of PyTorch's allocator.
"""

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.measure import emulates_bfloat16, write_json
from benchmarks.networks import DiffusersUNet, TorchcfmUNet, is_installed, laptop_unet
from benchmarks.train_step import training_step
from flowmodel.model.device import DevicePolicy
from flowmodel.recipes.schema import Precision

_NETWORKS = {"ours": None, "diffusers UNet2DConditionModel": "diffusers", "torchcfm UNetModel": "torchcfm"}
_STEPS = 4


def _build(name: str, size: int) -> torch.nn.Module:
    match _NETWORKS[name]:
        case "diffusers":
            return DiffusersUNet(size)
        case "torchcfm":
            return TorchcfmUNet(size)
    return laptop_unet()


def _measure_here(name: str, size: int, batch: int, device: str, precision: Precision) -> float:
    """MiB of some training steps in this fresh process."""
    policy = DevicePolicy.choose(device, precision, "off")
    # Warm up with another network, so that PyTorch has loaded its kernels.
    training_step(laptop_unet(channels=(40,), attention_levels=1), policy, 8, 1)()
    before = _peak_mib(policy.device)
    step = training_step(_build(name, size), policy, size, batch)
    for _ in range(_STEPS):
        step()
    return _peak_mib(policy.device) - before


def _peak_mib(device: str) -> float:
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="32 pixels only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers there")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--only", help=argparse.SUPPRESS)  # for calling itself: NAME:SIZE:BATCH:PRECISION
    options = parser.parse_args()
    device = DevicePolicy.choose(options.device).device
    if options.only:
        name, size, batch, precision = options.only.split(":")
        print(json.dumps(_measure_here(name, int(size), int(batch), device, precision)))
        return 0
    table = Table("network", "size", "batch", "precision", "peak", "ours is", title=f"peak memory of a training step, {device}")
    report = []
    # An emulated step takes long, and 32 pixels are enough.
    for size, batch in ((32, 32),) if options.quick else ((32, 32), (64, 16), (64, 64)):
        for precision in ("float32", "bfloat16") if size == 32 or not emulates_bfloat16(device) else ("float32",):
            mib = {
                name: _in_a_process(f"{name}:{size}:{batch}:{precision}", device)
                for name, package in _NETWORKS.items()
                if package is None or is_installed(package)
            }
            for name, value in mib.items():
                ratio = f"{mib['ours'] / value:.2f} of it" if name != "ours" else ""
                table.add_row(name, f"{size} x {size}", str(batch), precision, f"{value:,.0f} MiB", ratio)
                report.append({"network": name, "size": size, "batch": batch, "precision": precision, "mib": value})
    Console(width=130).print(table)
    write_json(options.json, report)
    return 0


def _in_a_process(what: str, device: str) -> float:
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.memory", "--device", device, "--only", what]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return float(json.loads(output.splitlines()[-1]))


if __name__ == "__main__":
    sys.exit(main())
