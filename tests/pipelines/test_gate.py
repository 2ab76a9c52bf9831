"""The gate in real runs: refused models, champions and challengers, and whether the run fails."""

import dagster as dg
import pytest

from flowmodel.files import read_json, sha256_file
from flowmodel.registry.champion import standing_of
from flowmodel.registry.references import checkpoint_of, find_version
from flowmodel.registry.tracking import Tracking
from flowmodel.release.decision import Decision
from pipelines.artifacts import load_artifact
from pipelines.definitions import defs
from tests.pipelines.conftest import Project, failure_line, metadata

pytestmark = pytest.mark.slow

RARELY = {"log_every": 100, "sample_every": 300, "checkpoint_every": 300}
GOOD, BAD = {"steps": 300, "learning_rate": 3e-3} | RARELY, {"steps": 1}  # trainings
DATA = {"size": 16, "split": {"validation": 0.05, "unseen_concept": 0.7}}  # nothing is compared on fewer than 16 held-out icons
STRICT = {"rules": [{"metric": "retrieval_top1_all", "split": "train", "min": 1.1}]}  # more than can be
WAIVED = {"rules": [{"metric": "near_copy_rate", "split": "unseen_concept", "waived": "thirty icons"}]}
FRESH = {"ops": {"flow_checkpoint": {"config": {"fresh": True}}}}


def _run(project: Project, training: dict, gate: dict, **options) -> dg.ExecuteInProcessResult:
    project.write_recipe(data=DATA, training=training, evaluation={"gate": gate})
    return project.run(**options)


@pytest.fixture(scope="module")
def refused(shared_project):
    return _run(shared_project, GOOD, STRICT)


@pytest.fixture(scope="module")
def registered_alone(refused, shared_project):
    """Only the registry's asset, by the recipe without rules."""
    return _run(shared_project, GOOD, WAIVED, assets=["registered_model"]), _versions(shared_project)


@pytest.fixture(scope="module")
def refused_again(registered_alone, shared_project):
    """By another recipe with the same training and no rules."""
    return _run(shared_project, GOOD, WAIVED)


@pytest.fixture(scope="module")
def promoted(refused_again, shared_project):
    return _run(shared_project, GOOD, WAIVED, config=FRESH)


@pytest.fixture(scope="module")
def worse(promoted, shared_project):
    return _run(shared_project, BAD, WAIVED)


@pytest.fixture(scope="module")
def worse_and_failing(worse, shared_project):
    return _run(shared_project, BAD | {"seed": 1}, WAIVED | {"on_worse": "fail"})


@pytest.fixture(scope="module")
def registered_alone_after_another_training(worse_and_failing, shared_project):
    """Only the registry's asset, after a training without evaluation and gate."""
    assert _run(shared_project, {"steps": 2}, STRICT, assets=["flow_checkpoint", "finisher"]).success
    return shared_project.run(assets=["registered_model"])


def _check(result: dg.ExecuteInProcessResult, name: str) -> dg.AssetCheckEvaluation:
    (evaluation,) = [check for check in result.get_asset_check_evaluations() if check.check_name == name]
    return evaluation


def _made(result: dg.ExecuteInProcessResult) -> set[str]:
    return {event.asset_key.to_user_string() for event in result.get_asset_materialization_events()}


def _versions(project: Project) -> list[str]:
    return [each.version for each in Tracking.of(project.store).client.search_model_versions()]


def _aliases(project: Project) -> dict[str, str]:
    return standing_of(Tracking.of(project.store)).aliases


def test_a_model_that_breaks_a_rule_is_not_registered_but_shows_what_it_drew(refused):
    check = _check(refused, "meets_thresholds")
    assert not refused.success and not check.passed and check.severity is dg.AssetCheckSeverity.ERROR
    assert {"evaluation", "sample_grid", "gate_decision"} <= _made(refused) and "registered_model" not in _made(refused)
    assert check.description.startswith("refused: not good enough to be registered: Trained icons, recognition among all icons: ")


def test_numbers_rules_and_outcome_stand_in_the_decision_and_its_checks(refused):
    shown = metadata(refused, "gate_decision")
    assert (shown["outcome"], shown["compared_with"]) == ("refused", "no champion")
    for records in (shown["rules"].records, _check(refused, "meets_thresholds").metadata["rules"].value.records):
        (row,) = (record.data for record in records)
        assert row["outcome"] == "BROKEN" and row["rule"].startswith("Trained icons, recognition among all icons: ")
        assert row["rule"].endswith("must be at least 110%: NO")


def test_a_refused_model_is_not_registered_by_materializing_the_registry_alone_under_another_recipe(registered_alone):
    alone, versions = registered_alone
    assert not alone.success and versions == []
    line = failure_line(alone, "registered_model")
    assert "not good enough to be registered: Trained icons, recognition among all icons" in line


