"""One-time links: who can open them, for how long, and who can see them."""

from base64 import urlsafe_b64decode
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal.extensions import settings
from portal.lib.clock import utcnow
from portal.models.audit import AuditEntry
from portal.models.people import Link, LinkKind, Role, User
from portal.services.core.refusals import NotFound, Refusal
from portal.services.core.unit_of_work import session, writing
from portal.services.people import accounts, invitations, one_time_links, password_resets
from portal.services.people import sign_in_throttle as throttle
from portal.services.people.invitations import NewPerson
from portal.services.people.one_time_links import DeadLink
from tests.support.database.rivals import at_once
from tests.support.factories import PASSWORD, Person, make_user

NEW = "another long phrase"


CLEO = "cleo@example.com"


MINUTE = timedelta(minutes=1)


def invite(by: Person, email: str = CLEO, role: Role = Role.SUPPORT) -> tuple[UUID, str]:
    """Invite a person, and return the public id and the token of the invitation."""
    public_id = invitations.invite(by.actor, email, role)
    address = invitations.invitation(by.actor, public_id).address
    assert address
    return public_id, token_in(address)


def token_in(address: str) -> str:
    return address.partition("?token=")[2]


def join(token: str, email: str = CLEO) -> User:
    values = NewPerson(name="Cleo", email=email, password=PASSWORD)
    joined = invitations.accept(token, uuid4(), values)
    assert joined is not None
    return joined.user


def reset_token(by: Person, of: Person) -> str:
    password_resets.offer(by.actor, of.public_id)
    offer = password_resets.offered(by.actor, of.public_id)
    assert offer is not None
    assert offer.address is not None
    return token_in(offer.address)


def grow_older(by: timedelta) -> None:
    """Age every link, and renew its hash, because the token depends on the link's end."""
    with writing() as current:
        for link in current.scalars(select(Link)):
            link.expires_at -= by
            if link.shown_until:
                link.shown_until -= by
            link.token_hash = one_time_links.digest(one_time_links.token_of(link))


def links() -> list[Link]:
    session().rollback()
    return list(session().scalars(select(Link).order_by(Link.id)))


def told(action: str) -> list[AuditEntry]:
    session().rollback()
    query = select(AuditEntry).where(AuditEntry.action == action).order_by(AuditEntry.id)
    return list(session().scalars(query))


def near(found: datetime, expected: datetime) -> bool:
    return abs(found - expected) < MINUTE


def test_a_link_opens_only_its_own_page(app: Flask) -> None:
    ana, ben = make_user(), make_user("support")
    _, invitation = invite(ana)
    reset = reset_token(ana, ben)
    for kind, token in ((LinkKind.RESET, invitation), (LinkKind.INVITE, reset)):
        with pytest.raises(DeadLink):
            one_time_links.read(kind, token)
        with pytest.raises(DeadLink):
            one_time_links.issued(kind, token)
    with pytest.raises(DeadLink):
        password_resets.use(invitation, uuid4(), NEW)
    with pytest.raises(DeadLink):
        join(reset, ben.email)
    assert join(invitation).role == Role.SUPPORT
    assert (used := password_resets.use(reset, uuid4(), NEW)) is not None
    assert used.user.id == ben.id


def test_a_password_link_is_not_an_invitation(app: Flask) -> None:
    ana, ben = make_user(), make_user("support")
    token = reset_token(ana, ben)
    (link,) = links()
    for verb in (
        invitations.invitation,
        invitations.hide,
        invitations.renew,
        invitations.cancel,
    ):
        with pytest.raises(NotFound):
            verb(ana.actor, link.public_id)
    assert one_time_links.read(LinkKind.RESET, token).email == ben.email


def test_an_invitation_is_not_a_password_link(app: Flask) -> None:
    ana, cleo = make_user(), make_user("support", email=CLEO)
    invitation = invited_behind_our_back(ana)
    assert password_resets.offered(ana.actor, cleo.public_id) is None
    password_resets.hide(ana.actor, cleo.public_id)
    reset_token(ana, cleo)
    accounts.disable(ana.actor, cleo.public_id)
    assert one_time_links.read(LinkKind.INVITE, invitation).email == CLEO
    assert links()[0].shown_until is not None


