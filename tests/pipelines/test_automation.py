"""Automatic retraining: once when the data have changed, and everything in one run."""

import dagster as dg
import pytest

from pipelines.definitions import defs

SOURCE = "icons/noto"
UNASKED = ("architecture_comparison", "completed_icon_set")  # made by jobs that are started manually


class Daemon:
    """Evaluates the conditions of the real definitions tick by tick, as the Dagster daemon does."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.definitions = defs()
        self.instance = instance
        self._made = set(self.definitions.resolve_asset_graph().get_all_asset_keys()) - {_key(SOURCE)}
        self.downstream = self._made - set(map(_key, UNASKED))
        self._cursor = None

    def tick(self) -> set[dg.AssetKey]:
        """The requests of this tick."""
        result = dg.evaluate_automation_conditions(self.definitions, self.instance, cursor=self._cursor)
        self._cursor = result.cursor
        return {key for key in self._made if result.get_num_requested(key)}

    def materialize(self, asset: str | dg.AssetKey, version: str) -> None:
        event = dg.AssetMaterialization(asset_key=_key(asset), tags={"dagster/data_version": version})
        self.instance.report_runless_asset_event(event)


def _key(asset: str | dg.AssetKey) -> dg.AssetKey:
    return asset if isinstance(asset, dg.AssetKey) else dg.AssetKey.from_user_string(asset)


@pytest.fixture
def daemon():
    """Everything was materialized once, and the daemon has evaluated that."""
    with dg.instance_for_test() as instance:
        daemon = Daemon(instance)
        daemon.materialize(SOURCE, "1")
        for key in daemon.downstream:
            daemon.materialize(key, "1")
        assert daemon.tick() == set()
        yield daemon


def test_icons_materialized_unchanged_request_nothing(daemon):
    daemon.materialize(SOURCE, "1")
    assert daemon.tick() == set()
    assert daemon.tick() == set()


def test_changed_icons_request_everything_downstream_at_once_and_once_only(daemon):
    daemon.materialize(SOURCE, "2")
    assert daemon.tick() == daemon.downstream
    assert daemon.tick() == set()


def test_a_change_in_the_middle_requests_only_what_follows_it(daemon):
    daemon.materialize("splits", "2")
    assert {key.to_user_string() for key in daemon.tick()} == {
        "icon_dataset",
        "flow_checkpoint",
        "finisher",
        "caption_probe",
        "evaluation",
        "sample_grid",
        "gate_decision",
        "registered_model",
    }


def test_what_the_requested_run_makes_does_not_request_again(daemon):
    daemon.materialize(SOURCE, "2")
    daemon.tick()
    for key in daemon.downstream:
        daemon.materialize(key, "2")
    assert daemon.tick() == set()


def test_a_second_change_requests_again(daemon):
    daemon.materialize(SOURCE, "2")
    daemon.tick()
    for key in daemon.downstream:
        daemon.materialize(key, "2")
    daemon.tick()
    daemon.materialize(SOURCE, "3")
    assert daemon.tick() == daemon.downstream


def test_an_empty_store_is_not_filled_without_asking():
    with dg.instance_for_test() as instance:
        daemon = Daemon(instance)
        assert daemon.tick() == set()
        daemon.materialize(SOURCE, "1")
        assert daemon.tick() == daemon.downstream, "the first icons are a change"
