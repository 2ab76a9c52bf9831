"""The five prepared assets that training, evaluation and registry read, as keyword arguments of `TrainingInputs`."""

import dagster as dg

_ASSETS = {
    "normalised": "normalized_icons",
    "tensors": "rgba_tensors",
    "captions": "captions",
    "embeddings": "caption_embeddings",
    "splits": "splits",
}


def ins(*others: str) -> dict[str, dg.AssetIn]:
    """Inputs of an asset with the parameters `others`, named like their assets, and `**inputs`, which `TrainingInputs` takes."""
    return {name: dg.AssetIn(asset) for name, asset in _ASSETS.items()} | {name: dg.AssetIn(name) for name in others}