def test_an_invitation_lasts_a_week_and_a_password_link_a_day(app: Flask) -> None:
    ana, ben = make_user(), make_user("support")
    invite(ana)
    reset_token(ana, ben)
    now = utcnow()
    invited, offered = links()
    assert near(invited.expires_at, now + timedelta(days=7))
    assert near(offered.expires_at, now + timedelta(hours=24))
    for link in (invited, offered):
        assert link.shown_until is not None
        assert near(link.shown_until, now + timedelta(minutes=15))
        assert link.created_by_id == ana.id


def test_the_token_of_every_link_has_256_bits(app: Flask) -> None:
    set_up = token_in(one_time_links.setup_link() or "")
    ana, ben = make_user(), make_user("support")
    tokens = set_up, invite(ana)[1], reset_token(ana, ben)
    assert [len(urlsafe_b64decode(f"{token}=")) for token in tokens] == [32, 32, 32]


def test_a_renewed_invitation_has_another_week_and_another_maker(app: Flask) -> None:
    ana, eva = make_user(name="Ana"), make_user(name="Eva")
    public_id, before = invite(ana)
    grow_older(timedelta(days=8))
    assert invitations.open_invitations()[0].is_over
    invitations.renew(eva.actor, public_id)
    (open_one,) = invitations.open_invitations()
    assert not open_one.is_over
    assert near(open_one.expires_at, utcnow() + timedelta(days=7))
    assert invitations.invitation(ana.actor, public_id).address is None
    address = invitations.invitation(eva.actor, public_id).address
    assert address is not None
    with pytest.raises(DeadLink):
        join(before)
    assert join(token_in(address)).email == CLEO
    (entry,) = told("person.invited_again")
    assert (entry.actor_name, entry.target_name) == ("Eva", CLEO)
    with pytest.raises(NotFound):
        invitations.renew(eva.actor, public_id)


def test_the_address_is_shown_for_15_minutes_and_only_with_its_key(
    app: Flask,
) -> None:
    ana = make_user()
    public_id, _ = invite(ana)
    app.extensions["settings"] = replace(usual := settings(), secret_key="another key of theirs")
    try:
        assert invitations.invitation(ana.actor, public_id).address is None
    finally:
        app.extensions["settings"] = usual
    for minutes, is_shown in ((14, True), (2, False)):
        grow_older(timedelta(minutes=minutes))
        assert (invitations.invitation(ana.actor, public_id).address is not None) is is_shown


def test_only_its_maker_can_hide_a_link(app: Flask) -> None:
    ana, eva, ben = make_user(), make_user(), make_user("support")
    public_id, _ = invite(ana)
    reset_token(ana, ben)
    invitations.hide(eva.actor, public_id)
    password_resets.hide(eva.actor, ben.public_id)
    assert invitations.invitation(ana.actor, public_id).address is not None
    assert all(link.shown_until for link in links())
    invitations.hide(ana.actor, public_id)
    password_resets.hide(ana.actor, ben.public_id)
    assert not any(link.shown_until for link in links())


def test_a_canceled_invitation_is_gone_and_audited(app: Flask) -> None:
    ana = make_user(name="Ana")
    first, token = invite(ana)
    invite(ana, "dan@example.com")
    invitations.cancel(ana.actor, first)
    with pytest.raises(DeadLink):
        join(token)
    assert [invitation.email for invitation in invitations.open_invitations()] == [
        "dan@example.com"
    ]
    (entry,) = told("person.invitation_cancelled")
    assert (entry.actor_name, entry.target_name) == ("Ana", CLEO)
    with pytest.raises(NotFound):
        invitations.cancel(ana.actor, first)


def test_invitations_are_listed_until_accepted_newest_first(app: Flask) -> None:
    ana = make_user()
    for name in ("one", "two", "three"):
        _, token = invite(ana, f" {name.upper()}@example.com", Role.MANAGER)
    join(token, "three@example.com")
    listed = invitations.open_invitations()
    assert [invitation.email for invitation in listed] == ["two@example.com", "one@example.com"]
    assert {(invitation.role, invitation.is_over, invitation.address) for invitation in listed} == {
        ("manager", False, None)
    }
    (*_, entry) = told("person.invited")
    assert entry.changes == {"role": {"from": None, "to": "manager"}}
    assert entry.target_name == "three@example.com"


