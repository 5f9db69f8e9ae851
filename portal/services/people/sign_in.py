"""Sign users in by password, and count their attempts."""

from dataclasses import dataclass

from sqlalchemy import update

from portal.engine.events.body import ActorKind, Origin
from portal.lib.typed_values import tidy_email
from portal.models.people import User
from portal.services import audit
from portal.services.core.permissions import NOBODY, Actor
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import session, writing
from portal.services.mail import mails
from portal.services.people import account_mails, passwords, sessions, sign_in_throttle
from portal.services.people.accounts import find_user
from portal.services.people.sessions import UNKNOWN_DEVICE, Admission
from portal.services.people.sign_in_throttle import SLOWED, Key


class WrongPassword(Refusal):
    """A refusal that reveals neither the wrong part nor whether the account exists."""

    status = 400

    def __init__(self) -> None:
        super().__init__("Wrong email address or password. Check both, then try again.")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt, with its network and the keys that count it.

    `own` is forgotten after a correct attempt. `shared` keys also count others' attempts, and are
    empty for a known browser.
    """

    network: str
    own: Key
    shared: tuple[Key, ...] = ()

    @property
    def keys(self) -> tuple[Key, ...]:
        """Return all keys, its own first."""
        return (self.own, *self.shared)

    @property
    def is_new_browser(self) -> bool:
        """Return whether the browser is new to the account, as far as we can tell."""
        return bool(self.shared)


def sign_in(
    email: str,
    password: str,
    address: str | None,
    known: str = "",
    device: str = UNKNOWN_DEVICE,
) -> Admission:
    """Let in the user with this password.

    `address` is the client's IP address, `known` its device cookie, and `device` its browser in
    words. Raises `WrongPassword`, or `sign_in_throttle.Throttled` while attempts have to wait.
    """
    attempt = _attempt(email, address, known)
    _count(attempt, email)
    user = find_user(session(), email)
    stored = user.password_hash if user and user.is_active else None
    user_id = user.id if user else 0
    session().rollback()  # hold no transaction while hashing
    is_right = passwords.matches(password, stored)  # first, so that no refusal is faster
    if stored is None or not is_right:
        raise WrongPassword
    admission = _let_in(user_id, stored, attempt, device)
    if passwords.is_outdated(stored):
        _store_again(user_id, password, stored)
    return admission


def _attempt(email: str, address: str | None, known: str) -> Attempt:
    """Choose the keys that count an attempt.

    A browser known to the account only counts its own, so that no one else can use them up. A
    stranger's attempts, and all for an unknown account, count for the network and the account.
    """
    email, network = tidy_email(email), sign_in_throttle.network_of(address)
    user = find_user(session(), email) if known else None
    device = sessions.recognized(known, user) if user else None
    if user and device:
        return Attempt(network, sign_in_throttle.for_device(user.id, device))
    shared = (sign_in_throttle.for_network(network), sign_in_throttle.for_account(email))
    return Attempt(network, sign_in_throttle.for_pair(email, network), shared)


def _count(attempt: Attempt, email: str) -> None:
    """Count the attempt, and record in the audit trail when wrong ones begin to cost a pause.

    Records once per series of attempts, and never the typed address of an unknown account.
    """
    sign_in_throttle.check(attempt.keys)
    with writing() as current:
        reached = sign_in_throttle.count(attempt.keys)
        for key in reached:
            if key == sign_in_throttle.for_network(attempt.network):
                target = ("address", attempt.network, attempt.network)
                audit.record(current, NOBODY, "address.sign_in_slowed_down", target=target)
            elif user := find_user(current, email):
                network = (None, attempt.network)
                tries = (None, key.limit)
                audit.record_person(
                    current, NOBODY, SLOWED, user, tries=tries, network_address=network
                )


def _let_in(user_id: int, stored: str, attempt: Attempt, device: str) -> Admission:
    """Begin the session, unless the person was disabled or the password changed since."""
    with writing() as current:
        user = current.get_one(User, user_id, with_for_update={"read": True})
        if not user.is_active or user.password_hash != stored:
            raise WrongPassword
        before = sign_in_throttle.forgive(*attempt.keys)
        wrong = max(before[0], before[-1])  # from here, and in total (the account's key is last)
        changes: dict[str, tuple[object, object]] = {"network_address": (None, attempt.network)}
        if wrong:
            changes["wrong_tries_before"] = (None, wrong)
        if attempt.is_new_browser:
            changes["new_browser"] = (None, True)
            mails.write(current, account_mails.NEW_BROWSER, user_id=user.id)
        actor = Actor(ActorKind.USER, user.id, user.name, Origin.UI)
        audit.record_person(current, actor, "person.signed_in", user, **changes)
        return sessions.begin(current, user, device)


def _store_again(user_id: int, password: str, stored: str) -> None:
    password_hash = passwords.hashed(password)
    with writing() as current:
        same = update(User).where(User.id == user_id, User.password_hash == stored)
        current.execute(same.values(password_hash=password_hash))
