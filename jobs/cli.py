"""The commands that start processes: worker, scheduler, up."""

import sys

import click
from flask import Flask, current_app
from flask.cli import with_appcontext

from portal import gc_freeze
from portal.config.exit_codes import BAD_SETTING, PROCESS
from portal.queue.names import QUEUES

# Imports stay inside the commands, so that each process loads only its own code.


@click.command(epilog=PROCESS)
@click.argument("queue", type=click.Choice(QUEUES))
def worker(queue: str) -> None:
    """Run the jobs of one queue until stopped."""
    with gc_freeze():
        _log(queue)
        from jobs.worker import run_worker

    run_worker(queue)


@click.command(epilog=PROCESS)
def scheduler() -> None:
    """Run scheduled jobs until stopped."""
    with gc_freeze():
        _log("scheduler")
        from jobs.scheduler import run_scheduler

    sys.exit(run_scheduler())


@click.command(epilog=f"Exit codes: 0 after Ctrl-C or SIGTERM, {BAD_SETTING}")
@with_appcontext
def up() -> None:
    """Start everything on one machine: database, Valkey, web, workers."""
    from jobs.up import bring_up

    bring_up(current_app._get_current_object())  # type: ignore[attr-defined]  # werkzeug's proxy


def register(app: Flask) -> None:
    """Add the commands to `flask`."""
    for command in (worker, scheduler, up):
        app.cli.add_command(command)


def _log(process: str) -> None:
    from portal import logs
    from portal.config.settings import load_settings

    logs.set_up(load_settings(), process)
