"""Serve Settings → System: processes, queues, findings, and the switch for all sending."""

from collections.abc import Sequence
from typing import Final

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from portal.extensions import settings
from portal.services.operations import findings, report, sending
from portal.services.operations.findings import Finding, Level
from portal.services.operations.health import Facts, read_facts
from portal.services.operations.report import read_roles
from portal.web.frame.access import actor, requires
from portal.web.frame.site_state import in_trouble, offline_senders
from portal.web.frame.status_tags import PROCESS
from portal.web.home.us_or_them import us_or_them
from portal.web.operations.email_views import test_values

STOPPED: Final = "Sending paused. Requests in progress will finish."
STARTED: Final = "Sending resumed. We’re sending the queued deliveries."

blueprint = Blueprint("system", __name__, url_prefix="/settings/system")


@blueprint.get("")
@requires("system.read")
def index() -> str:
    """Show the state of the whole portal."""
    facts = read_facts()
    now = facts.at
    found = findings.find(facts, now)
    return render_template(
        "operations/system.html",
        found=found,
        side=_side(facts, found),
        roles=read_roles(facts),
        processes=[process for process in facts.processes if process.name != process.kind],
        process_tag=PROCESS.__getitem__,
        doctor=facts.settings.command("doctor"),
        sending=report.sending_lines(facts, now),
        queues=report.queue_lines(facts),
        alerts=report.alert_lines(facts, now),
        versions=report.version_lines(facts),
        settings_in_force=report.setting_lines(facts),
        stop=facts.stop,
        email=test_values() if findings.is_readable(facts) else None,
    )


def _side(facts: Facts, found: Sequence[Finding]) -> str:
    """Return whether receivers or this server fail, or "" if sending is down or paused."""
    is_down = any(finding.level is Level.DANGER for finding in found)
    if is_down or facts.stop or offline_senders():
        return ""
    return us_or_them(in_trouble()).sentences


@blueprint.route("/stop-sending", methods=["GET", "POST"])
@requires(sending.PERMISSION)
def stop_sending() -> Response | str:
    """Confirm, then pause sending to all webhooks."""
    if request.method == "POST":
        is_new = sending.stop(actor())
        flash(*(STOPPED, "success") if is_new else ("Sending was already paused.", "info"))
        return redirect(url_for("system.index"))
    return render_template("operations/stop_sending.html", has_email=bool(settings().smtp_url))


@blueprint.post("/start-sending")
@requires(sending.PERMISSION)
def start_sending() -> Response:
    """Resume sending to all webhooks."""
    is_new = sending.start(actor())
    flash(*(STARTED, "success") if is_new else ("Sending was already on.", "info"))
    return redirect(url_for("system.index"))
