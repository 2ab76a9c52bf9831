"""Summary of the last pipeline run for the terminal."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from flowmodel.cli import common
from flowmodel.errors import FlowmodelError
from flowmodel.files import read_json
from flowmodel.recipes.split import Split
from flowmodel.store import Store

if TYPE_CHECKING:
    from flowmodel.evaluation.report import EvaluationReport

_ROWS = (
    ("KID (lower is better)", "kid", "{:.4f}"),
    ("top-1 among those drawn", "retrieval_top1_split", "{:.1%}"),
    ("top-1 among all icons", "retrieval_top1_all", "{:.1%}"),
    ("top-5 among all icons", "retrieval_top5_all", "{:.1%}"),
    ("near copies of a training icon", "near_copy_rate", "{:.1%}"),
)
_SPLITS = (Split.TRAIN, Split.UNSEEN_CONCEPT)


def metrics_table(report: "EvaluationReport") -> Table:
    """The scores of trained and unseen captions, each beside what real icons score."""
    settings, metrics, real = report.settings, report.metrics, report.baselines.real
    finisher = f", finisher of {settings.finisher.parameters / 1e6:.2f} M" if settings.finisher else ""
    table = Table(
        caption=f"{settings.recipe}: {settings.parameters / 1e6:.2f} M parameters, {settings.training_steps} steps{finisher}, "
        f"{settings.solver} with {settings.network_evaluations} network evaluations, guidance {settings.guidance:g}. "
        "Top-k: the drawn icon is among the k real ones that are most like the sample.",
        caption_justify="left",
    )
    table.add_column("")
    shown = [split for split in _SPLITS if split in metrics]
    for split in shown:
        table.add_column(f"{split.label.lower()} ({metrics[split].count})", justify="right")
        table.add_column("real", justify="right", style="dim")
    for words, key, form in _ROWS:
        cells = [scores[split].get(key) for split in shown for scores in (metrics, real)]
        table.add_row(words, *("-" if cell is None else form.format(cell) for cell in cells))
    return table


def print_summary(store: Store, console: Console) -> None:
    """Raises FlowmodelError when no pipeline run has come to its end in `store`."""
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
    console.print("draw something    .venv/bin/flowmodel sample 'red heart' pizza --count 4 --out hearts.png", soft_wrap=True)
    console.print("open both UIs     make ui")


def summary() -> None:
    """Show what the last pipeline run produced: metrics, sample grid, registered model, and how to inspect them."""
    print_summary(Store.from_environment(), common.console)
