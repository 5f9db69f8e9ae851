"""A worker is killed during a merge while a person edits the same assets."""

import json
from collections import Counter
from threading import Event as Flag
from threading import Thread
from uuid import uuid4

import pytest
from sqlalchemy import select

from portal.extensions import db
from portal.models.assets import Asset, Category
from portal.models.deliveries import Event
from portal.services import merging
from portal.services.actions import lifecycle
from portal.services.assets import named_lists
from portal.services.assets.named_lists import CATEGORIES
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import writing
from portal.services.merging import FIELDS
from tests.faults.support.durations import IMPORT_ROWS, IMPORT_SECONDS
from tests.faults.support.load import look_again
from tests.faults.support.running_portal import RunningPortal
from tests.faults.test_imports import killed_half_way, now
from tests.support.factories import make_asset, make_user

pytestmark = pytest.mark.timeout(4 * IMPORT_SECONDS + 60)


class Editor(Thread):
    """A person who edits these assets in turn. `saved`: the number of edits by asset ID."""

    def __init__(self, portal: RunningPortal, ids: list[int]) -> None:
        super().__init__(daemon=True)
        self._app, self._ids = portal.app, ids
        self.home_time = Flag()
        self.saved = Counter[int]()

    def run(self) -> None:
        with self._app.app_context():
            while not self.home_time.wait(0.02):
                asset_id = self._ids[sum(self.saved.values()) * 7 % len(self._ids)]
                model = f"Looked at {self.saved[asset_id] + 1}"
                lifecycle.edit_fields(SYSTEM, asset_id, {"model": model})
                self.saved[asset_id] += 1


def test_a_killed_merge_moves_each_asset_once_and_loses_no_edit(portal: RunningPortal) -> None:
    names = [f"{name} {uuid4().hex[:6]}" for name in ("Notebooks", "Laptops")]
    source, target = (named_lists.create(CATEGORIES, SYSTEM, name) for name in names)
    row_id = named_lists.find(CATEGORIES, source).id
    # Other tests of this portal store events with invented asset ids, so events are found by name.
    chair = f"Chair {uuid4().hex[:6]}"
    with writing():
        ids = [make_asset(chair, category_id=row_id) for _ in range(IMPORT_ROWS)]
    editor = Editor(portal, ids)
    editor.start()
    kind = FIELDS["category"]
    public_id = merging.start(make_user().actor, kind, str(source), str(target))
    killed_half_way(portal, public_id)
    editor.home_time.set()
    editor.join(10)
    look_again()
    assert now(public_id).counts == {"changed": IMPORT_ROWS}
    assert db.session.scalars(select(Category.name).where(Category.name.in_(names))).all() == [
        names[1]
    ]
    assets = db.session.scalars(select(Asset).where(Asset.id.in_(ids))).all()
    assert {asset.category.name for asset in assets if asset.category} == {names[1]}
    assert editor.saved
    for asset in assets:
        looks = editor.saved[asset.id]
        assert asset.model == (f"Looked at {looks}" if looks else None)
        assert asset.version == 2 + looks
    bodies = db.session.scalars(select(Event.body).where(Event.asset_name == chair))
    changed = [json.loads(body)["data"].get("changed_fields", ["added"]) for body in bodies]
    assert Counter(map(tuple, changed)) == {
        ("added",): IMPORT_ROWS,
        ("category",): IMPORT_ROWS,
        ("model",): sum(editor.saved.values()),
    }
