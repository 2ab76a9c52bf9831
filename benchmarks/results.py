"""Writes docs/results.md and the tables in README.md and the model card from the metrics files of evaluations.

    python -m benchmarks.results

`flowmodel evaluate --json docs/results/RECIPE.json` adds or replaces the scores of a recipe; those of the shipped weights are
in the same folder.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

import yaml

from flowmodel.errors import FlowmodelError
from flowmodel.evaluation.metric_names import metric
from flowmodel.evaluation.report import EvaluationReport, SplitScores
from flowmodel.files import write_bytes
from flowmodel.recipes import recipe_names
from flowmodel.recipes.split import Split
from flowmodel.store import PROJECT_ROOT

FOLDER = PROJECT_ROOT / "docs" / "results"
PAGE = PROJECT_ROOT / "docs" / "results.md"
README = PROJECT_ROOT / "README.md"
CARD = PROJECT_ROOT / "data" / "pretrained" / "README.md"
SHIPPED = CARD.with_name("metrics.json")
_YAML_BEGIN, _YAML_END = "# results: written by python -m benchmarks.results", "# /results"
_BEGIN, _END = "<!-- results: written by python -m benchmarks.results -->", "<!-- /results -->"

_INTRODUCTION = f"""# Results

{_BEGIN}

Current scores by recipe, from the metrics files named below ([what each score means](evaluation.md)). Means over the seeds; in
brackets what real icons score, which is as good as a model can get. Superseded numbers are in the [log](log.md).
"""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _measure(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


Format = Callable[[float | None], str]
_SCORES: dict[str, tuple[str, Format]] = {
    "kid": ("KID", _number),
    "retrieval_top1_source": ("top-1 of its source", _percent),
    "retrieval_top1_all": ("top-1 of all", _percent),
    "retrieval_top5_all": ("top-5 of all", _percent),
    "alpha_iou": ("alpha IoU", _number),
    "near_copy_rate": ("near copies", _percent),
    "flat_share": ("flat share", _percent),
    "edge_sharpness": ("edge sharpness", _measure),
    "half_transparent": ("half-transparent", _percent),
}


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    titles = list(header)
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def splits_table(report: EvaluationReport) -> str:
    """One row per split: each score, with that of real icons in brackets."""

    def cells(split: Split, scores: SplitScores) -> Iterable[str]:
        yield split.label.lower()
        yield str(scores.count)
        for name, (_, form) in _SCORES.items():
            real = form(report.baselines.real[split].get(name))
            yield f"{form(scores.get(name))} ({real})" if real else form(scores.get(name))
            if name == "kid":
                yield f"{_number(scores.kid_low)} to {_number(scores.kid_high)}"
                if report.unfinished:
                    yield _number(report.unfinished[split].kid)

    titles = ["split", "icons"]
    for name, (title, _) in _SCORES.items():
        titles.append(title)
        if name == "kid":
            titles += ["95% interval", *(["without finisher"] if report.unfinished else [])]
    order = [split for split in Split if split in report.metrics]
    return table(titles, (cells(split, report.metrics[split]) for split in order))


def section(report: EvaluationReport, path: Path) -> str:
    """A recipe's heading, settings and table."""
    s = report.settings
    sampling = f"{s.steps} {s.solver.capitalize()} steps and guidance {s.guidance:g}"
    if tuple(s.guidance_interval) != (0, 1):
        sampling += f" for t from {s.guidance_interval[0]:g} to {s.guidance_interval[1]:g}"
    finisher = f", and a finisher of {s.finisher.parameters / 1e6:.2f} million" if s.finisher else ""
    return f"""
## {s.recipe}

`{path.relative_to(PROJECT_ROOT).as_posix()}`: {s.parameters / 1e6:.2f} million parameters{finisher}; {s.training_steps:,} steps;
{s.training_icons:,} training icons, those of initial weights included. Sampled with {sampling},
which take {s.network_evaluations} network evaluations, on {s.device.upper()}; seeds {", ".join(map(str, s.seeds))}.
"All" are {s.real_icons:,} real icons.

{splits_table(report)}
"""


def page(reports: dict[Path, EvaluationReport]) -> str:
    """The whole of docs/results.md."""
    recorded = {report.settings.recipe for report in reports.values()}
    without = ", ".join(f"`{name}`" for name in recipe_names() if name not in recorded)
    rest = f"\n## Recipes without a current evaluation\n\n{without}: `flowmodel evaluate --json docs/results/RECIPE.json`, then"
    return (
        _INTRODUCTION
        + "".join(section(report, path) for path, report in reports.items())
        + f"{rest}\n`python -m benchmarks.results`.\n"
    )


def summary(reports: Iterable[EvaluationReport]) -> str:
    """The README's table: trained icons and unseen concepts of each recipe."""
    rows = []
    for report in reports:
        for split in (Split.TRAIN, Split.UNSEEN_CONCEPT):
            scores, real = report.metrics[split], report.baselines.real[split]
            pairs = [f"{form(scores.get(name))} ({form(real.get(name))})" for name, form in _README_SCORES.items()]
            rows.append([f"`{report.settings.recipe}`", split.label.lower(), *pairs])
    return table(["recipe", "icons", *(_SCORES[name][0] for name in _README_SCORES)], rows)


# A KID estimate below 0 is shown as 0, as in a report.
_README_SCORES: dict[str, Format] = {"kid": metric("kid").text} | {
    name: _SCORES[name][1] for name in ("retrieval_top1_all", "retrieval_top5_all", "near_copy_rate")
}


def model_index(report: EvaluationReport) -> str:
    """The scores in the form of a model card's YAML header on Hugging Face."""
    results = [
        {
            "task": {"type": "text-to-image"},
            "dataset": {"name": f"{split.label}: {split.description}", "type": "icons"},
            "metrics": [
                {"type": name, "name": _SCORES[name][0], "value": round(value, 3)}
                for name in _README_SCORES
                if (value := report.score(split, name)) is not None
            ],
        }
        for split in Split
        if split in report.metrics
    ]
    index = {"model-index": [{"name": "flowmodel", "results": results}]}
    return yaml.safe_dump(index, sort_keys=False, width=120).rstrip()


def with_region(text: str, content: str, path: Path, marks: tuple[str, str] = (_BEGIN, _END)) -> str:
    """`text` with `content` between the marks; raises FlowmodelError naming `path` where the marks are missing."""
    before, begin, rest = text.partition(marks[0])
    _, end, after = rest.partition(marks[1])
    if not begin or not end:
        raise FlowmodelError(f"{path}: no lines '{marks[0]}' and '{marks[1]}'; the table is written between them")
    return f"{before}{begin}\n{content}\n{end}{after}"


def documents() -> dict[Path, str]:
    """Each file with scores, with its current text."""
    paths = [SHIPPED, *sorted(FOLDER.glob("*.json"))]
    reports = {path: EvaluationReport.read(path) for path in paths}
    shipped = reports[SHIPPED]
    card = with_region(CARD.read_text(encoding="utf-8"), model_index(shipped), CARD, (_YAML_BEGIN, _YAML_END))
    return {
        PAGE: page(reports),
        README: with_region(README.read_text(encoding="utf-8"), summary(reports.values()), README),
        CARD: with_region(card, splits_table(shipped), CARD),
    }


if __name__ == "__main__":
    for path, text in documents().items():
        write_bytes(path, text.encode())
