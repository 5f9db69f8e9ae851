"""Generated tag numbers: which are taken, and which the form suggests."""

import pytest
from flask import Flask

from portal.extensions import db
from portal.models.assets import Asset
from portal.services.assets.tag_numbers import LOOKED_AT, likely_tag, next_tag, of_the_series
from portal.services.core.unit_of_work import session, writing
from tests.support.database.rivals import Rival
from tests.support.factories import make_asset, make_webhook

pytestmark = pytest.mark.both_databases


def test_only_tags_with_five_or_more_digits_belong_to_the_series() -> None:
    tags = ["AST-00001", "ast-123456", "AST-0001", "AST-0000\u0661", "XAST-00001", "AST-00001x", ""]
    assert of_the_series(tags) == {"ast-00001", "ast-123456"}


def test_the_likely_next_tag_is_shown_unless_fifty_are_taken(app: Flask) -> None:
    assert likely_tag(session()) == "AST-00001"
    make_asset()
    assert likely_tag(session()) == "AST-00002"
    chosen = [f"ast-{number:05}" for number in range(2, LOOKED_AT + 2)]
    with writing() as current:
        current.add_all([Asset(asset_tag=tag, name="Lamp") for tag in chosen[:-1]])
    assert likely_tag(session()) == "AST-00051"
    with writing() as current:
        current.add(Asset(asset_tag=chosen[-1], name="Lamp"))
    assert likely_tag(session()) is None


def test_a_number_that_the_same_file_uses_is_not_assigned(app: Flask) -> None:
    with writing() as current:
        tags = [next_tag(current, {"ast-00001", "ast-00003"}) for _ in range(2)]
    assert tags == ["AST-00002", "AST-00004"]
    assert likely_tag(session()) == "AST-00005"


def test_an_unfinished_save_does_not_block_other_numbers(app: Flask) -> None:
    """Cover a machine that dies during a save, which ends only when the database gives it up."""
    if db.engine.dialect.name == "sqlite":
        pytest.skip("On SQLite one transaction writes at a time.")
    make_webhook()
    other = Rival(app, lambda: session().get_one(Asset, make_asset()).asset_tag)
    with writing():
        make_asset()
        other.pass_by()
    assert other.finish() == "AST-00002"
