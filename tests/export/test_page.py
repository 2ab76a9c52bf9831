"""The page gives the same images as the command line, in a real browser that can reach only the page's folder."""

import io
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import resvg_py
import torch
from PIL import Image
from tokenizers import Tokenizer

from flowmodel.errors import FlowmodelError
from flowmodel.export.training_icons import GRID, WIDTH, codes
from flowmodel.export.web import export_page
from flowmodel.files import read_json, write_json
from flowmodel.flow.seeds import mixed_seed
from flowmodel.images.rgba import premultiply, to_image
from flowmodel.images.tensors import to_unit
from flowmodel.model.generator import Generator
from flowmodel.runtime.caption_tower import OnnxTower
from flowmodel.runtime.model_folder import DESCRIPTION, TOKENIZER, ModelFolder
from flowmodel.runtime.noise import standard_normal
from flowmodel.runtime.onnx_generator import OnnxGenerator
from flowmodel.shipped import shipped
from flowmodel.tables import ICONS
from flowmodel.text.encoded import taken_in
from flowmodel.vector.artwork import Artwork, render
from tests.evaluation.browser import CHROMIUM, INSECURE_HOST, browser_page
from tests.export.conftest import served
from tests.export.opened import Opened, difference, in_javascript
from tests.vector.icons import drawn

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.network,
    pytest.mark.timeout(900),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here"),
]
PROMPTS = [
    *("red heart, noto style", "Crème BRÛLÉE!", "👍🏽 ❤️!", "a-b (c) 中文 x", "красное", "☃︎ naïve ﬁ ΑΣ"),
    *("a" * 101, "w " * 300, "İ\t\u200b\U0001d49c"),
    *("", " ", "兔子, noto style", "CŒUR ROUGE", "犬", "BLÅ", "سيارة حمراء", "红色的汽车在山上", "ព្រះ", "naïve café"),
]


@pytest.fixture(scope="module")
def generator() -> Generator:
    return Generator.from_pretrained(device="cpu")


def test_the_same_seed_gives_the_same_image_as_the_command_line(opened, generator, small):
    for prompt in ("red heart, noto style", "👍🏽"):
        sample_4HW = opened.sample(prompt, "{seed: 3}")
        assert sample_4HW.shape == (4, 64, 64)
        assert difference(sample_4HW, small.sample([prompt], seed=3)[0]) < 0.1
        assert difference(sample_4HW, generator.sample([prompt], seed=3)[0].numpy()) < 2
    asked = "flowmodel.studio.ask('sample', {prompt: 'pizza', options: {}}).then((found) => found.evaluations)"
    assert opened.run(asked) == generator.nfe() == 20


def test_the_packed_tower_gives_nearly_the_same_vectors_as_the_whole_one(exported, page_folder):
    prompts = ["red heart, noto style", "espresso machine", "lighthouse at night, twemoji style", "old radio"]
    whole = OnnxTower(exported, "float32").encode(prompts)
    packed = OnnxTower(ModelFolder.open(page_folder / "model"), "packed").encode(prompts)
    assert np.linalg.norm(packed.pooled_BD - whole.pooled_BD, axis=1).max() < 0.005
    for one_LD, other_LD in zip(packed.tokens, whole.tokens, strict=True):
        assert np.linalg.norm(one_LD.astype(float) - other_LD) < 0.005 * np.linalg.norm(other_LD.astype(float))


def test_other_solvers_take_the_same_steps(opened, page_folder, small):
    model, prompt = ModelFolder.open(page_folder / "model"), "red heart, noto style"
    plain_4HW = small.sample([prompt], seed=3, steps=4)[0]
    try:
        for solver in ("heun", "midpoint"):
            folder = page_folder / solver
            shutil.copytree(model.path, folder, copy_function=os.link, ignore=lambda *_: [DESCRIPTION])
            description = replace(model.description, sampling=replace(model.description.sampling, solver=solver))
            write_json(folder / DESCRIPTION, description.to_json({file.name: file for file in folder.iterdir()}))
            opened.run(f"flowmodel.studio.ask('load', {{base: new URL('{solver}/', location.href).href}})")
            sample_4HW = opened.sample(prompt, "{seed: 3, steps: 4}")
            expected_4HW = OnnxGenerator.load(folder, tower="packed").sample([prompt], seed=3, steps=4)[0]
            assert difference(sample_4HW, expected_4HW) < 0.1 < 1 < difference(expected_4HW, plain_4HW)
    finally:
        for solver in ("heun", "midpoint"):
            shutil.rmtree(page_folder / solver, ignore_errors=True)
        opened.start()


