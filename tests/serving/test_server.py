"""A real server, and OpenAI's own client as it comes from PyPI."""

import base64
import io
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import numpy as np
import openai
import pytest
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from flowmodel.errors import FlowmodelError
from flowmodel.images.rgba import to_image
from flowmodel.serving.server import TOKEN_VARIABLE, Address
from flowmodel.vector.artwork import render
from tests.serving.conftest import started

pytestmark = pytest.mark.slow


def _opened(image) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(image.b64_json)))


def _get(server, path: str) -> str:
    with urllib.request.urlopen(server.address + path, timeout=60) as answer:
        return answer.read().decode()


def _counted(metrics: str) -> dict[tuple[str, str], float]:
    """Answers by path and status."""
    families = text_string_to_metric_families(metrics)
    samples = (sample for family in families if family.name == "flowmodel_requests" for sample in family.samples)
    return {(sample.labels["path"], sample.labels["status"]): sample.value for sample in samples}


def test_the_client_gets_the_images_that_the_model_draws(server, tiny_generator):
    answer = server.client().images.generate(prompt="red heart", n=3, extra_body={"seed": 7})
    expected = tiny_generator.images(["red heart"] * 3, seed=7)
    for image, own in zip(answer.data, expected, strict=True):
        opened = _opened(image)
        assert opened.format == "PNG" and opened.mode == "RGBA" and opened.size == (16, 16)
        assert np.abs(np.asarray(opened).astype(int) - np.asarray(own)).mean() < 1
    assert (answer.background, answer.output_format, answer.size) == ("transparent", "png", "16x16")
    assert answer.seed == 7 and answer.checkpoint == tiny_generator.folder.description.checkpoint and answer.notes == []


def test_without_a_seed_each_response_has_one_that_reproduces_it(server):
    first, second = (server.client().images.generate(prompt="sun") for _ in range(2))
    again = server.client().images.generate(prompt="sun", extra_body={"seed": first.seed})
    assert first.seed != second.seed and _opened(again.data[0]).tobytes() == _opened(first.data[0]).tobytes()


@pytest.mark.parametrize("format", ["png", "webp", "jpeg"])
def test_an_image_has_the_size_format_and_background_that_were_requested(server, format):
    answer = server.client().images.generate(prompt="sun", size="128x128", output_format=format, background="opaque")
    opened = _opened(answer.data[0])
    assert opened.format == format.upper() and opened.size == (128, 128)
    assert opened.convert("RGBA").getextrema()[3] == (255, 255)
    assert (answer.background, answer.size) == ("opaque", "128x128")


def test_an_svg_shows_the_same_image(server, tiny_generator):
    answer = server.client().images.generate(prompt="sun", output_format="svg", size="64x64", extra_body={"seed": 1})
    svg = base64.b64decode(answer.data[0].b64_json).decode()
    assert svg.startswith("<svg") and 'width="64"' in svg
    [rgba_4HW] = tiny_generator.sample(["sun"], seed=1)
    drawn, own = (np.asarray(each.convert("RGBa")).astype(int) for each in (render(svg, 16), to_image(rgba_4HW)))
    assert np.abs(drawn - own).mean() < 40  # after thirty steps samples are noise, of which tracing keeps little


def test_a_background_is_any_color_and_what_the_model_cannot_read_is_noted(server):
    answer = server.client().images.generate(prompt="sun ቡና", background="#ff0000", size="32x32")
    assert _opened(answer.data[0]).getpixel((0, 0))[3] == 255
    assert len(answer.notes) == 1 and "ቡና" in answer.notes[0]


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"prompt": " "}, "prompt"),
        ({"prompt": "ቡና"}, "prompt"),
        ({"prompt": "x" * 1001}, "prompt"),
        ({"n": 5}, "n"),
        ({"n": 0}, "n"),
        ({"size": "2048x2048"}, "size"),
        ({"size": "64x32"}, "size"),
        ({"size": "8x8"}, "size"),
        ({"background": "blurple"}, "background"),
        ({"output_format": "jpeg", "background": "transparent"}, "background"),
        ({"output_format": "gif"}, "output_format"),
        ({"response_format": "url"}, "response_format"),
        ({"stream": True}, "stream"),
        ({"extra_body": {"steps": 101}}, "steps"),
        ({"extra_body": {"steps": 0}}, "steps"),
        ({"extra_body": {"guidance": "high"}}, "guidance"),
        ({"extra_body": {"seed": -1}}, "seed"),
        ({"extra_body": {"sed": 1}}, "sed"),
    ],
    ids=str,
)
def test_an_invalid_request_is_refused_with_the_field(server, asked, named):
    with pytest.raises(openai.BadRequestError) as refused:
        server.client().images.generate(**{"prompt": "sun"} | asked)
    assert refused.value.param == named and refused.value.type == "invalid_request_error"
    assert str(refused.value.body["message"]).endswith(".") and "\n" not in refused.value.body["message"]


