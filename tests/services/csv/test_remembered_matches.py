"""What the headings of a file became last is remembered by the headings alone."""

import hashlib

import pytest
from flask import Flask
from sqlalchemy import select

from portal.models.audit import AuditEntry
from portal.models.tasks import ImportMatch
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import writing
from portal.services.csv import remembered_matches


def test_what_is_remembered_is_found_by_the_headings_in_whatever_order(app: Flask) -> None:
    names = [*"dbacfe"]
    with writing() as current:
        remembered_matches.keep(current, SYSTEM, names, {"a": "name"}, {})
        # Another process has to come to the same, whatever the order in which it keeps a set.
        (key,) = current.scalars(select(ImportMatch.headings))
        assert key == hashlib.sha256(b"a\nb\nc\nd\ne\nf").hexdigest()
        assert remembered_matches.recall([*reversed(names), "problem"])[0] == {"a": "name"}


def test_of_very_many_matches_the_trail_keeps_the_beginning(app: Flask) -> None:
    names = [f"a heading of the file, number {number}" for number in range(30)]
    with writing() as current:
        remembered_matches.keep(current, SYSTEM, names, dict.fromkeys(names, "name"), {})
        (entry,) = current.scalars(select(AuditEntry))
        assert entry.changes["matches"]["from"] is None
        assert len(entry.changes["matches"]["to"]) == 500
        key = hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()
        assert (entry.target_id, entry.target_name) == (key[:16], ", ".join(names)[:120])


def test_of_many_sets_of_headings_those_used_last_are_kept(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembered_matches, "MOST_KEPT", 2)
    for number in range(4):
        with writing() as current:
            names = ["name", f"x{number}"]
            remembered_matches.keep(current, SYSTEM, names, {"name": "name"}, {})
    kept = [bool(remembered_matches.recall(["name", f"x{number}"])[0]) for number in range(4)]
    assert kept == [False, False, True, True]


def keep(names: list[str], words: dict[str, str]) -> None:
    with writing() as current:
        said = {"condition": words}
        remembered_matches.keep(current, SYSTEM, names, {"name": "name"}, said)


def test_a_set_of_headings_that_is_used_again_is_kept_before_one_that_is_not(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembered_matches, "MOST_KEPT", 2)
    for number in (0, 1, 0, 2):
        keep(["name", f"x{number}"], {})
    kept = [bool(remembered_matches.recall(["name", f"x{number}"])[0]) for number in range(3)]
    assert kept == [True, False, True]


def test_of_many_words_those_said_last_are_kept(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembered_matches, "MOST_WORDS", 3)
    for words in ({"a": "good", "b": "good", "c": "fair"}, {"a": "poor", "d": "fair"}):
        keep(["name"], words)
    _, known = remembered_matches.recall(["name"])
    assert known == {"condition": {"c": "fair", "a": "poor", "d": "fair"}}
