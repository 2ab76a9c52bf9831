"""The gate in real runs: what is refused, what becomes champion, what stays challenger, and whether the run then fails."""

import dagster as dg
import pytest

from flowmodel.files import read_json
from flowmodel.registry.references import aliases_of
from flowmodel.registry.tracking import Tracking
from tests.pipelines.conftest import metadata

pytestmark = pytest.mark.slow

GOOD, BAD = {"steps": 300, "learning_rate": 3e-3}, {"steps": 1}  # trainings


@pytest.fixture(scope="module")
def refused(shared_project):
    shared_project.write_recipe(training=GOOD, evaluation={"gate": {"min_top1": 1.0}})
    return shared_project.run()


@pytest.fixture(scope="module")
def promoted(refused, shared_project):
    shared_project.write_recipe(training=GOOD, evaluation={"gate": {"waived": {"max_copy_ratio": "thirty icons"}}})
    return shared_project.run()


@pytest.fixture(scope="module")
def worse(promoted, shared_project):
    shared_project.write_recipe(training=BAD)
    return shared_project.run()


@pytest.fixture(scope="module")
def worse_and_failing(worse, shared_project):
    shared_project.write_recipe(training=BAD, evaluation={"gate": {"on_worse": "fail"}})
    return shared_project.run()


def _check(result: dg.ExecuteInProcessResult, name: str) -> dg.AssetCheckEvaluation:
    (evaluation,) = [check for check in result.get_asset_check_evaluations() if check.check_name == name]
    return evaluation


def _made(result: dg.ExecuteInProcessResult) -> set[str]:
    return {event.asset_key.to_user_string() for event in result.get_asset_materialization_events()}


def _aliases(shared_project) -> dict[str, str]:
    return aliases_of(Tracking.of(shared_project.store), "flowmodel")


def test_a_model_below_a_threshold_is_not_registered_but_shows_what_it_drew(refused):
    check = _check(refused, "beats_champion")
    assert not refused.success and not check.passed and check.severity is dg.AssetCheckSeverity.ERROR
    assert {"evaluation", "sample_grid"} <= _made(refused) and "registered_model" not in _made(refused)
    assert check.description.startswith("refused: not good enough to be registered: top-1 retrieval of trained icons: ")


def test_numbers_rule_and_outcome_stand_in_the_check(refused):
    shown = {label: value.value for label, value in _check(refused, "beats_champion").metadata.items()}
    assert (shown["outcome"], shown["compared_with"]) == ("refused", "no champion")
    rows = {record.data["rule"]: record.data for record in shown["rules"].records}
    assert rows["min_top1"]["limit"] == "1" and rows["min_top1"]["outcome"] == "BROKEN" and float(rows["min_top1"]["value"]) < 1
    assert rows["max_kid"]["in words"].endswith("the recipe sets no max_kid")


def test_the_first_that_keeps_the_thresholds_is_champion_without_training_again(promoted, shared_project):
    assert promoted.success and metadata(promoted, "flow_checkpoint")["trained_now"] is False
    assert _check(promoted, "beats_champion").passed and _check(promoted, "is_champion").passed
    assert metadata(promoted, "registered_model")["aliases"] == "challenger, champion"
    rules = [record.data["in words"] for record in metadata(promoted, "registered_model")["rules"].records]
    assert any("the recipe waives max_copy_ratio, because thirty icons" in words for words in rules)


def test_a_worse_model_stays_challenger_and_the_run_says_so_and_succeeds(worse, shared_project):
    assert worse.success
    gate, registered = _check(worse, "beats_champion"), _check(worse, "is_champion")
    for check in (gate, registered):
        assert not check.passed and check.severity is dg.AssetCheckSeverity.WARN
    assert gate.description.startswith("challenger: worse than the champion, version 1: ")
    assert registered.description.startswith("version 2 is challenger: worse than the champion, version 1: ")
    assert gate.metadata["compared_with"].value == "version 1"
    assert read_json(shared_project.store.released)["decision"]["outcome"] == "challenger"
    version = Tracking.of(shared_project.store).client.get_model_version("flowmodel", "2")
    assert version.tags["decision"] == "challenger" and "| BROKEN |" in version.description


def test_by_a_setting_the_run_fails_and_the_challenger_is_registered_all_the_same(worse_and_failing, shared_project):
    check = _check(worse_and_failing, "is_champion")
    assert not worse_and_failing.success and check.severity is dg.AssetCheckSeverity.ERROR and not check.passed
    assert "registered_model" in _made(worse_and_failing)
    assert _aliases(shared_project) == {"challenger": "2", "champion": "1"}
