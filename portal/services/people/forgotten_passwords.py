"""Email a link for *Forgot your password?*, if the typed address has an account.

The request only stores a row, with the same work for every address, so no one can learn who has an
account. The job that sends emails looks for the account.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final
from zoneinfo import ZoneInfo

import click
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.lib.ids import public_id as new_id
from portal.lib.typed_values import tidy_email
from portal.models.mails import Mail
from portal.models.people import Link, LinkKind, User
from portal.services import audit
from portal.services.core.permissions import NOBODY
from portal.services.core.unit_of_work import database_time, writing
from portal.services.mail import mails
from portal.services.mail.mails import Writer
from portal.services.people import link_mails, one_time_links, sign_in_throttle

LASTS: Final = timedelta(hours=1)
ASKED: Final = "forgotten"


def ask(email: str, address: str | None) -> None:
    """Send a link to this email address, if it has an account.

    `address` is the client's IP address. Raises `sign_in_throttle.Throttled`.
    """
    email, network = tidy_email(email), sign_in_throttle.network_of(address)
    keys = sign_in_throttle.for_forgotten(email, network)
    sign_in_throttle.check(keys)
    with writing() as current:
        sign_in_throttle.count(keys)
        mails.write(current, ASKED, address=email)


def look(_current: Session, mail: Mail, _zone: ZoneInfo) -> None:
    """Store the email with the link, if there is such an account. This row itself is never sent.

    No link is replaced, and one that still works is sent again.
    """
    email = mail.address or ""
    with writing() as current:
        query = select(User).where(func.lower(User.email) == email.lower())
        locked = query.with_for_update(key_share=True)
        user = current.execute(locked).scalar_one_or_none()
        if user is None or not user.is_active or not user.password_hash:
            return
        link = _live(current, user) or _new(current, user)
        mails.write(current, link_mails.FORGOTTEN, link_id=link.id)
        url = one_time_links.address_of(link)
    if mails.is_mailbox():  # the person who runs the trial might be the one who can't sign in
        click.echo(f"{email} can choose a new password: {url}")


WRITERS: Final[Mapping[str, Writer]] = {ASKED: look}


def _live(current: Session, user: User) -> Link | None:
    """Return the link that this person requested, or None if it no longer works."""
    query = select(Link).where(Link.email == user.email, one_time_links.is_asked_for())
    links = current.scalars(query.order_by(Link.id.desc()))
    return next((link for link in links if link_mails.is_live(current, link)), None)


def _new(current: Session, user: User) -> Link:
    link = Link(public_id=new_id(), kind=LinkKind.RESET, email=user.email, role=user.role)
    one_time_links.start(link, None, database_time(current), LASTS)
    link.shown_until = None
    current.add(link)
    current.flush()
    audit.record_person(current, NOBODY, "person.new_password_requested", user)
    return link
