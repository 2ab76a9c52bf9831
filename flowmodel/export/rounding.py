"""Rounds the matrices of a caption tower to multiples of a step, so that its outputs change least.

The weights of a row that are rounded later compensate for the error of earlier ones, according to the inputs of the
matrix (GPTQ, Frantar et al. 2210.17323). That more than halves the error of a caption's vectors (docs/log.md).

Shape suffixes: R rows, K columns, B texts, L tokens, D width, H heads of width W, N tokens of all texts.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from flowmodel.text.minilm import Tower

_DAMPING = 0.01  # of the mean diagonal of the Hessian


@torch.no_grad()
def round_tower(tower: Tower, texts: Sequence[Sequence[int]], step: float) -> None:
    """Round all matrices of `tower` but that of the words; `texts` are token ids of typical texts."""
    for table in (tower.positions, tower.segments):
        table.weight.copy_(_nearest(table.weight, step))
    ids_BL = nn.utils.rnn.pad_sequence([torch.tensor(ids) for ids in texts], batch_first=True)
    is_token_BL = torch.arange(ids_BL.shape[1]) < torch.tensor([len(ids) for ids in texts])[:, None]
    x_BLD = tower.embed(ids_BL)
    for layer in tower.encoder.layers:
        attention = layer.self_attn
        _round(attention.in_proj_weight, x_BLD[is_token_BL], step)
        both = functional.linear(x_BLD, attention.in_proj_weight, attention.in_proj_bias).chunk(3, dim=-1)
        q_BHLW, k_BHLW, v_BHLW = (each.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2) for each in both)
        attended_BHLW = functional.scaled_dot_product_attention(q_BHLW, k_BHLW, v_BHLW, is_token_BL[:, None, None])
        attended_BLD = attended_BHLW.transpose(1, 2).flatten(2)
        _round(attention.out_proj.weight, attended_BLD[is_token_BL], step)
        x_BLD = layer.norm1(x_BLD + attention.out_proj(attended_BLD))
        _round(layer.linear1.weight, x_BLD[is_token_BL], step)
        hidden_BLD = functional.gelu(layer.linear1(x_BLD))
        _round(layer.linear2.weight, hidden_BLD[is_token_BL], step)
        x_BLD = layer.norm2(x_BLD + layer.linear2(hidden_BLD))


def _nearest(weight: Tensor, step: float) -> Tensor:
    return (weight / step).round() * step


def _round(weight_RK: Tensor, inputs_NK: Tensor, step: float) -> None:
    hessian_KK = (inputs_NK.T @ inputs_NK).double()
    hessian_KK.diagonal().add_(_DAMPING * hessian_KK.diagonal().mean())
    inverse_KK = torch.cholesky_inverse(torch.linalg.cholesky(hessian_KK))
    shares_KK = torch.linalg.cholesky(inverse_KK, upper=True).float()
    columns_KR = weight_RK.T.contiguous()
    for k, column_R in enumerate(columns_KR):
        nearest_R = _nearest(column_R, step)
        error_R = (column_R - nearest_R) / shares_KK[k, k]
        column_R.copy_(nearest_R)
        columns_KR[k + 1 :].addr_(shares_KK[k, k + 1 :], error_R, alpha=-1)
    weight_RK.copy_(columns_KR.T)
