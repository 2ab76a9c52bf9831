"""The choice of a device and its policy."""

import pytest
import torch

from flowmodel.errors import FlowmodelError
from flowmodel.flow.objective import Draw, FlowMatchingObjective
from flowmodel.flow.velocity_model import VelocityModel
from flowmodel.model.device import DevicePolicy
from flowmodel.recipes.schema import ObjectiveConfig
from tests.nets.helpers import NETWORKS, noisy, perturbed, text_of


@pytest.fixture
def machine(monkeypatch):
    """Makes PyTorch report these devices besides the CPU."""

    def have(*devices: str) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in devices)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in devices)

    return have


@pytest.mark.parametrize(("devices", "chosen"), [((), "cpu"), (("mps",), "mps"), (("cuda",), "cuda"), (("cuda", "mps"), "cuda")])
def test_auto_takes_cuda_before_mps_before_the_cpu(machine, devices, chosen):
    machine(*devices)
    assert DevicePolicy.choose("auto").device == chosen


def test_cuda_computes_in_bfloat16_channels_last_and_compiled(machine):
    machine("cuda")
    policy = DevicePolicy.choose()
    assert policy == DevicePolicy("cuda", torch.channels_last, torch.bfloat16, fused_optimizer=True, compile=True)
    assert str(policy) == "cuda (bfloat16, channels last, compiled)"
    plain = DevicePolicy.choose("cuda", "float32", "off")
    assert plain.autocast is None and not plain.compile


def test_mps_computes_in_float32_contiguous_and_not_compiled(machine):
    machine("mps")
    policy = DevicePolicy.choose()
    assert policy == DevicePolicy("mps", torch.contiguous_format, None, fused_optimizer=False, compile=False)
    assert str(policy) == "mps (float32, contiguous)"
    assert DevicePolicy.choose("mps", compile="on").compile
    with pytest.raises(FlowmodelError, match=r"training\.precision 'bfloat16': not reliable on MPS; use float32"):
        DevicePolicy.choose("mps", "bfloat16")


def test_the_cpu_computes_in_float32_channels_last_unless_told_otherwise(machine):
    machine()
    assert DevicePolicy.choose() == DevicePolicy("cpu", torch.channels_last, None, fused_optimizer=True, compile=False)
    with DevicePolicy.choose("cpu", "bfloat16").autocast_context():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    with DevicePolicy.choose("cpu").autocast_context():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


@pytest.mark.parametrize(("devices", "there"), [((), "cpu"), (("mps",), "mps, cpu"), (("cuda",), "cuda, cpu")])
@pytest.mark.parametrize("wanted", ["tpu", "vulkan"])
def test_a_device_that_is_not_there_is_stated_with_those_that_are(machine, devices, there, wanted):
    machine(*devices)
    with pytest.raises(FlowmodelError, match=f"device '{wanted}': not available here; use one of {there}, or auto"):
        DevicePolicy.choose(wanted)


def test_cuda_is_not_silently_replaced(machine):
    machine()
    with pytest.raises(FlowmodelError, match="device 'cuda': not available here; use one of cpu, or auto"):
        DevicePolicy.choose("cuda")


_OTHER = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else None


@pytest.mark.skipif(_OTHER is None, reason="no other device than the CPU")
@pytest.mark.parametrize("kind", NETWORKS)
def test_losses_and_gradients_of_the_other_device_are_the_cpu_s(kind):
    """In float32, within 1e-3 of the loss and 1% of each gradient's norm (TF32 off, sums in another order)."""

    config = ObjectiveConfig()

    def computed(device: str) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        policy = DevicePolicy.choose(device, "float32", "off")
        network = perturbed(kind).to(device, memory_format=policy.memory_format)
        data_BCHW = noisy(kind, 2).clamp(-1, 1).to(device).contiguous(memory_format=policy.memory_format)
        keep_B = torch.tensor([True, False], device=device)
        draw = Draw(noisy(kind, 2).flip(0).to(device), torch.tensor([0.2, 0.7], device=device), keep_B)
        loss_B = FlowMatchingObjective(config).loss(VelocityModel.of(network, config), data_BCHW, text_of(3, 5).to(device), draw)
        loss_B.mean().backward()
        gradients = {name: p.grad.cpu() for name, p in network.named_parameters() if p.grad is not None}
        return loss_B.detach().cpu(), gradients

    (cpu_B, cpu_gradients), (other_B, other_gradients) = computed("cpu"), computed(_OTHER)
    assert torch.allclose(cpu_B, other_B, rtol=1e-3)
    for name, gradient in cpu_gradients.items():
        assert (gradient - other_gradients[name]).norm() <= 1e-2 * gradient.norm() + 1e-6, name
