"""Are the icons what the data contract says, and can each of them be drawn?"""

from collections.abc import Iterator

import dagster as dg

from flowmodel.data.sources.config import SourceConfig
from flowmodel.files import Artifact
from pipelines.checking import icons_decode, keeps_contract
from pipelines.sources import icon_sources, icons_key


def build_icon_checks(source: SourceConfig) -> dg.AssetChecksDefinition:
    key = icons_key(source)

    @dg.multi_asset_check(
        name=f"icons__{source.name.replace('-', '_')}__checks",
        ins={"icons": dg.AssetIn(key)},
        specs=[
            dg.AssetCheckSpec("schema", asset=key, blocking=True, description="The table keeps the data contract."),
            dg.AssetCheckSpec("decodes", asset=key, blocking=True, description="Every picture decodes."),
        ],
    )
    def check_icons(icons: Artifact) -> Iterator[dg.AssetCheckResult]:
        from flowmodel.data.tables import ICONS

        yield keeps_contract(icons, ICONS, key)
        yield icons_decode(icons, key)

    return check_icons


@dg.definitions
def ingest_checks() -> dg.Definitions:
    return dg.Definitions(asset_checks=[build_icon_checks(source) for source in icon_sources()])
