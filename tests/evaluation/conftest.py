"""The report of the tiny training, made once."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from flowmodel.evaluation.caption_probe import CaptionProbe, load_caption_probe
from flowmodel.evaluation.features import FeatureExtractor, load_extractor
from flowmodel.evaluation.html.page import evaluate_and_report
from flowmodel.evaluation.real_icons import RealIcons
from flowmodel.evaluation.run import Evaluation

CURVES = {"training/loss": [(1, 1.0), (10, 0.5), (30, 0.25)], "validation/loss": [(10, 0.6), (30, 0.5)]}


@dataclass(frozen=True)
class TinyReport:
    page: Path
    evaluation: Evaluation

    @property
    def html(self) -> str:
        return self.page.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def extractor() -> FeatureExtractor:
    return load_extractor()


@pytest.fixture(scope="session")
def real(prepared, extractor) -> RealIcons:
    """The bundled icons at 16 x 16 pixels."""
    return RealIcons.load(prepared.dataset, extractor, prepared.store.root / "features")


@pytest.fixture(scope="session")
def probe(prepared, real, extractor) -> CaptionProbe:
    return load_caption_probe(prepared.dataset, real, extractor, prepared.store.root / "features")


@pytest.fixture(scope="session")
def tiny_report(tiny_training, tmp_path_factory) -> TinyReport:
    """The evaluation of the tiny training, with sweeps over four icons per split."""
    folder = tmp_path_factory.mktemp("report")
    page = folder / "report.html"
    config = tiny_training.recipe.evaluation.model_copy(update={"sweep_icons": 4, "seeds": (5,)})
    cache = tiny_training.store.root / "features"
    checkpoint, dataset = tiny_training.checkpoint, tiny_training.dataset
    return TinyReport(page, evaluate_and_report(checkpoint, dataset, folder, page, cache, config, curves=CURVES))


@pytest.fixture(scope="session")
def finished_report(tiny_finished, tmp_path_factory) -> TinyReport:
    """The evaluation of the same training with a finisher, on the same icons and noise, without sweeps."""
    folder = tmp_path_factory.mktemp("finished-report")
    page, cache = folder / "report.html", tiny_finished.store.root / "features"
    config = tiny_finished.recipe.evaluation.model_copy(update={"seeds": (5,)})
    checkpoint, dataset = tiny_finished.checkpoint, tiny_finished.dataset
    return TinyReport(page, evaluate_and_report(checkpoint, dataset, folder, page, cache, config, with_sweeps=False))
