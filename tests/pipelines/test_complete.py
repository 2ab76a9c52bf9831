"""The job that completes an icon set."""

import pytest

from flowmodel.files import sha256_file
from flowmodel.registry.names import MODEL_NAME
from flowmodel.registry.tracking import Tracking
from tests.conftest import TINY
from tests.pipelines.conftest import metadata

pytestmark = pytest.mark.slow


def test_it_draws_missing_icons_and_a_second_run_trains_nothing(shared_project, tiny_training):
    overrides = [*TINY, f"training.init_from={tiny_training.checkpoint.path}", "training.steps=4", "data.selection=null"]
    out = shared_project.root / "completed"
    wanted = {"icons": str(shared_project.icons), "names": ["lantern", "lantern"], "out": str(out), "count": 2}
    config = {
        "ops": {"completed_icon_set": {"config": wanted}},
        "resources": {"recipe": {"config": {"name": "from_scratch", "overrides": overrides}}},
    }
    first = shared_project.run("complete_icon_set", config=config)
    assert first.success
    shown, png = metadata(first, "completed_icon_set"), out / "png" / "lantern-1.png"
    assert shown["trained_now"] == 1 and shown["names"] == 1 and "data:image" in shown["samples"]
    digest = sha256_file(png)
    again = metadata(shared_project.run("complete_icon_set", config=config), "completed_icon_set")
    assert again["trained_now"] == 0 and sha256_file(png) == digest

    assert "version" not in again
    wanted["register_model"] = True
    registered = metadata(shared_project.run("complete_icon_set", config=config), "completed_icon_set")
    assert registered["trained_now"] == 0 and registered["decision"]
    version = Tracking.of(shared_project.store).reader.get_model_version(MODEL_NAME, registered["version"])
    assert version.tags["decision"] in registered["decision"]
