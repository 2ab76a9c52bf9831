"""The check of every table against the data contract."""

import dagster as dg

from pipelines.contracts import contracts, schema_check


@dg.definitions
def schemas() -> dg.Definitions:
    return dg.Definitions(asset_checks=[schema_check(key, contract) for key, contract in contracts().items()])