def test_a_new_user_gets_email_and_role_from_the_link(app: Flask) -> None:
    ana = make_user()
    _, token = invite(ana, role=Role.MANAGER)
    with pytest.raises(DeadLink):
        join(token, "other@example.com")
    user = join(token, " CLEO@example.com ")
    assert (user.email, user.role, user.is_active, user.name) == (CLEO, "manager", True, "Cleo")
    (entry,) = told("person.joined")
    assert (entry.actor_name, entry.target_name) == ("Cleo", "Cleo")
    assert entry.changes == {"role": {"from": None, "to": "manager"}}
    with pytest.raises(Refusal, match=f"{CLEO} already has an account") as refused:
        join(invited_behind_our_back(ana))
    assert refused.value.field == "email"


def invited_behind_our_back(by: Person) -> str:
    """Make a second invitation to one address, as two administrators at once could."""
    _, token = invite(by, "dan@example.com")
    with writing() as current:
        last = update(Link).where(Link.email == "dan@example.com")
        current.execute(last.values(email=CLEO))
    return token


def test_a_password_link_works_once_and_forgives_failed_tries(app: Flask) -> None:
    ana, ben = make_user(), make_user("support", name="Ben")
    key = throttle.for_pair(ben.email, "192.0.2.7")
    for _ in range(2):
        throttle.count([key])
    token, once = reset_token(ana, ben), uuid4()
    with pytest.raises(Refusal, match="at least 12"):
        password_resets.use(token, once, "short")
    with pytest.raises(Refusal, match="other than your email"):
        password_resets.use(token, once, ben.email)
    assert (used := password_resets.use(token, once, NEW, "::ffff:192.0.2.7")) is not None
    assert used.user.id == ben.id
    assert throttle.forgive(key) == [0]
    throttle.count([key])
    for password in (NEW, "yet another phrase"):
        assert password_resets.use(token, once, password) is None
    with pytest.raises(DeadLink):
        password_resets.use(token, uuid4(), NEW)
    throttle.count([key])
    assert throttle.forgive(key) == [1], "a link that was used forgives nothing"
    (entry,) = told("person.password_changed")
    assert (entry.actor_name, entry.target_name) == ("Ben", "Ben")
    assert entry.changes == {"by": {"from": None, "to": "a link for a new password"}}


def test_password_links_are_for_other_active_users_and_the_latest_counts(app: Flask) -> None:
    ana, ben, cleo = make_user(), make_user("support"), make_user("support", is_active=False)
    with pytest.raises(Refusal, match="This is you"):
        password_resets.offer(ana.actor, ana.public_id)
    with pytest.raises(Refusal, match="can’t sign in"):
        password_resets.offer(ana.actor, cleo.public_id)
    with pytest.raises(NotFound):
        password_resets.offer(ana.actor, uuid4())
    assert password_resets.offered(ana.actor, ben.public_id) is None
    other = make_user("support")
    kept = reset_token(ana, other)
    first, second = reset_token(ana, ben), reset_token(ana, ben)
    with pytest.raises(DeadLink):
        one_time_links.issued(LinkKind.RESET, first)
    assert one_time_links.read(LinkKind.RESET, second).email == ben.email
    assert one_time_links.read(LinkKind.RESET, kept).email == other.email
    grow_older(timedelta(hours=24, minutes=1))
    assert password_resets.offered(ana.actor, ben.public_id) is None


@pytest.mark.both_databases
def test_users_are_listed_by_name_regardless_of_case(app: Flask) -> None:
    for name in ("ben", "Ana", "Cleo"):
        make_user("support", name=name)
    ana = make_user("support", name="ana")
    assert [user.name for user in accounts.listing()] == ["Ana", "ana", "ben", "Cleo"]
    person = accounts.person(ana.public_id)
    assert (person.email, person.role, person.is_active, person.version) == (
        ana.email,
        "support",
        True,
        1,
    )


