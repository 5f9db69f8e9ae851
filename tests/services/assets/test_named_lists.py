"""Categories and locations share one mechanism, so each test runs on both lists."""

from uuid import UUID

import pytest

from portal.services.actions import lifecycle
from portal.services.assets import named_lists
from portal.services.assets.named_lists import CATEGORIES, LOCATIONS, NamedList
from portal.services.core.permissions import SYSTEM
from portal.services.core.refusals import NotFound, Refusal
from tests.support.factories import make_asset

pytestmark = [
    pytest.mark.usefixtures("app"),
    pytest.mark.parametrize("kind", [CATEGORIES, LOCATIONS], ids=lambda kind: kind.many),
]


def add(kind: NamedList, name: str) -> UUID:
    return named_lists.create(kind, SYSTEM, name)


def used(kind: NamedList, public_id: UUID) -> dict[str, int]:
    """Return the asset value that refers to this entry."""
    return {kind.used_by.key: named_lists.find(kind, public_id).id}


def names(kind: NamedList) -> list[str]:
    return [name for _, _, name in named_lists.choices(kind)]


def test_names_are_sorted_regardless_of_case(kind: NamedList) -> None:
    for name in ("tools", "Chairs", "apples"):
        add(kind, name)
    assert names(kind) == ["apples", "Chairs", "tools"]
    assert [line.name for line in named_lists.page(kind).rows] == names(kind)


def test_a_name_is_unique_regardless_of_case(kind: NamedList) -> None:
    add(kind, "Tools")
    other = add(kind, "Other")
    with pytest.raises(Refusal) as refusal:
        add(kind, "TOOLS")
    assert refusal.value.field == "name"
    with pytest.raises(Refusal, match="Enter another name or merge the two"):
        named_lists.rename(kind, SYSTEM, other, 1, "tools")
    assert names(kind) == ["Other", "Tools"]


def test_a_typed_name_is_found_in_any_case_or_added(kind: NamedList) -> None:
    ids = {name: named_lists.find(kind, add(kind, name)).id for name in ("Chairs", "Tools")}
    for name in ("chairs", "TOOLS"):
        assert named_lists.found_or_added(kind, SYSTEM, name) == ids[name.capitalize()]
    added = named_lists.found_or_added(kind, SYSTEM, "Lamps")
    assert added not in ids.values()
    assert names(kind) == ["Chairs", "Lamps", "Tools"]


def test_an_empty_or_too_long_name_is_refused(kind: NamedList) -> None:
    for name in ("", "x" * 121):
        with pytest.raises(Refusal):
            add(kind, name)


def test_an_entry_is_not_deleted_while_an_asset_uses_it(kind: NamedList) -> None:
    public_id = add(kind, "Tools")
    make_asset(**used(kind, public_id))
    with pytest.raises(Refusal) as refusal:
        named_lists.delete(kind, SYSTEM, public_id)
    assert refusal.value.sentence == (
        f"1 asset is still {kind.holds} “Tools”. "
        f"Choose another {kind.one} for it first, then delete this one."
    )
    assert named_lists.in_use(kind, "Tools", 1200) == (
        f"1,200 assets are still {kind.holds} “Tools”. "
        f"Choose another {kind.one} for them first, then delete this one."
    )


def test_an_entry_used_only_by_deleted_assets_can_be_deleted(kind: NamedList) -> None:
    public_id = add(kind, "Tools")
    asset_id = make_asset(**used(kind, public_id))
    lifecycle.delete_asset(SYSTEM, asset_id)
    named_lists.delete(kind, SYSTEM, public_id)
    assert names(kind) == []
    with pytest.raises(NotFound):
        named_lists.find(kind, public_id)


def test_each_name_counts_its_assets(kind: NamedList) -> None:
    public_id = add(kind, "Tools")
    add(kind, "Unused")
    kept, gone = (make_asset(**used(kind, public_id)) for _ in range(2))
    lifecycle.delete_asset(SYSTEM, gone)
    assert kept
    assert [(line.name, line.assets) for line in named_lists.page(kind).rows] == [
        ("Tools", 1),
        ("Unused", 0),
    ]