def test_an_image_to_start_from_is_sampled_from_as_by_the_library(opened, generator):
    start_4HW = generator.sample(["blue apple, noto style"], seed=1, finish=False)[0]
    given = in_javascript(start_4HW.numpy().tobytes())
    sample_4HW = opened.sample("red heart, noto style", f"{{seed: 2, number: 1, from: {{bytes: {given}, time: 0.45}}}}")
    text, x_BCHW = generator.encode(["red heart, noto style"]), to_unit(start_4HW[None])
    with torch.no_grad():
        expected_4HW = generator.finish(generator.redraw(x_BCHW, text, generator.sampling(), 0.45, seed=2, first=1))[0].numpy()
    assert difference(sample_4HW, expected_4HW) < 2 < difference(expected_4HW, start_4HW.numpy())


def test_neighboring_noise_leads_from_the_same_image_to_others(opened):
    prompt = "house with garden, noto style"
    own = opened.sample(prompt, "{seed: 4}")
    none, near, far = (opened.sample(prompt, f"{{seed: 4, vary: {{amount: {amount}, number: 1}}}}") for amount in (0, 0.2, 1))
    other = opened.sample(prompt, "{seed: 4, vary: {amount: 0.2, number: 2}}")
    assert np.array_equal(none, own)
    assert 0.5 < difference(near, own) < difference(far, own)
    assert difference(near, other) > 0.5


def test_a_blend_begins_with_one_prompt_and_ends_with_the_other(opened):
    one, other = "red heart, noto style", "blue apple, noto style"
    samples = [opened.sample(one, f"{{seed: 1, blend: {{prompt: '{other}', share: {share}}}}}") for share in (0, 0.5, 1)]
    assert np.array_equal(samples[0], opened.sample(one, "{seed: 1}"))
    assert np.array_equal(samples[2], opened.sample(other, "{seed: 1}"))
    assert min(difference(samples[1], samples[0]), difference(samples[1], samples[2])) > 2


def test_a_traced_image_looks_like_its_pixels(opened, small):
    for prompt in ("red heart, noto style", "pizza, twemoji style"):
        sample_4HW = small.sample([prompt], seed=3)[0]
        svg = _traced_by_page(opened, sample_4HW)
        assert svg.startswith("<svg ") and 1 < svg.count("<path") < 150, svg[:200]
        with Image.open(io.BytesIO(resvg_py.svg_to_bytes(svg_string=svg, width=64, height=64))) as again:
            traced = np.asarray(again.convert("RGBA").convert("RGBa"))
        assert difference(traced, np.asarray(to_image(sample_4HW).convert("RGBa"))) < 8


def _traced_by_page(opened, sample_4HW: np.ndarray) -> str:
    return _asked(opened, "trace", sample_4HW)


def _asked(opened, kind: str, image_4HW: np.ndarray):
    """The answer of the page's worker about an image."""
    given = f"{{bytes: {in_javascript(image_4HW.tobytes())}, size: {image_4HW.shape[-1]}}}"
    return opened.run(f"flowmodel.studio.ask('{kind}', {{image: {given}}})")


def _off(svg: str, sample_4HW: np.ndarray) -> float:
    return difference(np.asarray(render(svg, 64).convert("RGBa")), sample_4HW.transpose(1, 2, 0))


