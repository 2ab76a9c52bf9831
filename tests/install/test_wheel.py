"""The wheel works without the checkout."""

import base64
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
import zipfile

import pytest
from PIL import Image

import flowmodel

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def test_the_wheel_holds_what_is_needed_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    roots = {name.partition("/")[0] for name in names}
    assert roots == {"flowmodel", "pipelines", f"flowmodel-{flowmodel.__version__}.dist-info"}
    shipped = {name.removeprefix("flowmodel/_shipped/") for name in names if name.startswith("flowmodel/_shipped/")}
    assert {f"bundled/{name}" for name in ("noto.parquet", "emoji.json", "emojibase.parquet", "english.zlib")} <= shipped
    assert {f"{name}/flowmodel.safetensors" for name in ("pretrained", "pretrained-fast")} <= shipped
    assert not any(name.endswith((".py", ".pyc")) for name in shipped)
    assert wheel.stat().st_size < 30e6


def test_it_draws_with_the_weights_that_come_with_it(installed):
    told = installed.run("-m", "flowmodel", "sample", "pizza", "🍕")
    assert "no model is registered yet" in told and str(installed.folder) in told.replace("\n", "")
    with Image.open(installed.work / "samples" / "pizza-0.png") as image:
        assert image.mode == "RGBA" and image.getextrema()[3] == (0, 255)
    assert not (installed.work / "data").exists()  # sampling writes nothing else


def test_its_public_names_are_there_and_find_their_files(installed):
    script = """
import flowmodel, sys
assert "torch" not in sys.modules
for name in flowmodel.__all__: getattr(flowmodel, name)
from flowmodel.data.sources.context import SourceContext
from flowmodel.data.sources.ingest import observe_source
from flowmodel.data.sources.source_list import load_sources, sources_file
[noto] = load_sources(sources_file())
print(observe_source(noto, SourceContext(sources_file().parent, None, print)).version)
print(*(flowmodel.load_recipe(name).name for name in ("quickstart", "finetune", "laptop")))
[image] = flowmodel.Generator.from_pretrained().images(["pizza"], seed=1, steps=2)
print(image.size, flowmodel.__version__)
"""
    version, recipes, image = installed.run("-c", script).splitlines()
    assert version.startswith("sha256 ") and recipes == "quickstart finetune laptop"
    assert image == f"(64, 64) {flowmodel.__version__}"


def test_its_job_trains_and_registers_a_model_in_the_current_folder(quickstart):
    store = quickstart.work / "data" / "store"
    assert (store / "mlflow" / "mlflow.db").is_file() and list(store.glob("flow_checkpoint/tiny-*/final.safetensors"))
    [tower] = store.glob("mlflow/**/onnx/tower.int8.onnx")
    assert tower.stat().st_nlink > 1  # the same file as in exports/
    told = quickstart.run("-m", "flowmodel", "sample", "red heart", "--out", "champion.png")
    assert str(store / "mlflow" / "artifacts") in told.replace("\n", "") and "no model is registered" not in told


def test_the_champion_is_loaded_where_flowmodel_is_not_installed(quickstart, bare):
    script = """
import mlflow, sys
[png] = mlflow.pyfunc.load_model("models:/flowmodel@champion").predict(["red heart"])
assert png.startswith(b"\\x89PNG")
print(sys.modules["flowmodel"].__file__)
"""
    uri = f"sqlite:///{quickstart.work}/data/store/mlflow/mlflow.db"
    assert "/code/flowmodel/__init__.py" in bare.run("-c", script, MLFLOW_TRACKING_URI=uri)


def test_the_champion_is_served(quickstart, bare):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    uri = f"sqlite:///{quickstart.work}/data/store/mlflow/mlflow.db"
    command = [bare.python, "-m", "mlflow", "models", "serve", "-m", "models:/flowmodel@champion", "--env-manager", "local"]
    log = bare.work / "server.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [*map(str, command), "--port", str(port), "--workers", "1"],
            cwd=bare.work,
            env=bare.variables | {"MLFLOW_TRACKING_URI": uri},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}/ping", server, log)

        def ask(prompts: list[str], **params: float) -> dict:
            request = json.dumps({"inputs": prompts, "params": params})
            curl = ["curl", "-sS", "-H", "Content-Type: application/json", "-d", request, f"http://127.0.0.1:{port}/invocations"]
            return json.loads(subprocess.run(curl, capture_output=True, text=True, check=True, timeout=120).stdout)

        images = [base64.b64decode(each) for each in ask(["red heart", "pizza"], seed=1)["predictions"]]
        assert len(images) == 2 and all(each.startswith(b"\x89PNG") for each in images)
        params = ({"seed": 1}, {"seed": 1}, {"seed": 2}, {"seed": 1, "steps": 1}, {"seed": 1, "guidance": 7.0})
        answers = [ask(["red heart"], **each)["predictions"][0] for each in params]
        assert answers[0] == answers[1] and len(set(answers)) == len(params) - 1
        refused = ask([""])
        assert refused["error_code"] == "INVALID_PARAMETER_VALUE" and "it is empty" in refused["message"], refused
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(120)


def _wait_for(address: str, server: subprocess.Popen, log) -> None:
    for _ in range(600):
        assert server.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise AssertionError(log.read_text())
