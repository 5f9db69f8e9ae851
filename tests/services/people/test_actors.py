"""Who acts: whether they still may, in which zone they are told times, and how they are found."""

from typing import Any

import pytest
from sqlalchemy import select

from portal.models.people import Role, User
from portal.services.core.permissions import SYSTEM, require
from portal.services.core.queries import any_holds
from portal.services.core.refusals import NotAllowed, Refusal
from portal.services.core.time_zones import refuse_unknown_zone, zone_of
from portal.services.core.unit_of_work import session, writing
from tests.support.factories import make_user

pytestmark = pytest.mark.usefixtures("app")


@pytest.mark.parametrize(
    ("role", "columns", "may"),
    [
        (Role.ADMIN, {}, True),
        (Role.ADMIN, {"is_active": False}, False),
        (Role.SUPPORT, {}, False),
    ],
)
def test_what_a_person_may_do_is_asked_of_their_row(
    role: Role, columns: dict[str, Any], may: bool
) -> None:
    actor = make_user(role, **columns).actor
    with writing() as current:
        assert require(current, SYSTEM, "system.read") is None
        if may:
            assert require(current, actor, "system.read") == current.get(User, actor.user_id)
            return
        with pytest.raises(NotAllowed):
            require(current, actor, "system.read")


def test_nobody_may_do_what_no_line_names() -> None:
    actor = make_user(Role.ADMIN).actor
    with writing() as current, pytest.raises(NotAllowed):
        require(current, actor, "system.melt")


def test_times_are_told_in_a_persons_own_zone_if_it_is_known() -> None:
    for chosen, found in (
        ("America/Lima", "America/Lima"),
        (None, "Europe/Vienna"),
        ("", "Europe/Vienna"),
        # A later version's, and one that no version has had.
        ("Mars/Olympus", "Europe/Vienna"),
        ("../etc/passwd", "Europe/Vienna"),
    ):
        ana = make_user(time_zone=chosen)
        assert zone_of(session(), ana.actor).key == found, chosen
        assert zone_of(session(), SYSTEM).key == "Europe/Vienna", chosen


def test_a_zone_that_nobody_knows_is_refused_at_its_field() -> None:
    for known in (None, "UTC", "America/Lima"):
        refuse_unknown_zone(known)
    with pytest.raises(Refusal, match="Choose a time zone from the list") as refused:
        refuse_unknown_zone("Mars/Olympus")
    assert refused.value.field == "time_zone"


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("ärger", {"ÄRGER GmbH", "Ärger mit Übung", "viel ärger", "ärger mit übung"}),
        ("ärger mit übung", {"Ärger mit Übung", "ärger mit übung"}),
        ("neue ölgefäße", {"Neue Ölgefäße"}),
        ("100%", {"100% Wolle"}),
        ("a_b", {"a_b"}),
    ],
)
def test_words_are_found_as_people_write_them_and_signs_stand_for_themselves(
    words: str, found: set[str]
) -> None:
    names = ["ÄRGER GmbH", "Ärger mit Übung", "viel ärger", "ärger mit übung"]
    for number, name in enumerate(
        [*names, "Neue Ölgefäße", "100% Wolle", "1000 Wolle", "a_b", "axb"]
    ):
        make_user(name=name, email=f"{number}@example.com")
    wanted = select(User.name).where(any_holds([User.name], words))
    assert set(session().scalars(wanted)) == found
