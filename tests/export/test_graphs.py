"""A network's graph gives the same results as the network."""

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper

from flowmodel.export.graphs import DifferentGraph, export_network, rounded_halves
from flowmodel.flow.guidance import GuidedVelocity
from flowmodel.flow.sampler import seeded_noise
from flowmodel.flow.solvers import integrate
from flowmodel.flow.velocity_model import VelocityModel
from flowmodel.images.tensors import from_unit
from flowmodel.recipes.schema import SamplingConfig
from flowmodel.runtime.onnx_generator import Captions, guided, to_bytes
from flowmodel.runtime.sessions import open_session
from tests.nets.helpers import NETWORKS, TEXT_WIDTH, channels_of, noisy, perturbed, text_of

SIZE = 16
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # the exporter takes its time


def _model(kind: str) -> VelocityModel:
    return VelocityModel(perturbed(kind), "velocity" if kind == "dit" else "data", 0.05)


@pytest.fixture(scope="module", params=NETWORKS)
def graph(request, tmp_path_factory):
    """A network of each kind, its number of channels, and its graph, which has the weights of another one before."""
    kind, channels = request.param, channels_of(request.param)
    folder, model, other = tmp_path_factory.mktemp("graphs"), _model(kind), _model(kind)
    for parameter in other.net.parameters():  # so many bits that they are stored in float16
        parameter.data = (parameter.data * 1.25).half().float()
    earlier = export_network(other, channels, SIZE, TEXT_WIDTH, folder / "earlier.onnx")
    return model, channels, export_network(model, channels, SIZE, TEXT_WIDTH, folder / "network.onnx", earlier)


@pytest.fixture(scope="module")
def pair(graph):
    model, channels, path = graph
    return model, open_session(path, threads=1), channels


def _captions(text) -> Captions:
    return Captions(text.pooled_BD.numpy(), text.tokens_BLD.numpy(), text.mask_BL.numpy())


@pytest.mark.parametrize("lengths", [(1,), (4,), (2, 7, 1)])
@pytest.mark.parametrize("t", [0.0, 0.4, 0.93])
def test_an_evaluation_is_the_same(pair, lengths, t):
    model, session, channels = pair
    x_BCHW, text = seeded_noise(len(lengths), SIZE, seed=1, channels=channels), text_of(*lengths)
    with torch.no_grad():
        expected_BCHW = model.velocity(x_BCHW, torch.full((len(lengths),), t), text).numpy()
    found_BCHW = guided(session, _captions(text), SamplingConfig(guidance=1.0))(x_BCHW.numpy(), t)
    assert found_BCHW.shape == expected_BCHW.shape and np.abs(expected_BCHW).max() > 0.1
    assert np.abs(found_BCHW - expected_BCHW).max() <= 1e-3


def test_guidance_over_twenty_evaluations_gives_the_same_image(pair):
    model, session, channels = pair
    noise_BCHW, text, config = seeded_noise(2, SIZE, seed=3, channels=channels), text_of(3, 5), SamplingConfig(steps=5)
    velocity = GuidedVelocity(model, text, config)
    with torch.no_grad():
        expected = from_unit(integrate(velocity, noise_BCHW, config)).numpy()
    assert velocity.evaluations == 20
    found = to_bytes(integrate(guided(session, _captions(text), config), noise_BCHW.numpy(), config))
    assert found.shape == expected.shape and expected.std() > 1
    assert np.abs(found.astype(int) - expected.astype(int)).mean() < 1


def test_a_caption_without_tokens_is_not_a_caption(pair):
    _, session, channels = pair
    captions = _captions(text_of(3))
    x_BCHW = noisy("unet", 1, SIZE)[:, :channels].numpy()
    settings = SamplingConfig(guidance=1.0)
    none = Captions(np.zeros_like(captions.pooled_BD), captions.tokens_BLD, np.zeros_like(captions.mask_BL))
    other = Captions(none.pooled_BD, captions.tokens_BLD + 1, none.mask_BL)
    velocity = [guided(session, each, settings)(x_BCHW, 0.5) for each in (none, other, captions)]
    assert np.array_equal(velocity[0], velocity[1]) and not np.array_equal(velocity[0], velocity[2])


def test_a_graph_of_another_model_is_not_used_again(graph, tmp_path):
    model, channels, path = graph
    prediction = "data" if model.prediction == "velocity" else "velocity"
    other = VelocityModel(model.net, prediction, 0.05)
    with pytest.raises(DifferentGraph):
        export_network(other, channels, SIZE, TEXT_WIDTH, tmp_path / "network.onnx", path)
    wider = VelocityModel(perturbed("grayscale_cnn" if channels > 1 else "unet"), "data", 0.05)
    with pytest.raises(DifferentGraph):
        export_network(wider, channels, SIZE, TEXT_WIDTH, tmp_path / "network.onnx", path)
    assert not list(tmp_path.iterdir())


def test_weights_of_half_precision_stay_so_in_the_file(tmp_path):
    sizes = []
    for precision in (torch.float32, torch.float16):
        network = perturbed("grayscale_cnn")
        for parameter in network.parameters():
            parameter.data = parameter.data.to(precision).float()
        model = VelocityModel(network, "data", 0.05)
        path = export_network(model, 1, SIZE, TEXT_WIDTH, tmp_path / f"{precision}.onnx")
        sizes.append(path.stat().st_size)
        x_BCHW, text = noisy("grayscale_cnn", 1, SIZE), text_of(3)
        with torch.no_grad():
            expected_BCHW = model.velocity(x_BCHW, torch.full((1,), 0.5), text).numpy()
        found_BCHW = guided(open_session(path), _captions(text), SamplingConfig(guidance=1.0))(x_BCHW.numpy(), 0.5)
        assert np.abs(found_BCHW - expected_BCHW).max() <= 1e-3
    assert sizes[1] < 0.85 * sizes[0]


@pytest.mark.parametrize("bits", [1, 2])
def test_weights_of_half_precision_are_rounded_to_the_nearest_with_fewer_bits(bits):
    values = np.array([1, 1.9995, -3.001, 2.0**-20, 0, 0.12345, 1000], np.float16)  # the second one is rounded to 2
    graph = helper.make_model(helper.make_graph([], "weights", [], [], [numpy_helper.from_array(values, "weight")]))
    rounded_halves(graph, bits)
    [found] = (numpy_helper.to_array(tensor) for tensor in graph.graph.initializer)
    assert found.dtype == np.float16 and not (found.view(np.uint16) % (1 << bits)).any()
    error = np.abs(found.astype(float) - values)
    assert error.max() > 0 and (error <= np.maximum(np.abs(values), 2.0**-14) * 2.0 ** (bits - 11)).all()
    onnx.checker.check_model(graph)
