"""Backups: only administrators make and download them, after entering their password."""

from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal.lib.clock import utcnow
from portal.models.audit import AuditEntry
from portal.models.people import UserSession
from portal.services.core.unit_of_work import session, writing
from portal.services.operations import backups
from tests.commands.test_backup import back_up_now
from tests.support.factories import PASSWORD, make_asset
from tests.web.signed_in import visit

PAGE = "/settings/system/backups"


@pytest.fixture
def file(app: Flask) -> Path:
    make_asset("Projector")
    back_up_now()
    (file,) = backups.kept()
    return backups.folder() / file.name


def a_while_later() -> None:
    """Let the confirmation of the password expire."""
    with writing() as current:
        current.execute(update(UserSession).values(confirmed_at=utcnow() - timedelta(minutes=16)))


def downloads() -> list[tuple[str, str]]:
    query = select(AuditEntry.actor_name, AuditEntry.target_name)
    rows = session().execute(query.where(AuditEntry.action == "backup.downloaded"))
    return [(row[0], row[1]) for row in rows]


def test_a_backup_is_downloaded_after_the_password_and_audited(app: Flask, file: Path) -> None:
    pages = visit(app, name="Ada")
    a_while_later()
    page = pages.submit(pages.get(f"{PAGE}/{file.name}").form(), own_password=PASSWORD)
    assert page.h1 == "Download this backup?"
    a_while_later()
    asked = pages.submit(page.form(), "Download")
    assert ("own_password" in asked.html, downloads()) == (True, [])
    answer = pages.submit(asked.form(), own_password=PASSWORD).response
    assert answer.get_data() == file.read_bytes()
    assert answer.headers["Content-Disposition"] == f"attachment; filename={file.name}"
    assert answer.headers["Cache-Control"] == "no-store"
    assert downloads() == [("Ada", file.name)]


def test_other_roles_can_neither_see_nor_make_backups(app: Flask, file: Path) -> None:
    for role in ("manager", "support", "viewer"):
        pages = visit(app, role)
        for path in (PAGE, f"{PAGE}/{file.name}"):
            assert pages.get(path).status == 403, (role, path)
            assert pages.post(path).status == 403, (role, path)
    assert (downloads(), len(backups.kept())) == ([], 1)


def test_only_a_listed_file_is_sent(app: Flask, file: Path) -> None:
    (file.parent / "portal-2026-01-01-000000.backup").symlink_to("/etc/hostname")
    (file.parent / "portal-2026-01-01-000001.backup").mkdir()
    (file.parent / "portal-2026-01-01-000000.backup.part").write_text("half")
    pages = visit(app)
    token = {"csrf_token": pages.get(PAGE).form(PAGE).fields["csrf_token"][0]}
    for name in (
        "keys.env",
        "lock",
        "..",
        "../keys.env",
        "..%2fkeys.env",
        "%2e%2e%2fportal.sqlite",
        "portal-2026-01-01-000000.backup",
        "portal-2026-01-01-000001.backup",
        "portal-2026-01-01-000000.backup%00",
        "portal-2026-01-01-000000.backup.part",
    ):
        for answer in (
            pages.client.get(f"{PAGE}/{name}"),
            pages.client.post(f"{PAGE}/{name}", data=token),
        ):
            assert answer.status_code in {308, 404, 405}, (name, answer.status)
    assert downloads() == []


def test_the_search_finds_backups(app: Flask) -> None:
    for role in ("admin", "support"):
        assert "Backups" in visit(app, role).get("/find?q=backup").main
