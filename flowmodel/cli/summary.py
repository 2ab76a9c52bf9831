"""Summary of the last pipeline run for the terminal."""

from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

from flowmodel.cli import common
from flowmodel.errors import FlowmodelError
from flowmodel.files import read_json
from flowmodel.recipes.split import Split
from flowmodel.shipped import program
from flowmodel.store import Store

if TYPE_CHECKING:
    from flowmodel.evaluation.report import EvaluationReport

_ROWS = ("kid", "retrieval_top1_all", "retrieval_top5_all", "near_copy_rate")
_SPLITS = (Split.TRAIN, Split.UNSEEN_CONCEPT)


def metrics_table(report: "EvaluationReport") -> Table:
    """The scores of training and unseen captions, each with the score of real icons."""
    from flowmodel.evaluation.metric_names import metric

    settings, metrics, real = report.settings, report.metrics, report.baselines.real
    finisher = f", finisher of {settings.finisher.parameters / 1e6:.2f} M" if settings.finisher else ""
    shown = [split for split in _SPLITS if split in metrics]
    samples = " and ".join(f"{metrics[split].count} {split.label.lower()}" for split in shown)
    table = Table(
        box=box.SIMPLE,
        pad_edge=False,
        caption=f"{settings.recipe}: {settings.parameters / 1e6:.2f} M parameters, {settings.training_steps:,} steps{finisher}, "
        f"{settings.solver} with {settings.network_evaluations} network evaluations, guidance {settings.guidance:g}; samples of "
        f"{samples}. KID: lower is better. Recognition: the "
        f"right one of {settings.real_icons:,} real icons is the nearest to the sample, or one of the five nearest.",
        caption_justify="left",
    )
    table.add_column("")
    for split in shown:
        table.add_column(split.label.lower(), justify="right", no_wrap=True)
        table.add_column("real", justify="right", style="dim", no_wrap=True)
    for named in map(metric, _ROWS):
        table.add_row(named.label, *(named.text(scores[split].get(named.key)) for split in shown for scores in (metrics, real)))
    return table


def print_summary(store: Store, console: Console) -> None:
    """Raises FlowmodelError when no pipeline run has finished in `store`."""
    from flowmodel.evaluation.report import EvaluationReport

    released = store.released
    if not released.exists():
        raise FlowmodelError(f"{released}: nothing is registered in this store yet; run: make quickstart")
    record = read_json(released)
    console.print(metrics_table(EvaluationReport.read(store.locate(record["metrics"]))))
    console.print(f"sample grid       {store.locate(record['grid'])}", soft_wrap=True)
    aliases = " and ".join(record["aliases"]) or "no alias"
    console.print(f"registered model  {record['name']}, version {record['version']} ({aliases})", soft_wrap=True)
    console.print(f"decision          {record['decision']['reason']}", soft_wrap=True)
    for rule in record["rules"]:
        console.print(f"                  {rule['in words']}", soft_wrap=True)
    console.print(f"sample icons      {program()} sample 'red heart' pizza --count 4 --out hearts.png", soft_wrap=True)
    console.print("open both UIs     make ui")


def summary() -> None:
    """Show what the last pipeline run produced: metrics, sample grid, registered model, and how to inspect them."""
    print_summary(Store.from_environment(), common.console)
