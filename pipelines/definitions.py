"""The code location. Everything under `pipelines/defs` is discovered automatically."""

import warnings
from pathlib import Path

import dagster as dg

import pipelines.defs
from flowmodel import __version__
from pipelines.contracts import column_schema, contracts
from pipelines.freshness import freshness_policies

OWNERS = ["team:icons"]


@dg.definitions
def defs() -> dg.Definitions:
    """Attributes that all assets get here: owners, the release as code version, freshness policies, and the columns of tables."""
    code_version, tables, fresh = __version__, contracts(), freshness_policies()

    def described(spec: dg.AssetSpec) -> dg.AssetSpec:
        spec = spec.replace_attributes(owners=OWNERS, code_version=code_version, freshness_policy=fresh.get(spec.key))
        if spec.key not in tables:
            return spec
        columns = dg.MetadataValue.table_schema(column_schema(tables[spec.key]))
        return spec.merge_attributes(metadata={"dagster/column_schema": columns})

    # Loaded by module, because dg.load_from_defs_folder requires the pyproject.toml of a checkout.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        found = dg.ComponentTree.from_module(pipelines.defs, Path(__file__).parent.parent).build_defs()
    return dg.Definitions(
        assets=dg.map_asset_specs(described, found.assets or []),  # type: ignore[arg-type]  # accepts anything with specs
        asset_checks=found.asset_checks,
        jobs=found.jobs,
        schedules=found.schedules,
        sensors=found.sensors,
        resources=found.resources,
        executor=found.executor,
        loggers=found.loggers,
    )
