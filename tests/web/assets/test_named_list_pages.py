"""The pages of categories and locations."""

from uuid import UUID

import pytest
from flask import Flask

from jobs import tasks as job
from portal.services.actions import lifecycle
from portal.services.assets import named_lists
from portal.services.assets.named_lists import CATEGORIES, LOCATIONS, NamedList
from portal.services.core.permissions import SYSTEM
from portal.services.task_kinds import KINDS
from tests.support.factories import make_asset, make_user, make_webhook
from tests.support.pages import Pages
from tests.web.signed_in import visit

pytestmark = pytest.mark.parametrize("kind", [CATEGORIES, LOCATIONS], ids=lambda kind: kind.many)


@pytest.fixture
def pages(app: Flask) -> Pages:
    """Return pages as a signed-in manager sees them."""
    return visit(app, "manager")


def make(kind: NamedList, name: str) -> UUID:
    return named_lists.create(kind, SYSTEM, name)


def test_a_person_adds_renames_and_deletes_a_name(kind: NamedList, pages: Pages) -> None:
    home = f"/{kind.many}"
    page = pages.submit(pages.get(f"{home}/new").form(), name="Tools")
    assert page.path == home
    assert page.rows()[0][:2] == ["Tools", "0"]
    public_id = named_lists.choices(kind)[0][1]
    page = pages.submit(pages.get(f"{home}/{public_id}/edit").form(), name="Power tools")
    assert page.rows()[0][0] == "Power tools"
    page = pages.submit(pages.get(f"{home}/{public_id}/delete").form())
    assert page.tone == "success"
    assert pages.get(f"{home}/{public_id}/edit").status == 404


@pytest.mark.both_databases
def test_an_invalid_name_is_refused_at_its_field_and_kept(kind: NamedList, pages: Pages) -> None:
    make(kind, "Tools")
    page = pages.submit(pages.get(f"/{kind.many}/new").form(), name="  ")
    assert (page.status, page.wrong) == (400, ["name"])
    page = pages.submit(page.form(), name="TOOLS")
    assert page.wrong == ["name"]
    assert page.form().fields["name"] == ["TOOLS"]
    other = make(kind, "Other")
    page = pages.submit(pages.get(f"/{kind.many}/{other}/edit").form(), name="Tools")
    assert page.wrong == ["name"]
    assert (page.status, page.form().fields["name"]) == (400, ["Tools"])


def test_a_late_rename_shows_both_names(kind: NamedList, pages: Pages) -> None:
    public_id = make(kind, "Tools")
    form = pages.get(f"/{kind.many}/{public_id}/edit").form()
    ben = make_user(name="Ben Fox")
    named_lists.rename(kind, ben.actor, public_id, 1, "Hand tools")
    page = pages.submit(form, name="Power tools")
    assert page.status == 409
    assert "Ben Fox changed this at" in page.main
    assert page.rows() == [["Name", "Hand tools", "Power tools"]]
    pages.submit(page.form(), "Save my version")
    assert named_lists.choices(kind)[0][2] == "Power tools"


def used(kind: NamedList, public_id: UUID, name: str = "Lamp") -> int:
    return make_asset(name, **{kind.used_by.key: named_lists.find(kind, public_id).id})


def test_a_person_merges_two_names(kind: NamedList, pages: Pages) -> None:
    make_webhook(events=["asset.updated"])
    source, target = make(kind, "Hambourg"), make(kind, "Hamburg")
    used(kind, source)
    form = pages.get(pages.get(f"/{kind.many}").links("Merge Hambourg")[0]).form()
    assert "1 asset will move to" in form.node.text
    assert "This will notify 1 webhook" in form.node.text
    assert pages.submit(form).wrong == ["into"]
    page = pages.submit(form, into=str(target))
    assert page.h1 == "Merge “Hambourg” into “Hamburg”"
    assert pages.submit(form, into=str(target)).path == page.path
    job.work(KINDS)
    page = pages.get(page.path)
    assert "1 changed." in page.main
    assert pages.get(page.links("View assets")[0]).rows()
    assert pages.get(f"/{kind.many}/{source}/merge").status == 404
    assert [name for _, _, name in named_lists.choices(kind)] == ["Hamburg"]


