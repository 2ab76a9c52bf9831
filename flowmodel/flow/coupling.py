"""Which noise goes with which picture of a batch.

Paths that are paired by optimal transport cross less and are straighter. For a conditional model plain transport is a trap:
which noise a caption is paired with then depends on its picture, so that the noise of a caption is no longer normal, while
sampling starts from normal noise (Cheng & Schwing 2503.10636).

Shape suffixes: B batch, C channels, H/W height and width, D width of the caption vectors.
"""

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor


def transport(noise_BCHW: Tensor, data_BCHW: Tensor, condition_BD: Tensor | None = None, condition_weight: float = 0.0) -> Tensor:
    """The same noises, in the order that costs least to carry to the pictures (Tong et al. 2302.00482, section 3.2.3).

    Cost of giving noise i to picture j, both with D numbers: ||x_0^i - x_1^j||^2 / D. With captions, where noise i was drawn for
    caption i, it costs w (1 - cos(c_i, c_j)) more to leave that caption (C2OT, 2503.10636, for continuous conditions): a large w
    pairs within equal captions only, so that every caption keeps normal noise.
    """
    costs_BB = torch.cdist(noise_BCHW.flatten(1).float(), data_BCHW.flatten(1).float()).square() / noise_BCHW[0].numel()
    if condition_BD is not None:
        direction_BD = F.normalize(condition_BD.float(), dim=1)
        costs_BB = costs_BB + condition_weight * (1 - direction_BD @ direction_BD.T)
    _, order = linear_sum_assignment(costs_BB.T.cpu().numpy())  # for each picture, its noise
    return noise_BCHW[torch.as_tensor(order, device=noise_BCHW.device)]