_DIAGONAL = (
    '<linearGradient id="a" x2="1" y2="1"><stop stop-color="#90caf9"/><stop offset="1" stop-color="#1e88e5"/></linearGradient>'
    '<rect x="6" y="6" width="52" height="52" rx="10" fill="url(#a)"/><circle cx="32" cy="32" r="12" fill="#fff"/>'
)
_TWO_BLUES = '<path d="M6 6h26v52H6z" fill="#90caf9"/><path d="M32 6h26v52H32z" fill="#64b5f6"/>'


@pytest.mark.parametrize(("shapes", "gradients"), [(_DIAGONAL, 1), (_TWO_BLUES, 0)], ids=["gradient", "edge"])
def test_a_gradient_is_one_shape_and_an_edge_stays_one_as_with_the_library(opened, shapes, gradients):
    icon = drawn(shapes)
    found, expected = _traced_by_page(opened, icon), Artwork(icon).svg(None)
    for svg in (found, expected):
        assert (svg.count("<path"), svg.count("<linearGradient")) == (2, gradients), svg
    assert _off(found, icon) < _off(expected, icon) + 1


def _bundled(key: str) -> np.ndarray:
    icons = ICONS.read(shipped("bundled/noto.parquet")).set_index("key")
    with Image.open(io.BytesIO(icons.loc[key, "png"])) as image:
        return np.ascontiguousarray(premultiply(np.asarray(image.convert("RGBA"))[None])[0].transpose(2, 0, 1))


def test_real_icons_are_traced_as_closely_as_by_the_library(opened):
    for key in ("1f34e", "1f525", "1f47b", "1f355"):  # red apple, fire, ghost, pizza
        icon = _bundled(key)
        assert _off(_traced_by_page(opened, icon), icon) < _off(Artwork(icon).svg(None), icon) + 1, key


def test_a_training_icon_is_a_copy_of_itself_and_distances_are_those_of_python(opened, page_folder, small):
    of = read_json(page_folder / "icons" / "icons.json")
    codes_NK = of["scale"] * np.fromfile(page_folder / "icons" / "codes.bin", "<i2").reshape(-1, WIDTH)
    own_4HW = _bundled("1f525")
    found = _asked(opened, "find", own_4HW)
    assert found["verdict"] == "copy" and found["icons"][0]["name"] == "fire" and found["icons"][0]["distance"] < 0.001
    for image_4HW in (own_4HW, *small.sample(["red heart, noto style", "lighthouse at night"], seed=3)):
        distances_N = np.linalg.norm(codes_NK - codes(image_4HW[None]), axis=1) / np.sqrt(WIDTH * 4 * GRID * GRID)
        nearest = np.argsort(distances_N)[:3]
        found = _asked(opened, "find", image_4HW)["icons"]
        assert [each["number"] for each in found] == nearest.tolist()
        assert [each["name"] for each in found] == [of["names"][number] for number in nearest]
        assert [each["distance"] for each in found] == pytest.approx(distances_N[nearest], abs=1e-5)


def test_captions_become_the_same_tokens_and_what_is_lost_is_reported_in_the_same_words(opened, page_folder, small):
    tokenizer = Tokenizer.from_file(str(page_folder / "model" / "tokenizer.json"))
    for prompt in PROMPTS:
        expected = small.readability([prompt])
        found = opened.run(f"flowmodel.studio.ask('tokens', {{prompt: {json.dumps(prompt)}}})")
        assert found == list(taken_in(tokenizer, expected.texts)[0].ids), prompt
        told = opened.run(f"flowmodel.studio.ask('read', {{prompts: [{json.dumps(prompt)}]}})")
        try:
            expected.require_meaning()
        except FlowmodelError as error:
            assert told == {"refusal": str(error)}, prompt
        else:
            assert told == {"notes": list(expected.notes)}, prompt


@pytest.mark.parametrize("parts", [(0, 0), (3, 5), (3, 5, 2), (2**32 + 7, 2), (2**53 - 1, 15)])
def test_the_noise_is_the_same(opened, parts):
    seed = mixed_seed(*parts) % 2**32
    module = "import('./noise.js').then((noise) => "
    assert opened.run(f"{module} noise.mixedSeed({', '.join(map(str, parts))}))") == seed
    found = opened.run(f"{module} Array.from(noise.standardNormal({seed}, 4096)))")
    assert np.abs(np.array(found, np.float32) - standard_normal(seed, (4096,))).max() < 1e-5


