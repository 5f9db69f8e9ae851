"""Settings → System: what runs, what waits, and what wants a look."""

from flask import Blueprint, render_template

from portal.services.operations import findings, report
from portal.services.operations.health import read_facts
from portal.services.operations.process_roles import read_duties
from portal.web.frame.access import requires
from portal.web.frame.status_tags import process_tag

blueprint = Blueprint("system", __name__, url_prefix="/settings/system")


@blueprint.get("")
@requires("system.read")
def index() -> str:
    """The whole portal at one moment."""
    facts = read_facts()
    now = facts.at
    return render_template(
        "operations/system.html",
        found=findings.find(facts, now),
        duties=read_duties(facts),
        processes=[each for each in facts.lives if each.name != each.kind],
        process_tag=process_tag,
        doctor=facts.settings.command("doctor"),
        sending=report.sending_lines(facts, now),
        queues=report.queue_lines(facts),
        alerts=report.alert_lines(facts, now),
        versions=report.version_lines(facts),
        settings_in_force=report.setting_lines(facts),
    )
