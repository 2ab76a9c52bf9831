"""A server that follows the champion."""

import base64
import threading

import pytest

from benchmarks.serving import Load
from flowmodel.registry.choosing import set_champion
from tests.serving.conftest import started

pytestmark = pytest.mark.slow


def test_a_new_champion_is_served_and_no_request_is_dropped(registered, first, second, store, tmp_path):
    registered(first)
    registered(second)
    with started(tmp_path, "--reload-every", "0.2", FLOWMODEL_STORE=str(store.root)) as server:
        client = server.client()

        def drawn() -> tuple[str, bytes]:
            answer = client.images.generate(prompt="sun", extra_body={"seed": 1})
            return answer.checkpoint, base64.b64decode(answer.data[0].b64_json)

        before = drawn()
        assert before[0] == first.checkpoint.digest
        load = Load(f"{server.address}/v1", clients=8, seconds=20)
        asking = threading.Thread(target=load.run)
        asking.start()
        set_champion(store, "2")
        server.wait_for("now sampling from .* instead of")
        load.end = 0.0
        after = drawn()
        assert after[0] == second.checkpoint.digest and after[1] != before[1]
        set_champion(store, "1")
        server.wait_for("(?s)instead of.*instead of")
        assert drawn() == before
        asking.join()
        assert load.answered > 8 and not load.errors and not load.refused, load.errors


def test_without_a_registry_the_current_model_stays_in_use(registered, first, store, tmp_path):
    registered(first)
    with started(tmp_path, "--reload-every", "0.2", FLOWMODEL_STORE=str(store.root)) as server:
        (store.root / "mlflow").rename(store.root / "elsewhere")
        (store.root / "mlflow").mkdir()
        (store.root / "mlflow" / "mlflow.db").write_text("no database")
        server.wait_for("WARNING")
        assert server.client().images.generate(prompt="sun").checkpoint == first.checkpoint.digest