def test_another_recipe_does_not_let_the_same_checkpoint_through(refused_again, shared_project):
    assert not refused_again.success and metadata(refused_again, "flow_checkpoint")["trained_now"] is False
    assert metadata(refused_again, "gate_decision")["outcome"] == "refused"
    assert "registered_model" not in _made(refused_again)


def test_trained_by_a_recipe_whose_rules_it_keeps_it_is_champion(promoted):
    assert promoted.success and metadata(promoted, "flow_checkpoint")["trained_now"] is True
    assert _check(promoted, "meets_thresholds").passed and _check(promoted, "not_worse_than_champion").passed
    assert metadata(promoted, "registered_model")["aliases"] == "champion"
    rules = [record.data["rule"] for record in metadata(promoted, "registered_model")["rules"].records]
    assert any("the recipe waives that rule, because thirty icons" in words for words in rules)


def test_a_worse_model_stays_challenger_and_the_run_says_so_and_succeeds(worse, shared_project):
    assert worse.success
    assert _check(worse, "meets_thresholds").passed
    check = _check(worse, "not_worse_than_champion")
    assert not check.passed and check.severity is dg.AssetCheckSeverity.WARN
    assert check.description.startswith("challenger: not shown to be as good as the champion, version 1: KID of ")
    assert check.metadata["compared_with"].value == "version 1"
    assert read_json(shared_project.store.released)["decision"]["outcome"] == "challenger"
    version = Tracking.of(shared_project.store).reader.get_model_version("flowmodel", "2")
    assert version.tags["decision"] == "challenger" and "| BROKEN |" in version.description


def test_by_a_setting_the_run_fails_and_the_challenger_is_registered_all_the_same(worse_and_failing, shared_project):
    check = _check(worse_and_failing, "not_worse_than_champion")
    assert not worse_and_failing.success and check.severity is dg.AssetCheckSeverity.ERROR and not check.passed
    assert failure_line(worse_and_failing, "gate_decision_not_worse_than_champion").startswith(
        "challenger: not shown to be as good"
    )
    assert "registered_model" in _made(worse_and_failing)
    assert _aliases(shared_project) == {"challenger": "3", "champion": "1"}


def test_a_decision_about_another_checkpoint_does_not_let_a_model_through(
    registered_alone_after_another_training, shared_project
):
    alone = registered_alone_after_another_training
    assert not alone.success and len(_versions(shared_project)) == 3
    assert "the gate's decision is of another checkpoint; materialize 'gate_decision' again" in failure_line(
        alone, "registered_model"
    )


@pytest.mark.parametrize("first_is_strict", [True, False])
def test_two_runs_at_once_in_one_store_register_what_they_trained_themselves(project, first_is_strict):
    """The second run begins and ends while the first one is between its evaluation and its gate."""
    recipes = {
        name: project.write_recipe_as(name, data=DATA, training={"steps": steps}, evaluation={"gate": gate})
        for name, steps, gate in (("strict", 20, STRICT), ("lax", 21, WAIVED))
    }
    first, second = ("strict", "lax") if first_is_strict else ("lax", "strict")
    between: list[dg.ExecuteInProcessResult] = []

    # Before the gate, because steps that are ready are run by priority.
    @dg.asset(deps=["evaluation"], op_tags={"dagster/priority": "10"})
    def meanwhile() -> None:
        between.append(run(defs(), second))

    def run(definitions: dg.Definitions, name: str) -> dg.ExecuteInProcessResult:
        job = definitions.resolve_job_def("quickstart")
        config = {"resources": {"recipe": {"config": {"name": str(recipes[name])}}}}
        return job.execute_in_process(instance=project.instance, raise_on_error=False, run_config=config)

    outer = run(dg.Definitions.merge(defs(), dg.Definitions(assets=[meanwhile])), first)
    results = {first: outer, second: between[0]}
    assert results["lax"].success and not results["strict"].success
    decisions = {}
    for name, result in results.items():
        made = load_artifact(project.store, dg.AssetKey("flow_checkpoint"), result.run_id)
        decisions[name] = Decision.read(load_artifact(project.store, dg.AssetKey("gate_decision"), result.run_id).path)
        assert decisions[name].checkpoint_digest == made.digest == sha256_file(made.path)
        assert metadata(result, "flow_checkpoint")["digest"] == made.digest[:16]
    assert {name: decision.outcome for name, decision in decisions.items()} == {"strict": "refused", "lax": "champion"}
    assert "registered_model" not in _made(results["strict"]) and _aliases(project) == {"champion": "1"}
    registered = checkpoint_of(Tracking.of(project.store), find_version(Tracking.of(project.store), "flowmodel", number="1"))
    assert registered.digest == decisions["lax"].checkpoint_digest
