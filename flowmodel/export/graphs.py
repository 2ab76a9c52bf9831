"""Exports a model's parts as ONNX graphs, in float32 and with any batch size.

PyTorch's exporter takes ten seconds and hundreds of megabytes. If the model of an earlier export differs only in its weights, its
graph is therefore used again.

Shape suffixes: B batch, C channels, H/W height and width, L caption tokens, D width of the caption tower.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.export import Dim

from flowmodel.files import atomic_path
from flowmodel.flow.velocity_model import VelocityModel
from flowmodel.nets import TextCondition
from flowmodel.nets.finisher import Finisher
from flowmodel.text.minilm import MAX_TOKENS

_OPSET = 20
_BATCH, _LENGTH = Dim("batch"), Dim("length")
_LARGEST_ERROR = 1e-3  # of a graph's results
ORIGIN = 128  # the code of zero in weights that are stored in steps


class DifferentGraph(Exception):
    """The graph of an earlier export does not compute what the model computes."""


def export_network(model: VelocityModel, channels: int, size: int, text_width: int, path: Path, like: Path | None = None) -> Path:
    """Export an evaluation of the network for images (`channels`, `size`, `size`): x, t, pooled, tokens, mask to velocity.

    `like` is an earlier export. Its graph gets the weights of `model`; raises DifferentGraph if it is not the graph of `model`.
    """
    batch, length = 3, 5  # not 1, which the exporter would treat as a constant
    generator = torch.Generator().manual_seed(0)
    given = {
        "x": torch.randn(batch, channels, size, size, generator=generator),
        "t": torch.tensor([0.1, 0.6, 0.95]),
        "pooled": torch.randn(batch, text_width, generator=generator),
        "tokens": torch.randn(batch, length, text_width, generator=generator),
        "mask": torch.arange(length) < torch.tensor([[5], [3], [1]]),
    }
    free = {"x": {0: _BATCH}, "t": {0: _BATCH}, "pooled": {0: _BATCH}} | {
        name: {0: _BATCH, 1: _LENGTH} for name in ("tokens", "mask")
    }
    return _write(_Evaluation(model), given, free, ["velocity"], path, like)


def export_finisher(finisher: Finisher, channels: int, size: int, path: Path, like: Path | None = None) -> Path:
    """Export the finisher: drawn to finished, both in [-1, 1]. `like` is used as by :func:`export_network`."""
    drawn_BCHW = torch.rand(3, channels, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return _write(finisher, {"drawn": drawn_BCHW}, {"drawn": {0: _BATCH}}, ["finished"], path, like)


def export_tower(tower: nn.Module, path: Path, step: float | None = None) -> Path:
    """Export the caption tower: ids (B, L) to pooled (B, D) and tokens (B, L, D). All texts of a batch have the same length,
    without padding. Matrices of multiples of `step` are stored as int16.
    """
    given = {"ids": torch.zeros(3, 5, dtype=torch.int64)}
    free = {"ids": {0: _BATCH, 1: Dim("length", max=MAX_TOKENS)}}
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # the fast path has a fused kernel that ONNX lacks
    try:
        return _write(_Encoding(tower), given, free, ["pooled", "tokens"], path, step=step)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


class _Evaluation(nn.Module):
    def __init__(self, model: VelocityModel) -> None:
        super().__init__()
        self.net, self._model = model.net, model  # registers the weights in this module

    def forward(self, x: Tensor, t: Tensor, pooled: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        return self._model.velocity(x, t, TextCondition(pooled, tokens, mask, torch.empty(0)))


class _Encoding(nn.Module):
    """The tower as :meth:`flowmodel.text.minilm.MiniLm.encode` uses it, which keeps tokens in half precision."""

    def __init__(self, tower: nn.Module) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        lengths_B = torch.full((ids.shape[0],), ids.shape[1])
        tokens_BLD = self.tower(ids, lengths_B)
        return nn.functional.normalize(tokens_BLD.mean(1), dim=-1), tokens_BLD.to(torch.float16).float()


def in_steps(weight: NDArray[np.float32], step: float) -> NDArray[np.int16]:
    """`weight` in multiples of `step`, plus ORIGIN, which gives most of them the same higher byte."""
    steps = np.rint(weight / np.float32(step)) + ORIGIN
    assert np.abs(steps).max(initial=0) < 2**15, "the step is too small for these weights"
    return steps.astype(np.int16)


def rounded_halves(graph: Any, bits: int) -> None:
    """Round weights in float16 to `bits` fewer bits."""
    from onnx import TensorProto, numpy_helper

    for tensor in graph.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT16:
            codes = numpy_helper.to_array(tensor).view(np.uint16)
            rounded = (codes + np.uint16(1 << bits - 1)) >> bits << bits  # a carry into the exponent is right as well
            tensor.CopyFrom(numpy_helper.from_array(rounded.view(np.float16), tensor.name))


def _write(
    module: nn.Module,
    given: Mapping[str, Tensor],
    free: Mapping[str, Any],
    outputs: list[str],
    path: Path,
    like: Path | None = None,
    step: float | None = None,
) -> Path:
    import onnx

    module.eval()
    graph = _with_weights(onnx.load(like), module, given) if like else _traced(module, given, free, outputs)
    if step is None:
        _halve(graph)
    else:
        _count(graph, step)
    onnx.checker.check_model(graph)
    with atomic_path(path) as temporary:
        onnx.save(graph, temporary)
    return path


def _traced(module: nn.Module, given: Mapping[str, Tensor], free: Mapping[str, Any], outputs: list[str]) -> Any:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # deprecations inside the exporter
        program = torch.onnx.export(
            module,
            tuple(given.values()),
            input_names=list(given),
            output_names=outputs,
            dynamic_shapes=tuple(free[name] for name in given),
            opset_version=_OPSET,
            verbose=False,
            optimize=False,  # onnxruntime does the same when it loads the graph, and initializers keep the names of weights
        )
    assert program is not None
    graph = program.model_proto
    _forget_origin(graph)
    for declared in graph.graph.input:
        dims = declared.type.tensor_type.shape.dim
        assert all(dims[at].dim_param for at in free[declared.name]), f"{declared.name} was given a fixed shape"
    return graph


def _with_weights(graph: Any, module: nn.Module, given: Mapping[str, Tensor]) -> Any:
    """Replace the weights of an earlier export, and require that the results are those of `module`."""
    from onnx import numpy_helper
    from onnxruntime import InferenceSession

    _undo_halving(graph)
    weights = dict(module.named_parameters()) | dict(module.named_buffers())
    for tensor in graph.graph.initializer:
        weight = weights.get(tensor.name)
        if weight is not None and list(weight.shape) == list(tensor.dims):
            tensor.CopyFrom(numpy_helper.from_array(weight.detach().numpy(), tensor.name))
        elif "." in tensor.name:  # a weight of another network
            raise DifferentGraph(tensor.name)
    session = InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    [found] = session.run(None, {name: value.numpy() for name, value in given.items()})
    with torch.no_grad():
        expected = module(*given.values()).numpy()
    if not np.allclose(found, expected, rtol=_LARGEST_ERROR, atol=_LARGEST_ERROR):
        raise DifferentGraph("other results")
    return graph


def _forget_origin(graph: Any) -> None:
    """Remove the source code lines, with their paths, that the exporter stores with every node."""
    for part in (graph.graph, *graph.functions):
        for each in (*part.node, *part.value_info):
            each.ClearField("metadata_props")
            each.ClearField("doc_string")
    for each in (graph, graph.graph, *graph.graph.initializer, *graph.graph.input, *graph.graph.output):
        each.ClearField("metadata_props")
        each.ClearField("doc_string")


def _undo_halving(graph: Any) -> None:
    from onnx import numpy_helper

    halves = {tensor.name: tensor for tensor in graph.graph.initializer}
    nodes = []
    for node in graph.graph.node:
        if node.op_type == "Cast" and (half := halves.get(node.input[0])) is not None:
            values = numpy_helper.to_array(half).astype(np.float32)
            half.CopyFrom(numpy_helper.from_array(values, node.output[0]))
        else:
            nodes.append(node)
    graph.graph.ClearField("node")
    graph.graph.node.extend(nodes)


def _halve(graph: Any) -> None:
    """Store weights in float16 if that is lossless, as in the shipped checkpoint; they are float32 once loaded."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in graph.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):  # values that are too large are not converted
            halves = values.astype(np.float16)
        if values.ndim > 1 and (halves.astype(np.float32) == values).all():
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(halves, f"{name}_float16"))
            casts.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
    _put_first(graph, casts)


