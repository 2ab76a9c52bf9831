"""The command line: `flowmodel train`, `sample`, `complete`, `studio`, `export`, `serve`, `evaluate`, `icons`, `champion`,
`store`, `summary` and `doctor`, one module per command.

Errors that the user can fix are one line on standard error with exit code 2; an interrupted training that can be resumed exits
with 75. Heavy imports happen inside the commands, so that `flowmodel --help` answers at once.
"""

import os
import sys
import warnings

import typer

from flowmodel.cli.champion import app as champion_app
from flowmodel.cli.complete import complete
from flowmodel.cli.doctor import doctor
from flowmodel.cli.evaluate import evaluate
from flowmodel.cli.export import export
from flowmodel.cli.icons import app as icons_app
from flowmodel.cli.sample import sample
from flowmodel.cli.serve import serve
from flowmodel.cli.store import app as store_app
from flowmodel.cli.studio import studio
from flowmodel.cli.summary import summary
from flowmodel.cli.train import train
from flowmodel.errors import FlowmodelError, Resumable, machine_refusal
from flowmodel.extras import missing_extra

app = typer.Typer(
    help="A small text-to-icon generator: train it on captioned icons, then type a prompt.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (train, sample, complete, studio, export, serve, evaluate, summary, doctor):
    app.command()(command)
app.add_typer(champion_app, name="champion")
app.add_typer(store_app, name="store")
app.add_typer(icons_app, name="icons")


def main() -> None:
    """Entry point of the `flowmodel` command."""
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"  # without a file of the library and its code
    try:
        app()
    except Resumable as error:
        print(f"stopped: {error}", file=sys.stderr)
        sys.exit(os.EX_TEMPFAIL)
    except FlowmodelError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except ModuleNotFoundError as error:
        if (line := missing_extra(error)) is None:
            raise
        print(f"error: {line}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted; the same command continues from the last saved state", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if (refusal := machine_refusal(error)) is None:
            raise
        print(f"error: {refusal}", file=sys.stderr)
        sys.exit(2)
