"""What the headings of a file became last is remembered by the headings alone."""

import hashlib

import pytest
from flask import Flask
from sqlalchemy import select

from portal.models.tasks import ImportMatch
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import writing
from portal.services.csv import import_matches


def test_what_is_remembered_is_found_by_the_headings_in_whatever_order(app: Flask) -> None:
    names = [*"dbacfe"]
    with writing() as current:
        import_matches.keep(current, SYSTEM, names, {"a": "name"}, {})
        # Another process has to come to the same, whatever the order in which it keeps a set.
        (key,) = current.scalars(select(ImportMatch.headings))
        assert key == hashlib.sha256(b"a\nb\nc\nd\ne\nf").hexdigest()
        assert import_matches.recall([*reversed(names), "problem"])[0] == {"a": "name"}


def keep(names: list[str], words: dict[str, str]) -> None:
    with writing() as current:
        said = {"condition": words}
        import_matches.keep(current, SYSTEM, names, {"name": "name"}, said)


def test_a_set_of_headings_that_is_used_again_is_kept_before_one_that_is_not(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_matches, "MOST_KEPT", 2)
    for number in (0, 1, 0, 2):
        keep(["name", f"x{number}"], {})
    kept = [bool(import_matches.recall(["name", f"x{number}"])[0]) for number in range(3)]
    assert kept == [True, False, True]
