"""Nothing downstream runs on a file that is missing or was changed."""

from pathlib import Path

import dagster as dg
import pytest

from flowmodel.errors import FlowmodelError
from flowmodel.files import Artifact, write_bytes
from flowmodel.store import Store
from pipelines.artifacts import ArtifactIOManager, load_artifact
from pipelines.resources import StoreResource

KEY = dg.AssetKey(["icons", "noto"])


def _file(store: Store) -> Path:
    return store.icons("noto") / "icons.bin"


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    artifact = Artifact.of(write_bytes(_file(store), b"icons"))
    manager = ArtifactIOManager(store=StoreResource(root=str(store.root)))
    manager.handle_output(dg.build_output_context(asset_key=KEY), artifact)
    return store


def test_what_one_asset_returns_the_next_gets(store):
    artifact = load_artifact(store, KEY)
    assert artifact == Artifact.of(_file(store))


def test_a_store_can_be_moved(store, tmp_path):
    moved = Store(store.root.rename(tmp_path / "elsewhere"))
    assert load_artifact(moved, KEY).path == _file(moved)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda store: _file(store).unlink(), "is missing; materialize 'icons/noto' again"),
        (lambda store: _file(store).write_bytes(b"others"), "changed since asset 'icons/noto' wrote it"),
        (lambda store: (store.root / "artifacts" / "icons" / "noto.json").unlink(), "never materialized"),
    ],
)
def test_a_missing_or_changed_file_gives_one_clear_line(store, damage, says):
    damage(store)
    with pytest.raises(FlowmodelError, match=says) as error:
        load_artifact(store, KEY)
    assert "\n" not in str(error.value)


def test_the_io_manager_reports_it_as_a_failure_of_the_step(store):
    _file(store).unlink()
    manager = ArtifactIOManager(store=StoreResource(root=str(store.root)))
    context = dg.build_input_context(upstream_output=dg.build_output_context(asset_key=KEY), asset_key=KEY)
    with pytest.raises(dg.Failure, match="is missing") as failure:
        manager.load_input(context)
    assert not failure.value.allow_retries


def test_a_run_reads_what_it_made_itself_whatever_runs_beside_it(store):
    """Another run rebuilds the asset while the first one is between two steps that read it."""
    seen: dict[str, list[str]] = {"first": [], "second": [], "alone": []}

    class Name(dg.Config):
        name: str

    @dg.asset
    def made(config: Name) -> Artifact:
        return Artifact.of(write_bytes(store.root / "files" / config.name, config.name.encode()))

    @dg.asset
    def before(context: dg.AssetExecutionContext, made: Artifact) -> Artifact:
        if made.path.name == "first":
            run("second")
        return made

    @dg.asset(deps=[before])
    def after(context: dg.AssetExecutionContext, made: Artifact) -> Artifact:
        seen[context.run.tags["who"]].append(made.path.name)
        return made

    def run(name: str, *selection: str) -> dg.ExecuteInProcessResult:
        return dg.materialize(
            [made, before, after],
            instance=instance,
            resources={"io_manager": ArtifactIOManager(store=StoreResource(root=str(store.root)))},
            run_config={"ops": {"made": {"config": {"name": name}}}} if not selection else None,
            selection=selection or None,
            tags={"who": name},
        )

    with dg.instance_for_test() as instance:
        assert run("first").success
        assert run("alone", "after").success
    assert seen == {"first": ["first"], "second": ["second"], "alone": ["second"]}


def test_a_file_of_somebody_else_gives_one_clear_line_too(store, as_another_user):
    _file(store).chmod(0)
    manager = ArtifactIOManager(store=StoreResource(root=str(store.root)))
    context = dg.build_input_context(upstream_output=dg.build_output_context(asset_key=KEY), asset_key=KEY)
    with as_another_user(), pytest.raises(dg.Failure, match="permission denied; ask its owner for access"):
        manager.load_input(context)
