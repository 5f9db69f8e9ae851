"""What the headings of a file became last is remembered by the headings alone."""

import hashlib
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from portal.lib.clock import utcnow
from portal.models.audit import AuditEntry
from portal.models.tasks import ImportMatch
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import session, writing
from portal.services.csv import import_matches


def test_what_is_remembered_is_found_by_the_headings_in_whatever_order(app: Flask) -> None:
    names = [*"dbacfe"]
    with writing() as current:
        import_matches.keep(current, SYSTEM, names, {"a": "name"}, {})
        # Another process has to come to the same, whatever the order in which it keeps a set.
        (key,) = current.scalars(select(ImportMatch.headings))
        assert key == hashlib.sha256(b"a\nb\nc\nd\ne\nf").hexdigest()
        assert import_matches.recall([*reversed(names), "problem"])[0] == {"a": "name"}


def test_of_very_many_matches_the_trail_keeps_the_beginning(app: Flask) -> None:
    names = [f"a heading of the file, number {number}" for number in range(30)]
    with writing() as current:
        import_matches.keep(current, SYSTEM, names, dict.fromkeys(names, "name"), {})
        (entry,) = current.scalars(select(AuditEntry))
        assert entry.changes["matches"]["from"] is None
        assert len(entry.changes["matches"]["to"]) == 500
        key = hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()
        assert (entry.target_id, entry.target_name) == (key[:16], ", ".join(names)[:120])


def test_of_many_sets_of_headings_the_five_hundred_used_last_are_kept(app: Flask) -> None:
    now = utcnow()
    with writing() as current:
        for number in range(500):
            used_at = now - timedelta(minutes=number + 1)
            current.add(ImportMatch(headings=f"{number}", matches={}, words={}, used_at=used_at))
    keep(["name"], {})
    assert import_matches.recall(["name"])[0] == {"name": "name"}
    kept = set(session().scalars(select(ImportMatch.headings)))
    assert (len(kept), "498" in kept, "499" in kept) == (500, True, False)


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


def test_of_many_words_the_two_hundred_said_last_are_kept(app: Flask) -> None:
    words = [f"w{number}" for number in range(200)]
    keep(["name"], dict.fromkeys(words, "good"))
    keep(["name"], {"w0": "poor", "x": "fair"})
    _, known = import_matches.recall(["name"])
    assert known == {"condition": {**dict.fromkeys(words[2:], "good"), "w0": "poor", "x": "fair"}}
