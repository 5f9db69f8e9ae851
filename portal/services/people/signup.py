"""How a person comes to have an account: the first set-up, and accepted invitations."""

from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal.engine.events.body import ActorKind, Origin
from portal.lib.typed_values import tidy_email
from portal.models.people import LinkKind, Role, User
from portal.services import audit
from portal.services.core.permissions import Actor
from portal.services.core.refusals import Refusal
from portal.services.core.time_zones import refuse_unknown_zone
from portal.services.core.unit_of_work import writing
from portal.services.people import one_time_links, sessions
from portal.services.people.sessions import UNKNOWN_DEVICE, Admission


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPerson:
    """What a person says on joining. The e-mail address of an invitation is its own.

    `time_zone`: None is the portal's.
    """

    name: str
    email: str
    password: str = field(repr=False)
    time_zone: str | None = None


def set_up(
    token: str, once: UUID, values: NewPerson, device: str = UNKNOWN_DEVICE
) -> Admission | None:
    """Make the first administrator, sign them in, and use the set-up link up.

    Sent twice, the second gets None: it is told nothing, and is nobody's way in. Raises
    `links.DeadLink`.
    """
    return _join(LinkKind.SETUP, token, once, values, device)


def accept(
    token: str, once: UUID, values: NewPerson, device: str = UNKNOWN_DEVICE
) -> Admission | None:
    """Make the invited person a user, sign them in, and use the invitation up.

    Sent twice, the second gets None. Raises `links.DeadLink`.
    """
    return _join(LinkKind.INVITE, token, once, values, device)


def add_user(
    current: Session,
    *,
    name: str,
    email: str,
    password_hash: str,
    role: str,
    by: Actor | None,
    time_zone: str | None = None,
) -> User:
    """Store a new user and the audit entry; without `by` people made their account themselves."""
    if find_user(current, email) is not None:
        raise _taken(email)
    user = User(
        name=name,
        email=tidy_email(email),
        password_hash=password_hash,
        role=role,
        time_zone=time_zone,
    )
    current.add(user)
    try:
        current.flush()
    except IntegrityError:  # another transaction was quicker
        raise _taken(email) from None
    actor = by or Actor(ActorKind.USER, user.id, user.name, Origin.UI)
    changes = {"role": {"from": None, "to": role}}
    target = ("person", user.public_id, user.name)
    audit.record(current, actor, "person.joined", target=target, changes=changes)
    return user


def find_user(current: Session, email: str) -> User | None:
    """The user with this address, however it is written."""
    wanted = select(User).where(func.lower(User.email) == tidy_email(email))
    return current.execute(wanted).scalar_one_or_none()


def _join(
    kind: LinkKind, token: str, once: UUID, values: NewPerson, device: str
) -> Admission | None:
    refuse_unknown_zone(values.time_zone)
    password_hash = one_time_links.hash_for(kind, token, values.password, values.email)
    return one_time_links.use_once(
        token, once, lambda: _use(kind, token, values, password_hash, device)
    )


def _use(
    kind: LinkKind, token: str, values: NewPerson, password_hash: str, device: str
) -> Admission:
    with writing() as current:
        link = one_time_links.consume(current, kind, token)
        if link.email is not None and link.email != tidy_email(values.email):
            raise one_time_links.DeadLink
        user = add_user(
            current,
            name=values.name,
            email=values.email,
            password_hash=password_hash,
            role=Role(link.role),
            by=None,
            time_zone=values.time_zone,
        )
        return sessions.begin(current, user, device)


def _taken(email: str) -> Refusal:
    sentence = f"There is already an account with the address {tidy_email(email)}. Sign in with it."
    return Refusal(sentence, field="email")
