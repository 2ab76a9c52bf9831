"""The preparation steps from icon sources to a data set.

The command line runs all of them in one call; the pipeline has one asset per step. Each step stores its result under the digest
of its content, so that recipes and lists of sources don't interfere, and files do not change while they are read.
"""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from flowmodel.data.captions import build_captions
from flowmodel.data.dataset import IconDataset, write_dataset
from flowmodel.data.duplicates import find_duplicates
from flowmodel.data.normalize import normalize_icons
from flowmodel.data.quality import split_line, usable_lines
from flowmodel.data.sources.config import SourceConfig
from flowmodel.data.sources.context import SourceContext
from flowmodel.data.sources.ingest import Ingested, ingest_icons
from flowmodel.data.sources.source_list import load_sources, sources_file
from flowmodel.data.splits import assign_splits, load_splits
from flowmodel.errors import FlowmodelError
from flowmodel.files import Artifact, keep_by_content
from flowmodel.recipes import Recipe
from flowmodel.recipes.schema import DataConfig
from flowmodel.store import Store
from flowmodel.text.embeddings import EmbeddingReport, embed_captions
from flowmodel.text.encoders import CaptionEncoder
from flowmodel.text.vectors import CaptionVectors

VARIABLE = "FLOWMODEL_PREPARE"
Log = Callable[[str], None]


@dataclass(frozen=True)
class Preparation:
    """The steps for a list of sources and a recipe's section `data`; `log` receives progress lines.

    Each step raises FlowmodelError when its input is missing or unusable.
    """

    store: Store
    data: DataConfig
    sources: Sequence[SourceConfig]
    context: SourceContext
    log: Log = lambda line: None

    @classmethod
    def of(
        cls, store: Store, data: DataConfig, sources: Path | None = None, log: Log = lambda line: None, style: str | None = None
    ) -> "Preparation":
        """`sources` is a YAML list of sources; by default the one in FLOWMODEL_SOURCES, or the pipeline's.

        `style` replaces the style word of all of them in captions. With FLOWMODEL_PREPARE=ray, the steps that take long run on
        Ray.
        """
        listed = (sources or sources_file()).resolve()
        configs = load_sources(listed)
        if style is not None:
            configs = [source.model_copy(update={"style": style}) for source in configs]
        if where := os.environ.get(VARIABLE):
            if where != "ray":
                raise FlowmodelError(f"{VARIABLE}: '{where}' is neither ray nor empty; correct it")
            from flowmodel.data.prepare_on_ray import RayPreparation

            cls = RayPreparation
        return cls(store, data, configs, SourceContext(listed.parent, store.downloads, log), log)

    def fill(self, vectors: CaptionVectors, encoder: CaptionEncoder, texts: Collection[str], log: Log) -> int:
        """Encode the texts that have no vectors yet; returns their number."""
        return vectors.fill(encoder, texts, log)

    def icons(self, source: SourceConfig, again: bool = False) -> Ingested:
        """Read a source's original icons. An unchanged source is not read again unless `again` is set."""
        return ingest_icons(source, self.context, self.store.icons(source.name), again)

    def all_icons(self, again: bool = False) -> dict[str, Ingested]:
        """Read the icons of all sources."""
        read: dict[str, Ingested] = {}
        for source in self.sources:
            self.log(f"reading icons of '{source.name}'")
            read[source.name] = self.icons(source, again)
        return read

    def normalized_icons(self, tables: Mapping[str, Artifact]) -> Artifact:
        """Join all sources' icons in one table, as pixels of the recipe's size. `tables` are the sources' tables by name."""
        paths = {source.name: tables[source.name].path for source in self.sources}
        trim = [source.name for source in self.sources if source.trim]
        return self._keep("normalized_icons", lambda out: normalize_icons(paths, self.data.size, out, trim))

    def captions(self, normalized: Artifact) -> Artifact:
        """Write several captions per icon, by the recipe's templates and languages, and captions of recolored copies."""
        data = self.data
        return self._keep(
            "captions",
            lambda out: build_captions(
                normalized.path, out, self._styles, data.captions, data.languages, recolored=data.recolored > 0
            ),
        )

    def caption_embeddings(self, captions: Artifact) -> EmbeddingReport:
        """Encode every text that has no vectors yet from any data set."""
        reports: list[EmbeddingReport] = []

        def embed(out: Path) -> Artifact:
            forced = self.data.force_languages
            reports.append(embed_captions(captions.path, self.data.encoder, self.store, out, self.log, forced, self.fill))
            return reports[-1].artifact

        artifact = self._keep("caption_embeddings", embed)
        return replace(reports[-1], artifact=artifact)

    def duplicates(self, normalized: Artifact) -> Artifact:
        """Find icons of all sources that look the same or nearly the same."""
        return self._keep("duplicates", lambda out: find_duplicates(normalized.path, out))

    def splits(self, normalized: Artifact, duplicates: Artifact) -> Artifact:
        """Assign a split to each icon."""
        config = self.data.split
        return self._keep("splits", lambda out: assign_splits(normalized.path, duplicates.path, config, out, self._styles))

    def dataset(self, normalized: Artifact, captions: Artifact, embeddings: Artifact, splits: Artifact) -> IconDataset:
        """Put everything into one immutable folder."""
        files = {"icons": normalized, "captions": captions, "splits": splits}
        return write_dataset(self.store, self.data, files, embeddings)

    @property
    def _styles(self) -> dict[str, str]:
        """Maps source names to the style names in captions."""
        return {source.name: source.style for source in self.sources}

    def _keep(self, asset: str, write: Callable[[Path], Artifact]) -> Artifact:
        return keep_by_content(self.store.step(asset), write)


def prepare(
    recipe: Recipe,
    store: Store,
    sources: Path | None = None,
    log: Log = lambda line: None,
    again: bool = False,
    style: str | None = None,
) -> IconDataset:
    """Run all steps for the sources in the YAML file `sources`. `log` gets a line per step, and one for everything left out.

    `style` replaces the style word of all sources in captions. Unchanged sources are not read again unless `again` is set, and
    texts with vectors in `store` are not encoded again. Raises FlowmodelError when a source, the encoder or a file of the store
    can't be read.
    """
    steps = Preparation.of(store, recipe.data, sources, log, style)
    tables: dict[str, Artifact] = {}
    for name, ingested in steps.all_icons(again).items():
        if not ingested.complete:
            log(f"'{name}': not everything could be fetched; missing images are quarantined, and the next run tries them again")
        tables[name] = ingested.artifact
    log(f"normalizing to {recipe.data.size} x {recipe.data.size} pixels")
    normalized = steps.normalized_icons(tables)
    for line in usable_lines(normalized.path):
        log(line)
    captions = steps.captions(normalized)
    log(f"embedding captions with '{recipe.data.encoder}'")
    embeddings = steps.caption_embeddings(captions).artifact
    splits = steps.splits(normalized, steps.duplicates(normalized))
    log(split_line(load_splits(splits.path)))
    return steps.dataset(normalized, captions, embeddings, splits)


def prepare_targets(
    recipe: Recipe, store: Store, sources: Path | None = None, log: Log = lambda line: None, style: str | None = None
) -> IconDataset | None:
    """Prepare the icons at the finisher's output size; None if that is the size of the data set.

    Raises FlowmodelError as :func:`prepare` does.
    """
    if recipe.finisher is None or recipe.finisher.scale == 1:
        return None
    larger = recipe.data.model_copy(update={"size": recipe.data.size * recipe.finisher.scale})
    return prepare(recipe.model_copy(update={"data": larger}), store, sources, log, style=style)