def test_models_are_listed_and_another_is_not_found(server):
    [model] = server.client().models.list().data
    assert model.id == "flowmodel" and server.client().models.retrieve("flowmodel").checkpoint == model.checkpoint
    for ask in (
        lambda: server.client().models.retrieve("gpt-image-1"),
        lambda: server.client().images.generate(prompt="sun", model="gpt-image-1"),
    ):
        with pytest.raises(openai.NotFoundError) as refused:
            ask()
        assert refused.value.code == "model_not_found"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/images/generations", b"[1, 2]", 400),
        ("/v1/images/generations", b"{", 400),
        ("/v1/images/generations", b"\xff\xfe", 400),
        ("/v1/images/generations", b'{"prompt": "' + b"x" * 70_000 + b'"}', 413),
        ("/v1/images/edits", b"{}", 404),
        ("/v1/models", b"{}", 405),
    ],
    ids=str,
)
def test_any_error_has_openais_format(server, path, body, status):
    request = urllib.request.Request(server.address + path, body, {"Content-Type": "application/json"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=60)
    assert refused.value.code == status
    error = json.load(refused.value)["error"]
    assert error.keys() == {"message", "type", "param", "code"} and error["message"]


def test_health_and_metrics_show_the_served_model(server, tiny_generator):
    checkpoint = tiny_generator.folder.description.checkpoint
    assert json.loads(_get(server, "/healthz")) == {"status": "ok", "checkpoint": checkpoint}
    before = _counted(_get(server, "/metrics"))
    server.client().images.generate(prompt="sun", n=2)
    after = _counted(_get(server, "/metrics"))
    drawn = ("/v1/images/generations", "200")
    assert after[drawn] == before.get(drawn, 0) + 1
    text = _get(server, "/metrics")
    assert f'flowmodel_model{{digest="{checkpoint[:12]}",name="tiny"}} 1.0' in text
    assert "flowmodel_pending_images 0.0" in text and "flowmodel_batch_images_bucket" in text


def test_a_token_is_required_if_set(tiny_export, tmp_path):
    with started(tmp_path, "--model", str(tiny_export), **{TOKEN_VARIABLE: "secret"}) as server:
        assert server.client("secret").images.generate(prompt="sun").data
        for key in ("wrong", "secre", "secret2"):
            with pytest.raises(openai.AuthenticationError) as refused:
                server.client(key).models.list()
            assert refused.value.code == "invalid_api_key"
        with pytest.raises(urllib.error.HTTPError, match="401"):
            _get(server, "/metrics")
        assert "ok" in _get(server, "/healthz")
        assert "secret" not in server.log.read_text()


def test_without_an_option_it_listens_on_one_loopback_address_only(server):
    port = urlsplit(server.address).port
    assert "ok" in _get(server, "/healthz")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port), timeout=5)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_other_machines_need_a_token_unless_insecure(host):
    with pytest.raises(FlowmodelError, match=f"set {TOKEN_VARIABLE} to a token"):
        Address(host, 0).listen(token=None)
    for token, open_to_all in (("secret", False), (None, True)):
        try:
            Address(host, 0, open_to_all).listen(token).close()
        except FlowmodelError as error:  # a machine without IPv6
            assert "address" in str(error).lower() and host == "::"


def test_an_address_that_cannot_be_used_gives_one_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        command = [sys.executable, "-m", "flowmodel", "serve", "--port", str(other.getsockname()[1])]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=os.environ | {"FLOWMODEL_STORE": str(tmp_path)}
        )
    assert done.returncode == 2 and done.stderr.startswith("error: 127.0.0.1 port ") and done.stderr.count("\n") == 1
    with pytest.raises(FlowmodelError, match=r"--host nowhere\.invalid"):
        Address("nowhere.invalid").listen(None)


def test_sigterm_stops_it_after_all_accepted_requests(tiny_export, tmp_path):
    options = ("--model", str(tiny_export), "--max-steps", "2000", "--workers", "1", "--batch", "1")
    with started(tmp_path, *options) as server, ThreadPoolExecutor(6) as pool:
        answers = [
            pool.submit(server.client().images.generate, prompt="sun", extra_body={"steps": 300, "seed": n}) for n in range(6)
        ]
        while True:  # until all six are accepted, of which a busy machine may answer some before it sends the last
            metrics = _get(server, "/metrics")
            answered = _counted(metrics).get(("/v1/images/generations", "200"), 0)
            pending = re.search(r"^flowmodel_pending_images (\S+)", metrics, re.MULTILINE)
            if float(pending[1]) + answered == 6:
                break
            time.sleep(0.02)
        assert server.stop() == 0
        assert all(answer.result().data for answer in answers)
        assert server.log.read_text().strip().endswith("ended")


def test_under_load_a_full_queue_is_the_only_thing_that_is_refused(tiny_export, tmp_path):
    """The shorter form of `python -m benchmarks.serving`."""
    from benchmarks.serving import Load

    with started(tmp_path, "--model", str(tiny_export), "--queue", "16") as server:
        load = Load(f"{server.address}/v1", clients=32, seconds=5).run()
        assert load.answered > 32 and load.refused > 0 and not load.errors, load.errors
        assert load.percentiles[50] <= load.percentiles[99]
        assert _counted(_get(server, "/metrics")).keys() == {("/v1/images/generations", "200"), ("/v1/images/generations", "429")}
        assert server.stop() == 0


def test_a_disconnected_client_leaves_nothing_waiting(tiny_export, tmp_path):
    options = ("--model", str(tiny_export), "--max-steps", "2000", "--workers", "1", "--batch", "1")
    with started(tmp_path, *options) as server:
        with pytest.raises(openai.APITimeoutError):
            server.client().with_options(timeout=0.5).images.generate(prompt="sun", n=10, extra_body={"steps": 2000})
        for _ in range(300):
            if "flowmodel_pending_images 0.0" in _get(server, "/metrics"):
                break
            time.sleep(0.1)
        assert 'status="499"' in _get(server, "/metrics") and "flowmodel_pending_images 0.0" in _get(server, "/metrics")


def test_a_response_that_takes_too_long_times_out(tiny_export, tmp_path):
    options = ("--model", str(tiny_export), "--max-steps", "20000", "--timeout", "1", "--workers", "1")
    with started(tmp_path, *options) as server:
        with pytest.raises(openai.APIStatusError) as refused:
            server.client().images.generate(prompt="sun", extra_body={"steps": 5000})
        assert refused.value.status_code == 504 and refused.value.type == "server_error"
