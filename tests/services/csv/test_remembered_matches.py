"""What the headings of a file became last is remembered by the headings alone."""

import hashlib

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