def test_an_invalid_merge_target_is_refused_at_its_field(kind: NamedList, pages: Pages) -> None:
    source, target = make(kind, "Hambourg"), make(kind, "Hamburg")
    make(kind, "Berlin")
    form = pages.get(f"/{kind.many}/{source}/merge").form()
    named_lists.delete(kind, SYSTEM, target)
    for into in (str(target), str(source), "odd\0"):
        page = pages.submit(form, into=into)
        assert (page.status, page.wrong) == (400, ["into"])


def test_the_only_name_cannot_be_merged(kind: NamedList, pages: Pages) -> None:
    public_id = make(kind, "Hamburg")
    assert not pages.get(f"/{kind.many}").links("Merge")
    assert f"no other {kind.one}" in pages.get(f"/{kind.many}/{public_id}/merge").main


def test_a_name_in_use_is_deleted_after_its_assets_move(kind: NamedList, pages: Pages) -> None:
    source, target = make(kind, "Hambourg"), make(kind, "Hamburg")
    empty = pages.get(f"/{kind.many}/{source}/delete").form()
    used(kind, source)
    page = pages.submit(empty)
    assert (page.status, len(page.errors)) == (409, 1)
    form = page.form()
    page = pages.submit(form)
    assert (page.path, page.h1) == (f"/{kind.many}/{source}/delete", "Delete “Hambourg”?")
    assert (page.status, page.wrong) == (400, ["into"])
    form = page.form()
    assert form.buttons[-1] == "Move 1 asset and delete"
    page = pages.submit(form, into=str(target))
    assert page.h1 == "Delete “Hambourg”"
    job.work(KINDS)
    page = pages.get(page.path)
    assert f"Hambourg was deleted. Its 1 asset is now {kind.holds} Hamburg." in page.main
    assert [name for _, _, name in named_lists.choices(kind)] == ["Hamburg"]


def test_an_unused_name_is_deleted_even_if_a_target_was_chosen(
    kind: NamedList, pages: Pages
) -> None:
    source, target = make(kind, "Hambourg"), make(kind, "Hamburg")
    asset_id = used(kind, source)
    form = pages.get(f"/{kind.many}/{source}/delete").form()
    lifecycle.delete_asset(SYSTEM, asset_id)
    page = pages.submit(form, into=str(target))
    assert page.path == f"/{kind.many}"
    assert [name for _, _, name in named_lists.choices(kind)] == ["Hamburg"]


@pytest.mark.both_databases
def test_a_name_in_use_is_not_deleted(kind: NamedList, pages: Pages) -> None:
    public_id = make(kind, "Tools")
    form = pages.get(f"/{kind.many}/{public_id}/delete").form()
    make_asset(**{kind.used_by.key: named_lists.find(kind, public_id).id})
    page = pages.submit(form)
    assert page.status == 409
    assert pages.follow("View these assets").rows()
    assert pages.get(f"/{kind.many}").links("1 asset")


def test_a_name_in_a_condition_is_not_deleted(kind: NamedList, app: Flask, pages: Pages) -> None:
    public_id = make(kind, "Tools")
    form = pages.get(f"/{kind.many}/{public_id}/delete").form()
    row_id = named_lists.find(kind, public_id).id
    hook = make_webhook(name="ERP", conditions=f'[["{kind.one}","is",["{row_id}"]]]')
    page = pages.submit(form)
    assert (page.status, page.links("Edit ERP")) == (409, [])
    page = visit(app).get(f"/{kind.many}/{public_id}/delete")
    assert page.links("Edit ERP") == [f"/settings/webhooks/{hook.public_id}/edit#conditions"]
    make_asset(**{kind.used_by.key: row_id})
    page = visit(app).get(f"/{kind.many}/{public_id}/delete")
    assert "1 asset is still" in page.main
    assert "“Tools” is used in a condition of ERP." in page.main
    assert page.links("Edit ERP")
    assert page.links("View these assets")
    (refused,) = pages.submit(form).errors
    assert "1 asset is still" in refused
    assert "“Tools” is used in a condition of ERP." in refused
