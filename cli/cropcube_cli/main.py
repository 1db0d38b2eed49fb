"""The `cropcube` command."""

from __future__ import annotations

import importlib
import sys
from typing import Annotated

import typer

COMMANDS = (
    "build",
    "status",
    "features",
    "train",
    "predict",
    "evaluate",
    "export",
    "extract",
    "regions",
    "catalogs",
    "demo",
    "info",
)
"""In the order of a job, each a module of `cropcube_cli.commands` with a function of the same name."""

INTERRUPTED = 130
"""How typer ends after Ctrl-C."""


def make_app() -> typer.Typer:
    """Return the command-line application; the modules of the commands import nothing heavy until one runs."""
    app = typer.Typer(
        name="cropcube",
        help="From a satellite catalogue to an audited crop-type map.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # boxes would cost half of the time that `--help` takes
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def root(
        version: Annotated[
            bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Print the version.")
        ] = False,
    ) -> None:
        """From a satellite catalogue to an audited crop-type map."""

    for name in COMMANDS:
        module = importlib.import_module(f"cropcube_cli.commands.{name}")
        app.command(name)(getattr(module, name))
    models = typer.Typer(no_args_is_help=True, help="Look at models.", rich_markup_mode=None)
    models.callback()(_models)
    models.command("show")(importlib.import_module("cropcube_cli.commands.model").show)
    app.add_typer(models, name="model")
    return app


def _models() -> None:
    """Look at models."""


def main() -> None:
    """Run the command line; exit code 1 where the work failed or was interrupted, 2 for usage."""
    from cropcube.errors import CropcubeError, UsageError

    try:
        make_app()()
    except CropcubeError as error:
        sys.stderr.write(f"error: {error.what}\n")
        if error.next_step:
            sys.stderr.write(f"  -> {error.next_step}\n")
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except OSError as error:  # the rights of a file or folder, a disk that went away: no fault of the program
        what, next_step = str(error), "Mend the file or folder"
        if "://" in str(error.filename):
            what, next_step = f"{error.filename}: {error.strerror}", "Check credentials, endpoint and network"
        sys.stderr.write(f"error: {what}\n  -> {next_step} and run the same command again.\n")
        sys.exit(1)
    except SystemExit as stop:
        if stop.code == INTERRUPTED:
            sys.stderr.write("interrupted: what is done is kept; run the same command again to go on\n")
            sys.exit(1)
        raise


def _show_version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"cropcube {version('cropcube')}")
        raise typer.Exit
