"""Commands for the person who runs the portal."""

import sys
from typing import Final

import click
from flask import Flask
from flask_migrate.cli import db as migrations

from portal.commands.actor import COMMAND_LINE
from portal.commands.backup import backup
from portal.commands.doctor import doctor
from portal.commands.keys import forget_secrets
from portal.commands.retry import retry
from portal.commands.switch import sending
from portal.config.exit_codes import USUAL
from portal.database.plain_errors import in_words
from portal.engine.events.body import ActorKind, Origin
from portal.lib.emails import is_email, tidy_email
from portal.models.people import Role
from portal.services.core import vault
from portal.services.core.permissions import Actor
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import writing
from portal.services.demo import seed
from portal.services.operations import retention
from portal.services.operations.clock_check import WrongClock
from portal.services.people import invitations, password_resets, passwords, signup
from portal.services.webhooks import key_rotation

DEMO: Final = Actor(ActorKind.SYSTEM, None, "Demo data", Origin.API)


def init_app(app: Flask) -> None:
    """Register the commands."""
    for command in COMMANDS:
        app.cli.add_command(command)


@click.command("create-user", epilog=USUAL)
@click.argument("email")
@click.option("--role", type=click.Choice([role.value for role in Role]), required=True)
@click.option("--name", help="The person's name, with --password-stdin.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def create_user(email: str, role: str, name: str | None, password_stdin: bool) -> None:
    """Invite EMAIL, and print the one-time link that makes the account.

    With --password-stdin the account is made at once, with that password.
    """
    email = tidy_email(email)
    if not is_email(email):
        raise click.ClickException("EMAIL must be an e-mail address, such as ana@example.com.")
    try:
        if password_stdin:
            password = sys.stdin.readline().rstrip("\r\n")
            _make(email, Role(role), name or email.partition("@")[0], password)
            click.echo(f"{email} can sign in now.")
        else:
            click.echo(invitations.invitation_link(COMMAND_LINE, email, Role(role)))
            click.echo("Pass the link on. It works once, for 7 days.", err=True)
    except Refusal as refusal:
        raise click.ClickException(refusal.sentence) from None


@click.command("new-password", epilog=USUAL)
@click.argument("email")
def new_password(email: str) -> None:
    """Print a one-time link with which EMAIL, who has an account, chooses a new password."""
    try:
        click.echo(password_resets.offer_by_email(COMMAND_LINE, tidy_email(email)))
        click.echo("Pass the link on. It works once, for 24 hours.", err=True)
    except Refusal as refusal:
        raise click.ClickException(refusal.sentence) from None


@click.command("seed-demo", epilog=USUAL)
@click.option("--dry-run", is_flag=True, help="Only say whether it may, and how many assets.")
def seed_demo(dry_run: bool) -> None:
    """Fill an empty register with 200 believable assets, their people and their history.

    It also connects seven webhooks, which deliver into this portal or to nobody, and tells a month
    of their deliveries.
    """
    try:
        if dry_run:
            click.echo(f"{seed.check()} assets would be added. Nothing was changed.")
            return
        made = seed.seed(DEMO)
        click.echo(
            f"The register now holds {made.assets} assets, {made.staff} people and {made.alerts} "
            f"alerts; {made.webhooks} webhooks have {made.deliveries} deliveries."
        )
    except Refusal as refusal:
        raise click.ClickException(refusal.sentence) from None


@click.command(epilog=USUAL)
@click.option("--dry-run", is_flag=True, help="Only count what there is to remove.")
def prune(dry_run: bool) -> None:
    """Remove what has been kept long enough (RETENTION_DAYS). The portal does it every hour."""
    try:
        counts = retention.count() if dry_run else retention.prune()
    except WrongClock as error:
        raise click.ClickException(str(error)) from None
    for name, count in counts.items():
        click.echo(f"{count:>8}  {name}")
    if dry_run:
        click.echo("This was a dry run: nothing was changed.")


@click.command("rotate-keys", epilog=USUAL)
@click.option("--dry-run", is_flag=True, help="Only say how many rows there are to seal anew.")
def rotate_keys(dry_run: bool) -> None:
    """Seal all stored secrets with the first key of ENCRYPTION_KEYS.

    Put the new key first and keep the old ones behind it, restart everything, run this, and then
    take the old ones out. Ended half-way, it goes on where it was.

    SQLite's file is rebuilt at the end, so that nothing stays in it that older keys open. Nothing
    is saved meanwhile, and it takes as much room again as the file.
    """
    if dry_run:
        click.echo(f"{key_rotation.count_stale()} rows are sealed with an older key.")
        return
    try:
        done = key_rotation.rotate(lambda _count: None)
    except vault.VaultError as error:
        raise click.ClickException(f"{error} Nothing of it was changed.") from None
    click.echo(f"{done} rows were sealed anew.")
    if why_not := key_rotation.rebuild_file():
        raise click.ClickException(
            f"The file of the database still holds what older keys sealed: {why_not}. Stop the "
            "portal, and run this again."
        )


def _make(email: str, role: Role, name: str, password: str) -> None:
    passwords.check(password, email)
    password_hash = passwords.hashed(password)
    with writing() as current:
        signup.add_user(
            current,
            name=name[:120],
            email=email,
            password_hash=password_hash,
            role=role,
            by=COMMAND_LINE,
        )


COMMANDS: Final = (
    create_user,
    new_password,
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
