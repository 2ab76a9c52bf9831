"""The page of a real evaluation in a browser."""

import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from flowmodel.evaluation.html.page import write_report
from flowmodel.evaluation.html.score_tables import SHOWN_SPLITS
from flowmodel.evaluation.metric_names import NOTHING, metric, number, percent
from flowmodel.evaluation.report import EvaluationReport
from flowmodel.evaluation.run import evaluate
from tests.evaluation.browser import CHROMIUM, browser_page


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def read(tiny_report) -> _Reader:
    reader = _Reader()
    reader.feed(tiny_report.html)
    return reader


def test_the_json_beside_it_holds_what_the_page_is_made_of(tiny_report):
    report = EvaluationReport.read(tiny_report.evaluation.metrics.path)
    assert report == tiny_report.evaluation.report and report.settings.seeds == (5,)


def test_everything_is_inside_and_no_script_runs(tiny_report, read):
    assert read.all("script") == read.all("link")[1:] == []
    addresses = [
        a.get("src") or a.get("srcset") or a.get("href") or "" for tag in ("img", "source", "link") for a in read.all(tag)
    ]
    assert addresses and all(address.startswith("data:") for address in addresses)
    assert not re.search(r"url\((?!#)|@import", tiny_report.html)


def test_every_section_is_there_and_every_link_leads_to_one(read):
    ids = [attributes["id"] for attributes in read.all("section")]
    wanted = [
        "trained",
        "held-out",
        "scores",
        "memorization",
        "texture",
        "shapes",
        "sweeps",
        "groups",
        "curves",
        "metrics",
        "settings",
    ]
    assert ids == wanted and [attributes["href"] for attributes in read.all("a")] == [f"#{name}" for name in wanted]