def invited(by: Person, email: str = "eve@example.com") -> str:
    return invitations.invitation_link(by.actor, email, Role.ADMIN).partition("token=")[2]


def offered(by: Person, of: Person) -> str:
    password_resets.offer(by.actor, of.public_id)
    offer = password_resets.offered(by.actor, of.public_id)
    assert offer is not None
    assert offer.address is not None
    return offer.address.partition("token=")[2]


def works(kind: LinkKind, token: str) -> bool:
    session().rollback()
    try:
        one_time_links.read(kind, token)
    except DeadLink:
        return False
    return True


def version_of(person: Person) -> int:
    session().rollback()
    return session().get_one(User, person.id).version


def change_role(by: Person, of: Person, role: Role) -> None:
    accounts.change_role(by.actor, of.public_id, role, version_of(of))


@pytest.mark.parametrize("end", ["disabled", "demoted"])
def test_links_of_a_former_administrator_stay_dead_after_a_return(app: Flask, end: str) -> None:
    ana, bea, cleo = make_user(name="Ana"), make_user(name="Bea"), make_user(Role.SUPPORT)
    by_bea = (LinkKind.INVITE, invited(bea)), (LinkKind.RESET, offered(bea, cleo))
    for_bea = (LinkKind.RESET, offered(ana, bea))
    by_ana = (LinkKind.INVITE, invited(ana, "dan@example.com"))
    if end == "disabled":
        accounts.disable(ana.actor, bea.public_id)
        accounts.enable(ana.actor, bea.public_id)
    else:
        change_role(ana, bea, Role.SUPPORT)
        change_role(ana, bea, Role.ADMIN)
    assert [works(*each) for each in (*by_bea, for_bea, by_ana)] == [False, False, False, True]
    assert [link.email for link in session().scalars(select(Link))] == ["dan@example.com"]


def test_each_invitation_that_ends_with_its_maker_is_audited(app: Flask) -> None:
    ana, bea = make_user(name="Ana"), make_user(name="Bea")
    offered(bea, make_user(Role.SUPPORT))
    invited(bea)
    accounts.disable(ana.actor, bea.public_id)
    query = select(AuditEntry.actor_name, AuditEntry.action, AuditEntry.target_name)
    entries = [tuple(row) for row in session().execute(query.order_by(AuditEntry.id))]
    assert entries[-2:] == [
        ("Ana", "person.disabled", "Bea"),
        ("Ana", "person.invitation_cancelled", "eve@example.com"),
    ]


def test_a_used_password_link_ends_the_links_that_its_user_made(app: Flask) -> None:
    ana, bea, cleo = make_user(), make_user(), make_user(Role.SUPPORT)
    made = (LinkKind.INVITE, invited(bea)), (LinkKind.RESET, offered(bea, cleo))
    password_resets.use(offered(ana, bea), uuid4(), NEW)
    assert [works(*each) for each in made] == [False, False]


def test_a_changed_password_ends_only_ones_own_password_link(app: Flask) -> None:
    ana, cleo = make_user(), make_user(Role.SUPPORT)
    invitation = invited(ana, "bea@example.com")
    bea = make_user(email="bea@example.com")
    used = offered(ana, bea)
    password_resets.use(used, uuid4(), NEW)
    unused, of_another = offered(ana, bea), offered(ana, cleo)
    accounts.change_password(bea.actor, NEW, f"{NEW} more")
    assert not works(LinkKind.RESET, unused)
    assert works(LinkKind.RESET, of_another)
    assert works(LinkKind.INVITE, invitation)
    kept = session().scalars(select(Link).order_by(Link.id)).all()
    assert [(link.email, link.used_at is None) for link in kept] == [
        (bea.email, True),
        (bea.email, False),
        (cleo.email, True),
    ]


def test_disabling_a_user_who_uses_a_link_does_not_deadlock(app: Flask) -> None:
    ana, bea = make_user(), make_user()
    token = offered(ana, bea)
    at_once(
        app,
        [
            lambda: accounts.disable(ana.actor, bea.public_id),
            lambda: password_resets.use(token, uuid4(), NEW),
        ],
    )
    session().rollback()
    assert not session().get_one(User, bea.id).is_active
    assert not works(LinkKind.RESET, token)