@pytest.mark.parametrize(
    ("name", "words", "others"), [("tokenizer.json", b"heart", b"hoard"), ("model.json", b'"guidance": 4.0', b'"guidance": 5.0')]
)
def test_a_changed_model_is_refused(opened, page_folder, name, words, others):
    path = page_folder / "model" / name
    content = path.read_bytes()
    assert words in content
    try:
        path.write_bytes(content.replace(words, others))
        opened.page.call("Page.reload", ignoreCache=True)
        assert f"{name} was changed or cut" in opened.status_with("can't be loaded")
        assert opened.run("document.querySelector('[role=alert]').textContent").startswith("The model can't be loaded")
    finally:
        path.write_bytes(content)


def test_a_page_that_is_opened_as_a_file_says_what_to_do(page_folder, tmp_path):
    with browser_page(tmp_path) as page:
        opened = Opened(page, (page_folder / "index.html").as_uri(), tmp_path)
        opened.start("python -m http.server")
        assert opened.run(
            "document.querySelector('[role=alert]').offsetHeight > 0 && document.getElementById('generate').disabled"
        )


def test_over_plain_http_from_another_host_it_samples_and_checks_sizes(page_folder, small, tmp_path):
    copy = Path(shutil.copytree(page_folder, tmp_path / "page", copy_function=os.link))
    with served(copy) as address, browser_page(tmp_path / "browser") as page:
        opened = Opened(page, address.replace("127.0.0.1", INSECURE_HOST), tmp_path)
        opened.start()
        assert opened.run("isSecureContext") is False and opened.run("crypto.subtle === undefined")
        drawn_4HW = opened.sample("red heart, noto style", "{seed: 3}")
        assert difference(drawn_4HW, small.sample(["red heart, noto style"], seed=3)[0]) < 0.1
        tokenizer = copy / "model" / TOKENIZER
        content = tokenizer.read_bytes()
        tokenizer.unlink()  # a link to the file of the other tests
        tokenizer.write_bytes(content[:-1])
        opened.page.call("Page.reload", ignoreCache=True)
        assert f"{TOKENIZER} was changed or cut" in opened.status_with("can't be loaded")


def test_the_browser_of_the_tests_reaches_only_this_machine(tmp_path):
    with browser_page(tmp_path) as page:
        for host in ("flowmodel.example", "192.0.2.1", "127.0.0.2"):  # without the restriction, the last one refuses a connection
            assert page.call("Page.navigate", url=f"http://{host}:8000/")["errorText"] == "net::ERR_NAME_NOT_RESOLVED"


@pytest.mark.parametrize("needed", ["WebAssembly", "DecompressionStream"])
def test_a_browser_that_is_too_old_is_reported(opened, needed):
    added = opened.page.call("Page.addScriptToEvaluateOnNewDocument", source=f"delete globalThis.{needed}")
    opened.page.call("Page.reload")
    assert opened.status_with(f"no {needed}")
    assert opened.run("document.querySelector('[role=alert]').offsetHeight > 0 && document.getElementById('generate').disabled")
    opened.page.call("Page.removeScriptToEvaluateOnNewDocument", identifier=added["identifier"])


def test_the_command_writes_all_that_the_page_needs_and_another_folder_is_left_alone(export, page_folder, exported, tmp_path):
    assert "/page (" in export.told and "view it with: python -m http.server" in export.told
    ModelFolder.open(page_folder / "model").verify()
    assert read_json(page_folder / "page.json")["models"] == [
        {"name": "pretrained", "path": "model/", "training": "icons/", "hint": None}
    ]
    files = [path for path in page_folder.rglob("*") if path.is_file() and "icons" not in path.parts]
    assert 30e6 < sum(path.stat().st_size for path in files) < 44e6
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FlowmodelError, match="not a page"):
        export_page(exported, tmp_path, tmp_path, print)
