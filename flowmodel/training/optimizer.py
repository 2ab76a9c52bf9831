"""Optimizers: Muon for weight matrices, AdamW for everything else, or AdamW for all.

On small budgets, Muon needs less than half as many steps as AdamW here (docs/decisions/muon.md).

Shape suffixes: G matrices of one shape, R rows (output channels), C columns (all other dimensions).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from flowmodel.recipes.schema import TrainingConfig

_LEAST_EDGE = 16  # smaller matrices have no spectrum worth equalizing


def orthogonalize(matrices_GRC: Tensor, iterations: int = 5) -> Tensor:
    """Approximate U V^T for each matrix U S V^T: all singular values become about 1.

    Newton-Schulz iteration with the quintic of Jordan et al., "Muon: an optimizer for hidden layers" (2024). Each iteration
    multiplies by a polynomial of the Gram matrix, and all of these commute. So only the small Gram matrices are iterated, and the
    matrices themselves take part in the first and the last product: a third of the arithmetic where C is 9 R. That needs
    float32: rounding errors of the Gram matrix grow by a factor of 12 in each iteration.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    is_tall = matrices_GRC.shape[1] > matrices_GRC.shape[2]
    x = matrices_GRC.mT if is_tall else matrices_GRC
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    gram = x @ x.mT
    product: Tensor | None = None
    for remaining in reversed(range(iterations)):
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal(dim1=1, dim2=2).add_(a)
        product = factor if product is None else factor @ product
        if remaining:
            gram = factor @ gram @ factor
    x = x if product is None else product @ x
    return x.mT if is_tall else x


class Muon(torch.optim.Optimizer):
    """Nesterov momentum with orthogonalized updates, for weights with two or more dimensions, which are treated as matrices.

    The update is scaled by 0.2 sqrt(max(R, C)), which makes it about as large as AdamW's, so that both use one learning rate
    (Liu et al. 2502.16982, section 2.2). Weight decay is decoupled.
    """

    def __init__(self, parameters: Iterable[Tensor], lr: float, weight_decay: float, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            by_shape: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                momentum = state["momentum"].lerp_(parameter.grad, 1 - group["momentum"])
                # In the column order of channels-last weights in memory, so that it is a view.
                update_RC = parameter.grad.lerp(momentum, group["momentum"]).movedim(1, -1).flatten(1)
                by_shape[tuple(update_RC.shape)].append((parameter, update_RC))
            for shape, members in by_shape.items():
                updates_GRC = orthogonalize(torch.stack([update_RC for _, update_RC in members]))
                for (parameter, _), update_RC in zip(members, updates_GRC, strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    update = update_RC.reshape(parameter.movedim(1, -1).shape).movedim(-1, 1)
                    parameter.add_(update, alpha=-group["lr"] * 0.2 * max(shape) ** 0.5)


class Optimizers:
    """The optimizers of a network as one object: stepped together, saved and restored by parameter name."""

    def __init__(self, network: nn.Module, config: TrainingConfig, fused: bool) -> None:
        self._fused = fused
        self._names: dict[Tensor, str] = {parameter: name for name, parameter in network.named_parameters()}
        matrices = [parameter for parameter in self._names if config.optimizer == "muon" and _is_matrix(parameter)]
        others = [parameter for parameter in self._names if not any(parameter is matrix for matrix in matrices)]
        self._members: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(others, config.learning_rate, betas=(0.9, 0.99), weight_decay=config.weight_decay, fused=fused)
        ]
        if matrices:
            self._members.append(Muon(matrices, config.learning_rate, config.weight_decay))

    def step(self, learning_rate: float) -> None:
        """Update the weights and clear the gradients."""
        for member in self._members:
            for group in member.param_groups:
                group["lr"] = learning_rate
            member.step()
            member.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Tensor]:
        """All tensors that the next step depends on, named `<kind>/<parameter>`."""
        return {f"{what}/{self._names[parameter]}": value for parameter, what, value in self._entries()}

    def _entries(self) -> Iterator[tuple[Tensor, str, Tensor]]:
        for member in self._members:
            for parameter, values in member.state.items():
                for what, value in values.items():
                    yield parameter, what, value

    def expected(self) -> dict[str, Tensor]:
        """Tensors with the names, shapes and dtypes that :meth:`state` has after the first step."""
        adamw, *muon = self._members
        expected: dict[str, Tensor] = {}
        for parameter in _parameters(adamw):
            name = self._names[parameter]
            expected |= {f"step/{name}": torch.zeros(()), f"exp_avg/{name}": parameter, f"exp_avg_sq/{name}": parameter}
        return expected | {f"momentum/{self._names[parameter]}": parameter for m in muon for parameter in _parameters(m)}

    def load(self, state: dict[str, Tensor]) -> None:
        parameters = {name: parameter for parameter, name in self._names.items()}
        owner = {parameter: member for member in self._members for parameter in _parameters(member)}
        for key, value in state.items():
            what, _, name = key.partition("/")
            parameter = parameters[name]
            if what == "step":  # AdamW counts steps on the device only if it is fused
                owner[parameter].state[parameter][what] = value.to(parameter.device if self._fused else "cpu")
            else:  # in the parameter's memory format
                owner[parameter].state[parameter][what] = torch.empty_like(parameter).copy_(value)


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _is_matrix(parameter: Tensor) -> bool:
    return parameter.ndim >= 2 and min(parameter.shape[0], parameter[0].numel()) >= _LEAST_EDGE
