"""Commands for the person who runs the portal."""

import re
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import click
from flask import Flask
from flask.cli import with_appcontext
from flask_migrate import Migrate
from flask_migrate.cli import db as migrations
from sqlalchemy.exc import DBAPIError

from portal.config.exit_codes import USUAL
from portal.config.settings import ROOT
from portal.database.engine import in_words
from portal.extensions import db, settings
from portal.lib.clock import utcnow
from portal.lib.durations import relative, size_in_words
from portal.lib.typed_values import is_email, tidy_email
from portal.models.people import Role
from portal.services.core import vault
from portal.services.core.permissions import COMMAND_LINE, DEMO
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import writing
from portal.services.deliveries import bulk_retry, bulk_retry_selection
from portal.services.deliveries.bulk_retry_selection import Count, Selection
from portal.services.deliveries.statuses import LogFilter, StatusFilter
from portal.services.demo import seed
from portal.services.operations import backups, findings, report, retention
from portal.services.operations import sending as operation_sending
from portal.services.operations.backups import CannotBackUp
from portal.services.operations.findings import Finding, Level
from portal.services.operations.health import Facts, read_facts
from portal.services.operations.retention import WrongClock
from portal.services.people import (
    accounts,
    invitations,
    one_time_links,
    password_resets,
    passwords,
    tokens,
)
from portal.services.webhooks import keys
from portal.services.webhooks.keys import LostKeys

OFF, ON = "off", "on"
# {state: (message after a change, message without a change)}
ANSWERS: Final = {
    OFF: (
        "Paused all sending. Requests in progress will finish.",
        "Sending was already paused.",
    ),
    ON: ("Resumed sending. We’re sending the queued deliveries.", "Sending was already on."),
}


@click.command(epilog=USUAL)
@click.argument("state", type=click.Choice([OFF, ON]))
def sending(state: str) -> None:
    """Pause sending to all webhooks (off), or resume it (on).

    Requests in progress will finish. Events are still stored. Their deliveries are sent after
    you resume sending.
    """
    is_new = (
        operation_sending.stop(COMMAND_LINE)
        if state == OFF
        else operation_sending.start(COMMAND_LINE)
    )
    click.echo(ANSWERS[state][0 if is_new else 1])


UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}
LONGEST: Final = timedelta(days=3650)


def read_span(_context: click.Context, _option: click.Parameter, text: str) -> timedelta:
    """Parse a span of time such as "90m", "24h", or "7d". Raises `BadParameter`."""
    match = re.fullmatch(r"([0-9]{1,6})([mhd])", text)
    span = timedelta(**{UNITS[match[2]]: int(match[1])}) if match else timedelta()
    if not timedelta() < span <= LONGEST:
        raise click.BadParameter("Enter a number and m, h, or d, such as 90m, 24h, or 7d.")
    return span


@click.command(epilog=USUAL)
@click.option(
    "--failed", is_flag=True, required=True, help="Retry failed deliveries, except tests."
)
@click.option(
    "--since",
    required=True,
    callback=read_span,
    help="Only events from this period, such as 90m, 24h, or 7d.",
)
@click.option("--dry-run", is_flag=True, help="Only count the deliveries.")
def retry(failed: bool, since: timedelta, dry_run: bool) -> None:
    """Retry failed deliveries, with one extra attempt each.

    New deliveries go first. Prints a URL where you can follow progress.
    """
    log_filter = LogFilter(status=StatusFilter.FAILED if failed else None, since=utcnow() - since)
    choice = Selection(wanted=log_filter, newest=bulk_retry_selection.newest_now())
    counted = bulk_retry_selection.count(choice)
    _tell(counted)
    if dry_run or not counted.total:
        return
    try:
        batch = bulk_retry.start(COMMAND_LINE, choice)
    except Refusal as refusal:
        raise click.ClickException(refusal.sentence) from None
    click.echo(f"Started. Follow progress at {settings().base_url}/batches/{batch}")


def _tell(counted: Count) -> None:
    more = " or more" if counted.is_more else ""
    click.echo(f"Deliveries to retry: {counted.total}{more}")
    for name, count in counted.by_webhook.most_common():
        click.echo(f"{count:>8}  {name}")
    skipped = counted.skipped.total()
    if skipped:
        click.echo(f"Skipped because the webhook is off or deleted: {skipped}")


@click.command("forget-secrets", epilog=USUAL)
@click.option("--dry-run", is_flag=True, help="Only list secrets that can’t be decrypted.")
def forget_secrets(dry_run: bool) -> None:
    """Recover when encryption keys are permanently lost.

    Stop the portal first. This turns off each webhook with a secret that can’t be decrypted and
    puts its new deliveries on hold. Then the portal can start with the current keys. Nothing is
    erased. If you find the lost keys, add them after the new one and turn the webhooks on.
    """
    try:
        lost = keys.lost_keys() if dry_run else keys.forget(COMMAND_LINE)
    except Refusal as refusal:
        raise click.ClickException(refusal.sentence) from None
    _tell_lost(lost, dry_run=dry_run)


