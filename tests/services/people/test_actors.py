"""Actors: their current permissions, their time zones, and searches for them."""

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
def test_permissions_are_read_from_the_row_of_the_person(
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


def test_an_unknown_permission_is_refused() -> None:
    actor = make_user(Role.ADMIN).actor
    with writing() as current, pytest.raises(NotAllowed):
        require(current, actor, "system.melt")


def test_times_are_shown_in_a_persons_own_zone_if_it_is_known() -> None:
    for chosen, shown in (
        ("America/Lima", "America/Lima"),
        (None, "Europe/Vienna"),
        ("", "Europe/Vienna"),
        # A zone of a later version, and a zone that never existed.
        ("Mars/Olympus", "Europe/Vienna"),
        ("../etc/passwd", "Europe/Vienna"),
    ):
        ana = make_user(time_zone=chosen)
        assert zone_of(session(), ana.actor).key == shown, chosen
        assert zone_of(session(), SYSTEM).key == "Europe/Vienna", chosen


def test_an_unknown_zone_is_refused_at_its_field() -> None:
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
def test_words_match_regardless_of_case_and_wildcards_are_literal(
    words: str, found: set[str]
) -> None:
    names = ["ÄRGER GmbH", "Ärger mit Übung", "viel ärger", "ärger mit übung"]
    for number, name in enumerate(
        [*names, "Neue Ölgefäße", "100% Wolle", "1000 Wolle", "a_b", "axb"]
    ):
        make_user(name=name, email=f"{number}@example.com")
    query = select(User.name).where(any_holds([User.name], words))
    assert set(session().scalars(query)) == found
