"""Icons in a style that a model has never seen: `python -m benchmarks.unseen_style SOURCES [--model M] [--icons N]`.

SOURCES is a list of sources with one set that the model was not trained on, in a style whose name it doesn't know. Its icons of
known concepts are asked for by name, and looked for among all real icons of that set. How often another set's real drawing of
the same thing is found there tells how much of what is missed is the style's doing.

Shape suffixes: N pictures, H/W height and width.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from benchmarks.measure import print_rows, write_json
from flowmodel.data.prepare import prepare
from flowmodel.errors import FlowmodelError
from flowmodel.evaluation.features import Features, load_extractor
from flowmodel.evaluation.metrics.retrieval import ranks
from flowmodel.evaluation.metrics.transparency import alpha_iou
from flowmodel.evaluation.real_icons import RealIcons, Rows
from flowmodel.evaluation.scoring import fidelity
from flowmodel.model.generator import Generator
from flowmodel.registry.references import resolve_model
from flowmodel.store import PROJECT_ROOT, Store

_CHOICE_SEED = 0


def _scores(real: RealIcons, rows_N: Rows, rgba_N4HW: Tensor, features: Features) -> dict[str, float]:
    """The scores of pictures that stand for the icons `rows_N` of the set."""
    layout_ND, layout_MD, labels_N = features.layout_ND, real.features.layout_ND, real.labels_M[rows_N]
    ranks_N = ranks(layout_ND, layout_MD, real.labels_M, labels_N)
    return {
        "icons": len(rows_N),
        "top1": float((ranks_N < 1).mean()),
        "top5": float((ranks_N < 5).mean()),
        "kid": fidelity(real.features[rows_N], features)["kid"],
        "alpha_iou": float(alpha_iou(rgba_N4HW, real.rgba_M4HW[rows_N]).mean()),
    }


def measure(generator: Generator, own: RealIcons, unseen: RealIcons, icons: int) -> list[dict[str, Any]]:
    """A row for each way of asking, and for each source of `own`, the icons that the model was trained among.

    Of `unseen` those icons are taken that the model was trained on in every other style, at random at most `icons`.
    """
    sources = sorted(set(own.sources))
    trained = set(generator.header.seen_ids)
    row_of = {
        (source, key): row
        for row, (icon_id, source, key) in enumerate(zip(own.ids, own.sources, own.keys, strict=True))
        if icon_id in trained
    }
    known = [row for row, key in enumerate(unseen.keys) if all((source, key) in row_of for source in sources)]
    if not known:
        raise FlowmodelError(
            "no icon of the sources stands for what the model was trained on in every style; is --own its own list?"
        )
    rows_N = np.sort(np.random.default_rng(_CHOICE_SEED).choice(known, min(icons, len(known)), replace=False))

    rows, extractor = [], load_extractor()
    for ask, prompts in _prompts(own, unseen, row_of, sources, rows_N).items():
        rgba_N4HW = generator.sample(prompts, seed=0)
        rows.append({"pictures": f"drawn by {ask}"} | _scores(unseen, rows_N, rgba_N4HW, extractor(rgba_N4HW)))
    for source in sources:
        same_N = np.array([row_of[source, unseen.keys[row]] for row in rows_N])
        rows.append({"pictures": f"real ones of {source}"} | _scores(unseen, rows_N, own.rgba_M4HW[same_N], own.features[same_N]))
    return rows


def _prompts(
    own: RealIcons, unseen: RealIcons, row_of: dict[tuple[str, str], int], sources: Sequence[str], rows_N: Rows
) -> dict[str, list[str]]:
    def texts(real: RealIcons, template: str, rows: Sequence[int] | Rows) -> list[str]:
        of = real.captions.table[real.captions.table["template"] == template].set_index("icon_id")["text"]
        return [of[real.ids[row]] for row in rows]

    prompts = {"name": texts(unseen, "name", rows_N), "name and its style": texts(unseen, "name_style", rows_N)}
    for source in sources:
        same = [row_of[source, unseen.keys[row]] for row in rows_N]
        prompts[f"name and the style of {source}"] = texts(own, "name_style", same)
    return prompts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", type=Path, help="list of sources with the unseen set")
    parser.add_argument("--model", default="pretrained")
    parser.add_argument("--own", type=Path, default=PROJECT_ROOT / "data/pretrained/sources.yaml", help="the model's own sources")
    parser.add_argument("--icons", type=int, default=256)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers there")
    options = parser.parse_args()
    store = Store.from_environment()
    generator = Generator.load(resolve_model(store, options.model))
    own, unseen = (
        RealIcons.load(prepare(generator.recipe, store, sources, print), load_extractor(), store.root / "features")
        for sources in (options.own, options.sources)
    )
    rows = measure(generator, own, unseen, options.icons)
    print_rows(rows, width=160)
    write_json(options.json, rows)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
