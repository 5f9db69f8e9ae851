"""Serve Settings → Backups: the last backup, a new one, and the files on this machine."""

from typing import Final

from flask import Blueprint, Response, redirect, render_template, request, send_file, url_for
from werkzeug.wrappers import Response as Answer

from portal.extensions import settings
from portal.services.operations import backups
from portal.web.frame.access import actor, always, requires

blueprint = Blueprint("backups", __name__, url_prefix="/settings/system/backups")

# The example command for a schedule. People choose their own folder.
SCHEDULED: Final = "backup /backup/portal-$(date +%F).backup"


@blueprint.get("")
@requires("system.read")
def index() -> str:
    """Show the last backup and the files."""
    last = backups.last()
    return render_template(
        "operations/backups.html",
        last=last,
        files=backups.kept(),
        failed=backups.failed_since(last.at if last else None),
        under_way=backups.under_way(),
        why_not=backups.why_not(),
        folder=backups.folder(),
        keep=settings().backup_keep,
        nightly_at=backups.NIGHTLY_AT,
        zone=settings().timezone.key,
        counted_rows=backups.counted,
        command=f"{settings().command_name} {SCHEDULED}",
    )


@blueprint.post("")
@requires(backups.MAKE)
def make() -> Answer:
    """Start a backup, or follow the one in progress."""
    return redirect(url_for("tasks.show", public_id=backups.start(actor())))


@blueprint.route("/<name>", methods=["GET", "POST"])
@requires(backups.DOWNLOAD, again=always)
def download(name: str) -> Response | str:
    """Describe the file, then send it."""
    if request.method == "POST":
        file = backups.open_file(actor(), name)
        kind = "application/octet-stream"
        answer = send_file(file, kind, as_attachment=True, download_name=name)
        answer.headers["Cache-Control"] = "no-store"
        return answer
    return render_template("operations/download_backup.html", file=backups.find(name))
