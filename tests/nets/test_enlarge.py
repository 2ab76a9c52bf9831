"""A network for larger images with the weights of one for small ones."""

import pytest
import torch
import torch.nn.functional as F

from flowmodel.nets import TextCondition, build_network
from flowmodel.nets.enlarge import enlarge_unet
from flowmodel.recipes.networks import UNetConfig


@pytest.mark.parametrize(("stem", "factor", "channels"), [(1, 2, 4), (2, 2, 4), (1, 4, 3), (2, 2, 1)])
def test_it_does_to_the_averaged_image_what_the_small_one_does(stem, factor, channels):
    torch.manual_seed(0)
    config = UNetConfig(patch_size=stem, channels=(16, 32), blocks_per_level=1, head_dim=8, embedding_dim=16)
    small = build_network(config, text_width=6, channels=channels)
    for parameter in small.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    large = build_network(config.model_copy(update={"patch_size": stem * factor}), text_width=6, channels=channels)
    large.load_state_dict(enlarge_unet(small.state_dict(), stem, factor))

    text = TextCondition.from_features(torch.randn(2, 6), [torch.randn(length, 6) for length in (3, 5)])
    x_BCHW, t_B = torch.randn(2, channels, 16 * factor, 16 * factor), torch.rand(2)
    with torch.inference_mode():
        expected_BCHW = F.interpolate(small(F.avg_pool2d(x_BCHW, factor), t_B, text), scale_factor=factor)
        torch.testing.assert_close(large(x_BCHW, t_B, text), expected_BCHW, rtol=1e-4, atol=1e-5)
