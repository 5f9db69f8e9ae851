"""Merging categories, locations or spellings loses nothing and publishes one event per asset."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import func, select

from jobs import tasks as job
from portal.models.assets import Activity, Asset, Category, Location
from portal.models.audit import AuditEntry
from portal.models.deliveries import Event
from portal.models.people import Role
from portal.models.tasks import Task, TaskState
from portal.services import merging, tasks
from portal.services import tasks as task_leases
from portal.services.actions import bulk, incidents, lifecycle
from portal.services.actions.incidents import DisposalValues
from portal.services.assets import named_lists
from portal.services.assets.named_lists import CATEGORIES, LOCATIONS
from portal.services.core import keyset
from portal.services.core.permissions import SYSTEM, Actor
from portal.services.core.refusals import NotAllowed, NotFound, Refusal
from portal.services.core.unit_of_work import session, writing
from portal.services.csv import import_matches
from portal.services.csv.import_matches import Remembered
from portal.services.merging import FIELDS
from portal.services.people import accounts
from portal.services.task_kinds import KINDS
from tests.support.database.rivals import Rival, answer_of, at_once
from tests.support.factories import make_asset, make_user, make_webhook

CATEGORY, LOCATION = FIELDS["category"], FIELDS["location"]
SUPPLIER = FIELDS["supplier"]


def make(name: str) -> tuple[str, int]:
    """Create a category and return its public id, for choosing it, and its row id, for assets."""
    public_id = named_lists.create(CATEGORIES, SYSTEM, name)
    return str(public_id), named_lists.find(CATEGORIES, public_id).id


def names() -> list[str]:
    session().rollback()
    return [name for _, _, name in named_lists.choices(CATEGORIES)]


def category_of(asset_id: int) -> str | None:
    session().rollback()
    asset = session().get_one(Asset, asset_id)
    return asset.category.name if asset.category else None


def told() -> list[dict[str, Any]]:
    """Return the bodies of all events except asset.created."""
    session().rollback()
    query = select(Event.body).where(Event.event != "asset.created").order_by(Event.id)
    return [json.loads(body) for body in session().scalars(query)]


def work(public_id: UUID) -> Task:
    job.work(KINDS)
    session().rollback()
    return tasks.find(public_id)


@pytest.fixture
def ana(app: Flask) -> Actor:
    return make_user("manager", name="Ana").actor


@pytest.mark.both_databases
def test_each_asset_changes_with_an_event_and_the_merged_category_is_gone(ana: Actor) -> None:
    (source, row_id), (target, _) = make("Notebooks"), make("Laptops")
    ids = [make_asset(f"T{number}", category_id=row_id) for number in range(30)]
    task = work(merging.start(ana, CATEGORY, source, target))
    assert (task.state, task.total, task.counts) == (TaskState.DONE, 30, {"changed": 30})
    assert names() == ["Laptops"]
    assert {category_of(asset_id) for asset_id in ids} == {"Laptops"}
    bodies = told()
    assert [body["asset_id"] for body in bodies] == ids
    for body in bodies:
        data = body["data"]
        assert (body["event"], body["asset"]["category"]["name"]) == ("asset.updated", "Laptops")
        assert (data["reason"], data["changed_fields"]) == ("edit", ["category"])
        assert data["changes"]["category"]["from"]["name"] == "Notebooks"
        assert (data["origin"], data["batch_id"]) == ("bulk", str(task.public_id))
        assert data["actor"]["name"] == "Ana"
    audited = session().execute(
        select(AuditEntry.action, func.count())
        .where(AuditEntry.actor_name == "Ana")
        .group_by(AuditEntry.action)
    )
    assert dict(audited.all()) == {"asset.updated": 30, "category.merged": 1}
    note = select(Activity.note).where(Activity.asset_id == ids[0], Activity.action == "edit")
    assert session().scalars(note).all() == ["“Notebooks” was merged into “Laptops”"]


def test_a_location_is_merged_too(ana: Actor) -> None:
    source, target = (
        named_lists.create(LOCATIONS, SYSTEM, name) for name in ("Hambourg", "Hamburg")
    )
    asset_id = make_asset(location_id=named_lists.find(LOCATIONS, source).id)
    work(merging.start(ana, LOCATION, str(source), str(target)))
    location = lifecycle.find_asset(asset_id).location
    assert location is not None
    assert location.name == "Hamburg"
    assert session().scalars(select(Location.name)).all() == ["Hamburg"]


@pytest.mark.both_databases
def test_only_the_exact_spelling_is_replaced(ana: Actor) -> None:
    dell, other = make_asset("A", supplier="DELL"), make_asset("B", supplier="Dell Inc.")
    make_asset("C", supplier="Dell")
    task = work(merging.start(ana, SUPPLIER, "DELL", "Dell"))
    assert task.counts == {"changed": 1}
    assert lifecycle.find_asset(dell).supplier == "Dell"
    assert lifecycle.find_asset(other).supplier == "Dell Inc."
    (body,) = told()
    assert body["data"]["changes"] == {"supplier": {"from": "DELL", "to": "Dell"}}
    entry = (
        session().scalars(select(AuditEntry).where(AuditEntry.action == "spelling.merged")).one()
    )
    assert entry.changes == {"supplier": {"from": "DELL", "to": "Dell"}}


@pytest.mark.both_databases
def test_disposed_and_deleted_assets_are_merged_too(ana: Actor) -> None:
    """Free the merged category, which nothing else could. A deleted asset publishes no event."""
    (source, row_id), (target, _) = make("Notebooks"), make("Laptops")
    old, gone = (make_asset(name, category_id=row_id) for name in ("Old", "Gone"))
    incidents.liquidate(SYSTEM, old, DisposalValues(method="sold"))
    lifecycle.delete_asset(SYSTEM, gone)
    before = len(told())
    assert work(merging.start(ana, CATEGORY, source, target)).counts == {"changed": 1}
    assert (category_of(old), category_of(gone)) == ("Laptops", "Laptops")
    assert [body["asset"]["name"] for body in told()[before:]] == ["Old"]


def test_an_empty_category_is_merged_too(ana: Actor) -> None:
    (source, _), (target, _) = make("Notebooks"), make("Laptops")
    assert work(merging.start(ana, CATEGORY, source, target)).state == TaskState.DONE
    assert names() == ["Laptops"]


def step(public_id: UUID) -> Callable[[], bool]:
    """Claim the task and return a function that takes its next step."""
    lease = task_leases.claim()
    assert lease is not None
    assert lease.public_id == public_id
    return partial(task_leases.advance, lease, merging.KIND)


@pytest.mark.both_databases
def test_assets_added_to_the_category_meanwhile_are_merged(ana: Actor) -> None:
    (source, row_id), (target, _) = make("Notebooks"), make("Laptops")
    first = make_asset("Was elsewhere")
    moved = make_asset("T1", category_id=row_id)
    public_id = merging.start(ana, CATEGORY, source, target)
    go_on = step(public_id)
    assert go_on()
    assert category_of(moved) == "Laptops"
    bulk._edit(ana, first, category_id=row_id)  # before the cursor
    last = make_asset("T2", category_id=row_id)
    while go_on():
        pass
    task = tasks.find(public_id)
    assert (task.state, task.done, task.total) == (TaskState.DONE, 3, 3)
    assert {category_of(asset_id) for asset_id in (first, moved, last)} == {"Laptops"}
    assert names() == ["Laptops"]


def test_assets_moved_elsewhere_meanwhile_stay_there(ana: Actor) -> None:
    (source, row_id), (target, _), (_, tools) = make("Notebooks"), make("Laptops"), make("Tools")
    ids = [make_asset(name, category_id=row_id) for name in ("A", "B", "C")]
    public_id = merging.start(ana, CATEGORY, source, target)
    bulk._edit(ana, ids[0], category_id=tools)
    lifecycle.delete_asset(ana, ids[1])
    task = work(public_id)
    assert (task.state, task.total, task.counts) == (TaskState.DONE, 1, {"changed": 1})
    assert [category_of(asset_id) for asset_id in ids] == ["Tools", "Laptops", "Laptops"]


def test_a_killed_merge_resumes_and_publishes_nothing_twice(
    ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "ROWS", 4)
    (source, row_id), (target, _) = make("Notebooks"), make("Laptops")
    ids = [make_asset(f"T{number}", category_id=row_id) for number in range(10)]
    public_id = merging.start(ana, CATEGORY, source, target)
    assert step(public_id)()
    with writing() as current:  # as if its worker died and its lease ended
        current.get_one(Task, tasks.find(public_id).id).lease_until = None
    task = work(public_id)
    assert (task.state, task.done) == (TaskState.DONE, 10)
    assert [body["asset_id"] for body in told()] == ids


def test_a_stopped_merge_keeps_the_rest_and_can_be_started_again(
    ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "ROWS", 4)
    (source, row_id), (target, _) = make("Notebooks"), make("Laptops")
    for number in range(6):
        make_asset(f"T{number}", category_id=row_id)
    public_id = merging.start(ana, CATEGORY, source, target)
    step(public_id)()
    tasks.stop(ana, public_id, merging.KIND)
    left = 6 - tasks.find(public_id).done
    assert merging.subject(CATEGORY, source).assets == left > 0
    task = work(merging.start(ana, CATEGORY, source, target))
    assert (task.total, task.counts, names()) == (left, {"changed": left}, ["Laptops"])


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        (("a", "a"), "You can’t merge “Notebooks” into itself"),
        (("a", "gone"), "Choose another category. This one was deleted"),
        (("a", ""), "Choose another category. This one was deleted"),
    ],
)
def test_a_merge_into_itself_or_a_missing_category_is_refused(
    ana: Actor, keys: Sequence[str], sentence: str
) -> None:
    (source, _), (gone, _) = make("Notebooks"), make("Gone")
    named_lists.delete(CATEGORIES, SYSTEM, UUID(gone))
    ids = {"a": source, "gone": gone, "": ""}
    with pytest.raises(Refusal, match=sentence) as refusal:
        merging.start(ana, CATEGORY, *(ids[key] for key in keys))
    assert refusal.value.field == "into"


def test_a_spelling_that_no_asset_has_is_refused(ana: Actor) -> None:
    make_asset(supplier="Dell")
    with pytest.raises(NotFound, match="No asset has the supplier “DELL” now"):
        merging.start(ana, SUPPLIER, "DELL", "Dell")
    with pytest.raises(Refusal, match="No asset has this one now"):
        merging.start(ana, SUPPLIER, "Dell", "DELL")


def test_only_people_who_can_edit_assets_can_merge(app: Flask) -> None:
    (source, _), (target, _) = make("Notebooks"), make("Laptops")
    with pytest.raises(NotAllowed):
        merging.start(make_user("support").actor, CATEGORY, source, target)


@pytest.mark.parametrize("is_empty", [False, True])
def test_a_merge_fails_if_its_person_loses_the_permission(app: Flask, is_empty: bool) -> None:
    ana = make_user("manager", name="Ana")
    (source, row_id), (target, _) = make("Notebooks"), make("Laptops")
    asset_id = make_asset(category_id=None if is_empty else row_id)
    public_id = merging.start(ana.actor, CATEGORY, source, target)
    accounts.change_role(make_user().actor, ana.public_id, Role.SUPPORT, 1)
    task = work(public_id)
    assert (task.state, task.error) == (
        TaskState.FAILED,
        "You can’t do this with your role. Ask an administrator.",
    )
    assert names() == ["Laptops", "Notebooks"]
    assert category_of(asset_id) == (None if is_empty else "Notebooks")


@pytest.mark.both_databases
def test_one_of_two_concurrent_opposite_merges_starts(app: Flask, ana: Actor) -> None:
    (one, one_id), (two, _) = make("Notebooks"), make("Laptops")
    make_asset(category_id=one_id)
    answers = at_once(
        app,
        [
            partial(merging.start, ana, CATEGORY, one, two),
            partial(merging.start, ana, CATEGORY, two, one),
        ],
    )
    (refusal,) = (answer for answer in answers if isinstance(answer, Refusal))
    (public_id,) = (answer for answer in answers if isinstance(answer, UUID))
    assert refusal.sentence.startswith("Ana is merging “")
    assert work(public_id).state == TaskState.DONE
    assert len(names()) == 1


@pytest.mark.both_databases
def test_one_of_two_concurrent_opposite_spelling_merges_starts(app: Flask, ana: Actor) -> None:
    for name in ("DELL", "Dell"):
        make_asset(supplier=name)
    verbs = [partial(merging.start, ana, SUPPLIER, *pair) for pair in (("DELL", "Dell"),) * 2]
    verbs[1] = partial(merging.start, ana, SUPPLIER, "Dell", "DELL")
    assert sum(isinstance(answer, Refusal) for answer in at_once(app, verbs)) == 1


def test_a_running_merge_blocks_only_conflicting_merges(ana: Actor) -> None:
    keys = {name: make(name)[0] for name in ("A", "B", "C", "D")}
    merging.start(ana, CATEGORY, keys["A"], keys["B"])
    for source, target in (("A", "C"), ("C", "A"), ("B", "C")):
        with pytest.raises(Refusal, match="Ana is merging “A” into “B”"):
            merging.start(ana, CATEGORY, keys[source], keys[target])
    merging.start(ana, CATEGORY, keys["C"], keys["B"])
    make_asset(supplier="A")
    make_asset(supplier="B")
    merging.start(ana, SUPPLIER, "A", "B")


@pytest.mark.both_databases
def test_a_merge_fails_if_its_target_is_deleted_meanwhile(ana: Actor) -> None:
    (source, row_id), (target, _) = make("Notebooks"), make("Laptops")
    asset_id = make_asset(category_id=row_id)
    public_id = merging.start(ana, CATEGORY, source, target)
    named_lists.delete(CATEGORIES, SYSTEM, UUID(target))
    task = work(public_id)
    assert (task.state, task.error) == (
        TaskState.FAILED,
        "“Laptops” was deleted in the meantime.",
    )
    assert (names(), category_of(asset_id)) == (["Notebooks"], "Notebooks")


def test_a_merge_is_done_if_its_empty_source_is_deleted_meanwhile(ana: Actor) -> None:
    (source, _), (target, _) = make("Notebooks"), make("Laptops")
    public_id = merging.start(ana, CATEGORY, source, target)
    named_lists.delete(CATEGORIES, SYSTEM, UUID(source))
    assert work(public_id).state == TaskState.DONE


def test_a_category_in_a_condition_is_not_merged_away(ana: Actor) -> None:
    (source, row_id), (target, target_id) = make("Notebooks"), make("Laptops")
    asset_id = make_asset(category_id=row_id)
    make_webhook(name="Shop", conditions=f'[["category","is",["{target_id}"]]]')
    public_id = merging.start(ana, CATEGORY, source, target)
    make_webhook(name="ERP", conditions=f'[["category","is_not",["{row_id}"]]]')
    task = work(public_id)
    sentence = (
        "“Notebooks” is used in a condition of ERP. Remove it there first, then merge it here."
    )
    assert (task.state, task.error, task.done) == (TaskState.FAILED, sentence, 1)
    assert (names(), category_of(asset_id)) == (["Laptops", "Notebooks"], "Laptops")
    with pytest.raises(Refusal) as refusal:
        merging.start(ana, CATEGORY, source, target)
    assert refusal.value.sentence == sentence
    assert merging.subject(CATEGORY, source).obstacle == sentence


@pytest.mark.both_databases
def test_choosing_the_source_late_leads_to_the_target_or_a_refusal(app: Flask, ana: Actor) -> None:
    (source, row_id), (target, _) = make("Notebooks"), make("Laptops")
    asset_id = make_asset()
    public_id = merging.start(ana, CATEGORY, source, target)
    choose = partial(answer_of, partial(bulk._edit, ana, asset_id, category_id=row_id))
    rival = Rival(app, choose)
    with writing() as current:
        current.get_one(Category, row_id, with_for_update=True)
        rival.begin()
    assert rival.finish() is True
    work(public_id)
    assert (names(), category_of(asset_id)) == (["Laptops"], "Laptops")
    assert answer_of(choose).sentence == "Choose another category. This one was deleted"


@pytest.mark.both_databases
def test_remembered_import_words_lead_to_the_target(
    ana: Actor,
) -> None:
    (source, _), (target, _) = make("Notebooks"), make("Laptops")
    columns = ["bezeichnung", "art"]
    words = {"category": {"klapprechner": "Notebooks", "tisch": "Desks"}}
    with writing() as current:
        import_matches.keep(current, ana, columns, Remembered({"art": "category"}, words))
    work(merging.start(ana, CATEGORY, source, target))
    assert import_matches.recall(columns).words == {
        "category": {"klapprechner": "Laptops", "tisch": "Desks", "notebooks": "Laptops"}
    }


@pytest.mark.both_databases
def test_spellings_are_sorted_and_paged(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyset, "PAGE_SIZE", 2)
    for name in ("Dell", "ACME", "dell", "Zeta", "Dell", "", None, "Ärger"):
        make_asset(supplier=name)
    lifecycle.delete_asset(SYSTEM, make_asset(supplier="Gone"))
    rows, cursor = [], None
    while True:
        page = merging.spellings("supplier", cursor)
        rows += page.rows
        if not (cursor := page.older):
            break
    counts = {spelling.name: spelling.assets for spelling in rows}
    assert counts == {"ACME": 1, "Dell": 2, "dell": 1, "Zeta": 1, "Ärger": 1}
    assert len(rows) == len(counts)
    assert next(spelling.name for spelling in rows if spelling.name.isascii()) == "ACME"
    assert merging.spellings("supplier", page.newer).rows