def test_no_heading_skips_a_level(read):
    levels = [int(tag[1]) for tag, _ in read.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_scores_and_settings_are_folded(read):
    tags = [(tag, attributes.get("id")) for tag, attributes in read.tags]
    after_metrics = tags[tags.index(("section", "metrics")) :]
    tables_and_lists = [place for place, (tag, _) in enumerate(after_metrics) if tag in ("table", "dl", "pre")]
    assert tables_and_lists and all(("details", None) in after_metrics[:place] for place in tables_and_lists)
    assert all("open" not in attributes for attributes in read.all("details"))


def test_what_the_finisher_does_is_a_table_of_its_own(finished_report, tiny_report):
    reader = _Reader()
    reader.feed(finished_report.html)
    assert "finisher" in [attributes["id"] for attributes in reader.all("section")]
    assert "#finisher" in [attributes["href"] for attributes in reader.all("a")]
    report = finished_report.evaluation.report
    for split in SHOWN_SPLITS:
        for key in ("kid", "alpha_iou", "half_transparent"):
            row = (metric(key).text(scores[split].get(key)) for scores in (report.unfinished, report.metrics))
            assert '</td><td class="own">'.join(row) in finished_report.html
    assert finished_report.html.count(">before</th>") == len(SHOWN_SPLITS)
    assert "<h2>Finisher</h2>" not in tiny_report.html


def test_samples_stand_beside_their_shapes_with_scores_of_both(read, tiny_report):
    traced = tiny_report.evaluation.report.traced
    kinds = [attributes["alt"].split(":")[0] for attributes in read.all("img")]
    shown = [n for n, kind in enumerate(kinds) if kind == "traced"]
    assert len(shown) == 8 and all(kinds[n - 1 : n + 2] == ["sample", "traced", "traced real icon"] for n in shown)
    text = " ".join(" ".join(read.text).split())
    assert f"Paths per icon, median {NOTHING} {traced.drawn_paths:g} {traced.real_paths:g}" in text
    top1 = (percent(scores.retrieval_top1_all) for scores in (traced.pixels, traced.drawn, traced.real))
    assert f"Recognition among all icons ↑ {' '.join(top1)} Paths" in text


def test_no_two_elements_share_an_id_and_every_image_says_what_it_is(read):
    ids = [attributes["id"] for _, attributes in read.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert all(attributes.get("alt") for attributes in read.all("img"))


def test_each_image_of_a_held_out_caption_stands_beside_the_real_icon_and_its_nearest_training_icon(read):
    alts = [attributes["alt"] for attributes in read.all("img") if not attributes["alt"].startswith("Noise")]
    kinds = [alt.split(":")[0] for alt in alts]
    samples = [n for n, kind in enumerate(kinds) if kind == "sample" and kinds[n + 1] != "traced"]
    assert len(samples) == 24 + 12 + 12 + 12  # trained, unseen, validation, closest
    assert all(alts[n - 1].replace("real icon", "sample") == alts[n] for n in samples)
    assert [kinds[n + 1] for n in samples[24:]] == ["nearest training icon"] * 36


def test_sweeps_groups_and_curves_are_charts(read, tiny_report):
    spoken = [attributes["aria-label"] for attributes in read.all("svg")]
    for words in (
        "against network evaluations per image",
        "against guidance scale",
        "against t (0 is noise",
        "share of samples",
        "loss against training steps",
    ):
        assert any(words in label for label in spoken), words
    assert len(tiny_report.evaluation.report.sweeps.nfe) >= 5


def test_the_texture_of_samples_and_real_icons_stands_side_by_side(read, tiny_report):
    report = tiny_report.evaluation.report
    text = " ".join(" ".join(read.text).split())
    for split in SHOWN_SPLITS:
        own, real = report.metrics[split], report.baselines.real[split]
        for key in ("edge_sharpness", "color_count"):
            assert f"{number(own.get(key))} {number(real.get(key))}" in text
    assert report.prediction_error.keys() == {"train", "validation"}


def test_settings_and_what_was_left_out_are_written_down(read, tiny_report):
    text = " ".join(" ".join(read.text).split())
    settings = tiny_report.evaluation.report.settings
    for value in (settings.checkpoint_digest, settings.extractor_digest, settings.dataset_digest, settings.caption_probe_digest):
        assert value in text
    assert "the caption encoder minilm has no image tower" in text
    assert "no two sources of this data set have an icon of the same concept" in text


def test_without_sweeps_and_curves_the_page_says_so(tiny_training, tmp_path):
    cache = tiny_training.store.root / "features"
    config = tiny_training.recipe.evaluation.model_copy(update={"max_icons": 6, "seeds": (1,)})
    evaluation = evaluate(tiny_training.checkpoint, tiny_training.dataset, tmp_path, cache, config=config)
    page = write_report(tmp_path / "r.html", evaluation, tiny_training.checkpoint).path.read_text(encoding="utf-8")
    assert "this evaluation was made without sweeps" in page and "MLflow has no run of this training" in page


# Folded sections are opened first. A table has a scroll hint exactly if it scrolls.
_TABLES_THAT_HIDE_COLUMNS_UNTOLD = """
document.querySelectorAll('details').forEach(one => one.open = true);
[...document.querySelectorAll('.frame')].filter(frame => {
  const table = frame.querySelector('.scroll'), told = getComputedStyle(frame.querySelector('.sideways')).display != 'none';
  return told != table.scrollWidth > table.clientWidth
}).map(frame => frame.querySelector('.scroll').getAttribute('aria-label'))"""


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium browser here")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "mobile"), [(1280, False), (390, True), (320, True)])
def test_a_browser_shows_it_whole_at_every_width_and_in_the_dark(tiny_report, tmp_path, width, mobile, scheme):
    with browser_page(tmp_path) as page:
        page.open(tiny_report.page, width, 800, scheme, mobile)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, "it must be scrolled sideways"
        assert page.evaluate("window.innerWidth") == width, "the phone has zoomed out"
        assert page.evaluate(_TABLES_THAT_HIDE_COLUMNS_UNTOLD) == []
        if mobile:
            image, verdict = (
                page.evaluate(f"document.querySelector('{e}').getBoundingClientRect().top") for e in (".becoming", "h1")
            )
            assert image < verdict < 800, "first the image, then the verdict, both without scrolling"
        assert page.evaluate("[...document.images].filter(i => !i.complete || !i.naturalWidth).length") == 0
        cut = page.evaluate(
            "[...document.querySelectorAll('h1,h2,h3,h4,p,dd,dt,figcaption,nav a')].filter(e => {"
            "const r = e.getBoundingClientRect(); return r.right > innerWidth + 1 || r.left < -1}).map(e => e.textContent)"
        )
        assert cut == []
        assert (
            page.evaluate("Math.min(...[...document.querySelectorAll('p')].map(e => parseFloat(getComputedStyle(e).fontSize)))")
            >= 12
        )
        ink, paper = (
            _lightness(page.evaluate(f"getComputedStyle(document.body).{name}")) for name in ("color", "backgroundColor")
        )
        assert (paper > ink) == (scheme == "light") and abs(paper - ink) > 150
        assert page.complaints == []
        assert [url for url in page.requests if not url.startswith(("file:", "data:"))] == []
        assert sum(url.startswith("file:") for url in page.requests) == 1


def _lightness(color: str) -> float:
    return sum(float(number) for number in re.findall(r"[\d.]+", color)[:3]) / 3
