"""The assets that are tables of the data contract. Each table's definition provides a blocking check and the columns that the UI
shows.
"""

from collections.abc import Mapping

import dagster as dg

from flowmodel.errors import FlowmodelError
from flowmodel.files import Artifact, read_parquet
from flowmodel.tables import CAPTION_EMBEDDINGS, CAPTIONS, DUPLICATES, ICONS, NORMALIZED_ICONS, SPLIT_TABLE, Column, Table
from pipelines.sources import icon_sources, icons_key


def contracts() -> Mapping[dg.AssetKey, Table]:
    """The table definition of each asset of the kind."""
    sources = {icons_key(source): ICONS for source in icon_sources()}
    return sources | {
        dg.AssetKey("normalized_icons"): NORMALIZED_ICONS,
        dg.AssetKey("captions"): CAPTIONS,
        dg.AssetKey("caption_embeddings"): CAPTION_EMBEDDINGS,
        dg.AssetKey("duplicates"): DUPLICATES,
        dg.AssetKey("splits"): SPLIT_TABLE,
    }


def schema_check(key: dg.AssetKey, contract: Table) -> dg.AssetChecksDefinition:
    """The check `schema` of asset `key`: its file has the columns, types and values of `contract`."""

    @dg.asset_check(asset=key, name="schema", blocking=True, description="The table conforms to the data contract.")
    def schema(artifact: Artifact) -> dg.AssetCheckResult:
        try:
            rows = contract.check(read_parquet(artifact.path), where=artifact.path).num_rows
        except FlowmodelError as error:
            return dg.AssetCheckResult(passed=False, description=str(error))
        return dg.AssetCheckResult(passed=True, metadata={"rows": rows, "columns": ", ".join(contract.columns)})

    return schema


def column_schema(contract: Table) -> dg.TableSchema:
    """The table's columns for the UI: type, meaning and constraints."""
    return dg.TableSchema([_column(name, column) for name, column in contract.columns.items()])


def _column(name: str, column: Column) -> dg.TableColumn:
    holds = [str(column.check.error or column.check)] if column.check else []
    return dg.TableColumn(
        name,
        type=str(column.type),
        description=column.description,
        constraints=dg.TableColumnConstraints(nullable=False, unique=column.unique, other=holds),
    )