def _tell_lost(found: LostKeys, *, dry_run: bool) -> None:
    for webhook in found.webhooks:
        click.echo(f"{webhook.name}: {' and '.join(webhook.parts)}")
    if found.is_empty:
        click.echo("These encryption keys decrypt everything. Nothing was changed.")
    elif dry_run:
        click.echo(f"Webhooks to turn off: {len(found.webhooks)}. Dry run. Nothing was changed.")
    else:
        click.echo(
            f"Webhooks turned off: {len(found.webhooks)}. Start the portal, enter their secrets "
            "again under Edit, and turn them on."
        )


@click.command("setup-link", epilog=USUAL)
def setup_link() -> None:
    """Print a one-time link to create the first administrator."""
    link = one_time_links.setup_link()
    if link is None:
        words = "There are users already. To add an administrator, run create-user."
        raise click.ClickException(words)
    click.echo(link)
    click.echo("It works once and expires in 7 days.", err=True)


@click.command("create-user", epilog=USUAL)
@click.argument("email")
@click.option("--role", type=click.Choice([role.value for role in Role]), required=True)
@click.option("--name", help="The user’s name, with --password-stdin.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def create_user(email: str, role: str, name: str | None, password_stdin: bool) -> None:
    """Invite a user and print a one-time link to create the account.

    With --password-stdin, create the account right away with that password.
    """
    email = tidy_email(email)
    if not is_email(email):
        raise click.ClickException("EMAIL must be an email address, such as ana@example.com.")
    try:
        if password_stdin:
            password = sys.stdin.readline().rstrip("\r\n")
            _make(email, Role(role), name or email.partition("@")[0], password)
            click.echo(f"{email} can sign in now.")
        else:
            click.echo(invitations.invitation_link(COMMAND_LINE, email, Role(role)))
            click.echo("Share this link. It works once and expires in 7 days.", err=True)
    except Refusal as refusal:
        raise click.ClickException(refusal.sentence) from None


@click.command("new-password", epilog=USUAL)
@click.argument("email")
def new_password(email: str) -> None:
    """Print a one-time link for a user to choose a new password."""
    try:
        click.echo(password_resets.offer_by_email(COMMAND_LINE, tidy_email(email)))
        click.echo("Share this link. It works once and expires in 24 hours.", err=True)
    except Refusal as refusal:
        raise click.ClickException(refusal.sentence) from None


@click.command("create-token", epilog=USUAL)
@click.argument("name")
@click.option("--role", type=click.Choice([role.value for role in Role]), required=True)
@click.option("--read-only", is_flag=True, help="Let the program read but not change anything.")
@click.option(
    "--days",
    type=click.IntRange(0, tokens.LONGEST_DAYS),
    default=tokens.USUAL_DAYS,
    show_default=True,
    help="Days until the token ends. With 0, it has no end.",
)
def create_token(name: str, role: str, read_only: bool, days: int) -> None:
    """Create an API token for the program NAME and print it once."""
    try:
        _, token = tokens.create(
            COMMAND_LINE, name, Role(role), read_only=read_only, days=days or None
        )
    except Refusal as refusal:
        raise click.ClickException(refusal.sentence) from None
    click.echo(token)
    click.echo("Store it now. We can’t show it again.", err=True)


@click.command("seed-demo", epilog=USUAL)
@click.option("--dry-run", is_flag=True, help="Only count the sample assets.")
def seed_demo(dry_run: bool) -> None:
    """Fill an empty register with 200 sample assets, staff, and history.

    Also adds eight webhooks with a month of deliveries. They send nothing outside this portal.
    """
    try:
        if dry_run:
            click.echo(f"Assets to add: {seed.check()}. Nothing was changed.")
            return
        added = seed.seed(DEMO)
        click.echo(
            f"Added {added.assets} assets, {added.staff} staff, {added.alerts} alerts, and "
            f"{added.webhooks} webhooks with {added.deliveries} deliveries."
        )
    except Refusal as refusal:
        raise click.ClickException(refusal.sentence) from None


@click.command(epilog=USUAL)
@click.option("--dry-run", is_flag=True, help="Only count the records to remove.")
def prune(dry_run: bool) -> None:
    """Remove records older than RETENTION_DAYS, as the portal does hourly."""
    try:
        counts = retention.count() if dry_run else retention.prune()
    except WrongClock as error:
        raise click.ClickException(str(error)) from None
    for name, count in counts.items():
        click.echo(f"{count:>8}  {name}")
    if dry_run:
        click.echo("Dry run. Nothing was changed.")


@click.command("rotate-keys", epilog=USUAL)
@click.option("--dry-run", is_flag=True, help="Only count the rows to re-encrypt.")
def rotate_keys(dry_run: bool) -> None:
    """Re-encrypt all secrets with the first key of ENCRYPTION_KEYS.

    Put the new key first and keep the old ones after it. Restart everything, run this command, and
    remove the old keys. After an interruption, run it again to continue.

    At the end, it rebuilds SQLite’s file to remove data encrypted with older keys. Nothing can be
    saved during the rebuild. It needs as much disk space as the file.
    """
    if dry_run:
        click.echo(f"{keys.count_stale()} rows are encrypted with an older encryption key.")
        return
    try:
        done = keys.rotate(lambda _count: None)
    except vault.VaultError as error:
        raise click.ClickException(f"{error} Nothing was changed.") from None
    click.echo(f"Re-encrypted {done} rows.")
    if why_not := keys.rebuild_file():
        raise click.ClickException(
            "The database file still has data encrypted with older encryption keys "
            f"({why_not}). Stop the portal and run this again."
        )


def _make(email: str, role: Role, name: str, password: str) -> None:
    passwords.check(password, email)
    password_hash = passwords.hashed(password)
    with writing() as current:
        accounts.add_user(
            current,
            name=name[:120],
            email=email,
            password_hash=password_hash,
            role=role,
            by=COMMAND_LINE,
        )


@click.command(epilog=USUAL)
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
@with_appcontext
def backup(path: Path) -> None:
    """Copy the database to PATH, which must be a new file.

    The portal can keep running. The copy is opened again and counted. It doesn’t include SECRET_KEY
    and ENCRYPTION_KEYS. Store them somewhere else. Without them, the copy’s secrets are lost.
    """
    try:
        copy = backups.copy_to(path.absolute())
    except CannotBackUp as error:
        raise click.ClickException(str(error)) from None
    try:
        with writing() as current:
            backups.record(current, COMMAND_LINE, copy)
    except DBAPIError as error:  # the copy is still good
        click.echo(f"The audit trail couldn’t record the backup ({error.orig}).", err=True)
    click.echo(f"Copied the database to {path} ({size_in_words(copy.size)}).")
    click.echo(f"Opened the copy and counted {backups.counted(copy.rows)}.")


EXIT_WARNING: Final = 1
EXIT_DANGER: Final = 2
MARKS: Final = {Level.WARNING: "WARNING", Level.DANGER: "DANGER "}
STATES: Final = {
    report.RoleState.RUNNING: "running",
    report.RoleState.SILENT: "not responding",
    report.RoleState.NEVER: "never started",
}


@click.command()
@click.option("--quiet", is_flag=True, help="Print only problems.")
@with_appcontext
def doctor(quiet: bool) -> None:
    """Check every part of the portal and suggest fixes.

    Exit codes: 0 no problems, 1 warnings, 2 deliveries aren’t sent, alerts
    aren’t sent, or changes can’t be saved.
    """
    facts = read_facts(examines=True)
    problems = findings.find(facts, facts.at)
    if not quiet:
        for line in _lines(facts):
            click.echo(line)
    for finding in problems:
        click.echo(f"{MARKS[finding.level]} {finding.title}")
        for line in filter(None, (finding.todo, finding.server)):
            click.echo(f"        {line}")
    if not problems and not quiet:
        click.echo("Server working normally.")
    sys.exit(_exit_code(problems))


def _lines(facts: Facts) -> Iterator[str]:
    now = facts.at
    parts = [*report.version_lines(facts), *report.queue_lines(facts)]
    parts += [*report.sending_lines(facts, now), *report.alert_lines(facts, now)]
    if findings.is_readable(facts):
        parts += [(role.name, _role_words(role, now)) for role in report.read_roles(facts)]
    width = max(len(label) for label, _ in parts)
    yield from (f"{label:<{width}}  {value}" for label, value in parts)
    yield ""


def _role_words(role: report.Role, now: datetime) -> str:
    many = f" ({role.count} processes)" if role.count > 1 else ""
    seen = f", last {relative(role.seen_at, now)}" if role.seen_at else ""
    return f"{STATES[role.state]}{many}{seen}"


def _exit_code(found: list[Finding]) -> int:
    if any(finding.level is Level.DANGER for finding in found):
        return EXIT_DANGER
    return EXIT_WARNING if found else 0


COMMANDS: Final = (
    setup_link,
    create_user,
    new_password,
    create_token,
    doctor,
    sending,
    prune,
    rotate_keys,
    forget_secrets,
    backup,
    retry,
    seed_demo,
)
for _command in (*COMMANDS, *migrations.commands.values()):
    in_words(_command)


def init_migrations(app: Flask) -> None:
    """Set up `flask db` and, inside the application's context, `flask_migrate.upgrade`."""
    migrate = Migrate(db=db, directory=str(ROOT / "migrations"), render_as_batch=False)
    migrate.init_app(app)


def init_app(app: Flask) -> None:
    for command in COMMANDS:
        app.cli.add_command(command)
