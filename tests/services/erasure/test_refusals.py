"""Erasures that are refused, and actions that are refused for an erased person."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal.models.assignments import Staff
from portal.models.audit import ErasedKind, Erasure
from portal.models.deliveries import Delivery
from portal.models.people import Role, User
from portal.models.tasks import Task, TaskState
from portal.services import tasks
from portal.services.assets import staff
from portal.services.core.permissions import SYSTEM
from portal.services.core.refusals import NotAllowed, NotFound, Refusal, Stale
from portal.services.core.unit_of_work import session, writing
from portal.services.deliveries.bulk_retry_selection import Selection
from portal.services.deliveries.dismissals import dismiss
from portal.services.erasure import erase
from portal.services.people import accounts, password_resets
from tests.services.alerts.due_things import work
from tests.support.database.rivals import at_once
from tests.support.deliveries import make_delivery
from tests.support.factories import Person, make_staff, make_user

STAFF, USER = ErasedKind.STAFF, ErasedKind.USER


def somebody(name: str = "Maria Lopez") -> Staff:
    return session().get_one(Staff, make_staff(name))


def erase_user(by: Person, whom: Person) -> int:
    version = session().get_one(User, whom.id).version
    return erase.erase(by.actor, USER, whom.public_id, version, whom.email)


def erase_staff(by: Person, row: Staff) -> int:
    return erase.erase(by.actor, STAFF, row.public_id, row.version, row.email)


def test_a_user_cannot_erase_themselves(app: Flask) -> None:
    ada, _other = make_user(), make_user()
    with pytest.raises(Refusal, match="This is you"):
        erase_user(ada, ada)


def test_the_last_administrator_cannot_be_erased(app: Flask) -> None:
    ada = make_user(name="Ada")
    make_user(Role.SUPPORT)
    with pytest.raises(Refusal, match="Ada is the only administrator"):
        erase.erase(SYSTEM, USER, ada.public_id, 1, ada.email)
    assert session().get_one(User, ada.id).is_active


def test_one_of_two_administrators_who_erase_each_other_stays(app: Flask) -> None:
    ada, ben = make_user(), make_user()
    results = at_once(app, [lambda: erase_user(ada, ben), lambda: erase_user(ben, ada)])
    assert sum(isinstance(result, int) for result in results) == 1


@pytest.mark.parametrize("role", [Role.MANAGER, Role.SUPPORT])
def test_only_administrators_can_erase(app: Flask, role: Role) -> None:
    make_user()
    other, maria = make_user(role), somebody()
    for verb in (lambda: erase_user(other, make_user()), lambda: erase_staff(other, maria)):
        with pytest.raises(NotAllowed):
            verb()


def test_a_mistyped_address_erases_no_one(app: Flask) -> None:
    ada, maria = make_user(), somebody()
    with pytest.raises(Refusal) as refused:
        erase.erase(ada.actor, STAFF, maria.public_id, 1, "maria@example.com")
    assert refused.value.field == "typed"
    session().rollback()
    assert session().get_one(Staff, maria.id).is_active
    assert session().scalars(select(Erasure)).all() == []


@pytest.mark.parametrize("sought", [["Ben"], ["maria lopez"], [""]])
def test_only_names_of_the_person_can_be_searched_for(app: Flask, sought: list[str]) -> None:
    ada, maria = make_user(), somebody()
    with pytest.raises(Refusal) as refused:
        erase.erase(ada.actor, STAFF, maria.public_id, 1, maria.email, sought)
    assert refused.value.field == "sought"


def test_an_erasure_of_a_person_renamed_meanwhile_is_stale(app: Flask) -> None:
    ada, maria = make_user(), somebody()
    values = replace(staff.values_of(maria), name="Maria Gruber")
    staff.edit(ada.actor, maria.public_id, 1, values)
    with pytest.raises(Stale):
        erase.erase(ada.actor, STAFF, maria.public_id, 1, values.email)


def test_a_person_is_erased_only_once(app: Flask) -> None:
    ada, ben = make_user(), make_user()
    results = at_once(app, [lambda: erase_user(ada, ben)] * 2)
    assert sum(isinstance(result, int) for result in results) == 1
    with pytest.raises(Refusal, match="was erased"):
        erase_user(ada, ben)
    maria = somebody()
    erase_staff(ada, maria)
    session().refresh(maria)  # a label replaced her address
    with pytest.raises(Refusal, match="was erased"):
        erase_staff(ada, maria)


def test_an_erased_user_cannot_be_restored(app: Flask) -> None:
    ada, ben = make_user(), make_user()
    zoe = make_user(name="Zoe")
    erase_user(ada, ben)
    listed = [(user.public_id, user.is_erased) for user in accounts.listing()]
    assert listed == [(ada.public_id, False), (zoe.public_id, False), (ben.public_id, True)]
    verbs: list[Callable[[], object]] = [
        lambda: accounts.enable(ada.actor, ben.public_id),
        lambda: accounts.change_role(ada.actor, ben.public_id, Role.ADMIN, 2),
        lambda: password_resets.offer(ada.actor, ben.public_id),
    ]
    for verb in verbs:
        with pytest.raises(Refusal):
            verb()
    assert not session().get_one(User, ben.id).is_active


def test_erased_staff_cannot_be_restored(app: Flask) -> None:
    ada, maria = make_user(), somebody()
    public_id, version = maria.public_id, maria.version + 1
    values = staff.values_of(maria)
    erase_staff(ada, maria)
    for verb in (
        lambda: staff.reactivate(ada.actor, public_id),
        lambda: staff.deactivate(ada.actor, public_id),
        lambda: staff.edit(ada.actor, public_id, version, values),
    ):
        with pytest.raises(Refusal, match="was erased"):
            verb()


def test_the_address_of_an_erased_person_is_free_again(app: Flask) -> None:
    ada, maria = make_user(), somebody()
    values = staff.values_of(maria)
    erase_staff(ada, maria)
    work()
    assert staff.find(staff.create(ada.actor, values)).name == "Maria Lopez"


def test_an_erasure_cannot_be_stopped(app: Flask) -> None:
    ada, maria = make_user(), somebody()
    erase_staff(ada, maria)
    task = session().scalars(select(Task)).one()
    with pytest.raises(Refusal, match="You can’t stop this work"):
        tasks.stop(ada.actor, task.public_id, erase.KIND)


def test_a_failed_erasure_is_resumed(app: Flask) -> None:
    ada, maria = make_user(), somebody()
    public_id = maria.public_id
    erase_staff(ada, maria)
    erase.resume(ada.actor, STAFF, public_id)  # already running, so nothing starts
    assert len(session().scalars(select(Task)).all()) == 1
    with writing() as current:
        current.execute(update(Task).values(state=TaskState.FAILED))
    erase.resume(ada.actor, STAFF, public_id)
    work()
    session().rollback()
    assert session().scalars(select(Erasure)).one().finished_at is not None
    with pytest.raises(NotFound):
        erase.resume(ada.actor, STAFF, somebody().public_id)


def test_a_name_shared_by_two_users_stays_if_ambiguous(app: Flask) -> None:
    ada, ben, other = make_user(name="Ada"), make_user(name="Sam Lee"), make_user(name="Sam Lee")
    stopped = [make_delivery(), make_delivery()]
    for who, made in zip((ben, other), stopped, strict=True):
        dismiss(who.actor, Selection(ticked=(made,)))
    erase_user(ada, ben)
    work()
    session().rollback()
    assert set(session().scalars(select(Delivery.dismissed_by))) == {"Sam Lee"}