def _count(graph: Any, step: float) -> None:
    """Store matrices of multiples of `step` as int16; they are float32 once loaded."""
    from onnx import TensorProto, helper, numpy_helper

    nodes = []
    for tensor in list(graph.graph.initializer):
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.ndim != 2:
            continue
        name, stored, whole, moved = (tensor.name, *(f"{tensor.name}_{part}" for part in ("steps", "float", "moved")))
        steps = in_steps(values, step)
        assert np.allclose((steps - ORIGIN) * np.float32(step), values, rtol=1e-6), f"{name} was not rounded"
        tensor.CopyFrom(numpy_helper.from_array(steps, stored))
        nodes.append(helper.make_node("Cast", [stored], [whole], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Sub", [whole, "origin"], [moved]))
        nodes.append(helper.make_node("Mul", [moved, "step"], [name]))
    graph.graph.initializer.append(numpy_helper.from_array(np.array(ORIGIN, np.float32), "origin"))
    graph.graph.initializer.append(numpy_helper.from_array(np.array(step, np.float32), "step"))
    _put_first(graph, nodes)


def _put_first(graph: Any, nodes: list[Any]) -> None:
    nodes = [*nodes, *graph.graph.node]
    graph.graph.ClearField("node")
    graph.graph.node.extend(nodes)
