"""`flask doctor`: what Settings → System says, on a terminal, when pages may not open any more."""

import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Final

import click
from flask.cli import with_appcontext

from portal.lib.durations import relative
from portal.services.operations import findings, report
from portal.services.operations.findings import Finding, Level
from portal.services.operations.health import Facts, read_facts
from portal.services.operations.report import Role, RoleState, read_roles

EXIT_WARNING: Final = 1
EXIT_DANGER: Final = 2
MARKS: Final = {Level.WARNING: "WARNING", Level.DANGER: "DANGER "}
STATES: Final = {
    RoleState.RUNNING: "running",
    RoleState.SILENT: "not responding",
    RoleState.NEVER: "never started",
}


@click.command()
@click.option("--quiet", is_flag=True, help="Print only what wants a look.")
@with_appcontext
def doctor(quiet: bool) -> None:
    """Look at every part of the portal, and say what to do.

    Ends with 0 when all is well, with 1 after warnings, and with 2 when
    deliveries do not go out, alerts do not fire or changes cannot be saved.
    """
    facts = read_facts(examines=True)
    found = findings.find(facts, facts.at)
    if not quiet:
        for line in _lines(facts):
            click.echo(line)
    for each in found:
        click.echo(f"{MARKS[each.level]} {each.title}\n        {each.todo}")
    if not found and not quiet:
        click.echo("All systems running.")
    sys.exit(_exit_code(found))


def _lines(facts: Facts) -> Iterator[str]:
    now = facts.at
    parts = [*report.version_lines(facts), *report.queue_lines(facts)]
    parts += [*report.sending_lines(facts, now), *report.alert_lines(facts, now)]
    if findings.is_readable(facts):
        parts += [(role.name, _role(role, now)) for role in read_roles(facts)]
    width = max(len(label) for label, _ in parts)
    yield from (f"{label:<{width}}  {value}" for label, value in parts)
    yield ""


def _role(role: Role, now: datetime) -> str:
    many = f" ({role.count} processes)" if role.count > 1 else ""
    seen = f", last {relative(role.seen_at, now)}" if role.seen_at else ""
    return f"{STATES[role.state]}{many}{seen}"


def _exit_code(found: list[Finding]) -> int:
    if any(each.level is Level.DANGER for each in found):
        return EXIT_DANGER
    return EXIT_WARNING if found else 0
