"""Tests which scores of a report rank images as a person would: `python -m benchmarks.set_scores [--icons N]`.

Real icons of three styles stand in for a model's samples: unchanged, and slightly and strongly degraded in the four ways of
benchmarks/texture.py. A person ranks real, slightly and strongly degraded icons in that order. A score passes if it never
prefers the worse of two, for any style and degradation, for all icons and for each half of them.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.measure import EMOJI_SETS, print_rows, write_json
from benchmarks.texture import DEGRADATIONS
from flowmodel.data.prepare import prepare
from flowmodel.evaluation.caption_probe import load_caption_probe
from flowmodel.evaluation.features import load_extractor
from flowmodel.evaluation.metric_names import metric
from flowmodel.evaluation.real_icons import RealIcons, Rows
from flowmodel.evaluation.scoring import Images, Scorer, Values
from flowmodel.recipes import load_recipe
from flowmodel.recipes.split import Split
from flowmodel.store import Store

_SEED = 0
_OF_COPIES = ("near_copy_rate", "copy_rate", "copy_rate_pixels", "authentic_rate")  # a degraded icon is less of a copy


def ranked(scorer: Scorer, real: RealIcons, rows: Rows, variants: Sequence[Images]) -> list[list[Values]]:
    """Scores of the variants of the icons at `rows`: of all, and of each half."""
    parts = [np.arange(len(rows)), *np.array_split(np.arange(len(rows)), 2)]
    return [[scorer.scores(images[part], rows[part])[0] for images in variants] for part in parts]


def verdict(key: str, orders: Sequence[Sequence[float]]) -> dict[str, object]:
    """`orders` are the scores of real, slightly and strongly degraded icons."""
    sign = -1 if metric(key).better == "lower" else 1
    steps = np.sign([sign * np.diff(order) for order in orders])
    wrong, says = int((steps > 0).sum()), int((steps < 0).sum())
    return {"score": key, "wrong": wrong, "right": says, "equal": steps.size - wrong - says, "passes": wrong == 0 and says > 0}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--icons", type=int, default=128, help="most icons per style; a fixed random choice")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers there")
    options = parser.parse_args()
    store = Store.from_environment()
    dataset = prepare(load_recipe("pretrained"), store, EMOJI_SETS, log=lambda line: print(line, file=sys.stderr))
    extractor, cache = load_extractor(), store.root / "features"
    real = RealIcons.load(dataset, extractor, cache)
    trained = real.rows(real.of_split(Split.TRAIN))
    scorer = Scorer(real, trained, load_caption_probe(dataset, real, extractor, cache))
    orders: dict[str, list[list[float]]] = {}
    for source in dict.fromkeys(real.sources):
        own = trained[np.array(real.sources)[trained] == source]
        rows = np.random.default_rng(_SEED).permutation(own)[: options.icons]
        icons = real.rgba_M4HW[torch.from_numpy(rows)]
        plain = Images(icons, real.features[rows])
        for strengths in DEGRADATIONS.values():
            degraded = [degrade(icons) for degrade in strengths]
            variants = [plain, *(Images(rgba, extractor(rgba)) for rgba in degraded)]
            for of_part in ranked(scorer, real, rows, variants):
                for key in of_part[0].keys() & of_part[2].keys():
                    orders.setdefault(key, []).append([values[key] for values in of_part])
        print(f"{source} is scored", file=sys.stderr)
    judged = {key: values for key, values in sorted(orders.items()) if metric(key).better != "neither" and key not in _OF_COPIES}
    rows_of_table = [verdict(key, values) for key, values in judged.items()]
    print_rows(rows_of_table, width=100)
    write_json(options.json, [row | {"values": orders[str(row["score"])]} for row in rows_of_table])
    return 0


if __name__ == "__main__":
    sys.exit(main())
