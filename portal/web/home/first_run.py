"""Build the first steps that the start page shows until a new portal is in use."""

from dataclasses import dataclass
from uuid import UUID

from flask import url_for

from portal.extensions import settings
from portal.lib.clock import utcnow
from portal.services.demo import load
from portal.services.operations.first_run import first_run
from portal.web.frame.access import can
from portal.web.help.advice import contact

Link = tuple[str, str]


@dataclass(frozen=True, slots=True)
class FirstStep:
    """One step. `ways`: (label, URL) of each way to do it, for readers with `permission`."""

    title: str
    text: str
    is_done: bool
    permission: str
    ways: tuple[Link, ...]

    @property
    def may(self) -> bool:
        """Return whether the reader has permission to take the step."""
        return can(self.permission)

    @property
    def others(self) -> str:
        """Return a sentence that tells a reader without permission to ask someone with it."""
        return f"Ask {contact(self.permission)}."


@dataclass(frozen=True, slots=True)
class SampleData:
    """The offer to load sample data. `task`: public id of a load in progress."""

    task: UUID | None


def sample_data() -> SampleData | None:
    """Return the offer to load sample data, or None if the reader can't load it now."""
    if not (settings().local_trial and can(load.PERMISSION)):
        return None
    task = load.under_way()
    return SampleData(task) if task or not load.why_not() else None


def first_steps() -> list[FirstStep]:
    """Return all steps from the first asset to the first colleague, or none once they are done."""
    done = first_run(utcnow())
    if done.is_over:
        return []
    return [
        FirstStep(
            "Add your assets",
            "We send every change to the systems you connect.",
            done.assets,
            "assets.edit",
            (
                ("Add asset", url_for("assets.new")),
                ("Import a file", url_for("importing.upload")),
            ),
        ),
        FirstStep(
            "Connect a system",
            "Choose Teams, Slack, an automation, or your own program. Or use the built-in inbox.",
            done.webhooks,
            "webhooks.edit",
            (
                ("Add webhook", url_for("webhook_forms.where")),
                ("Use the inbox", url_for("inbox.index")),
            ),
        ),
        FirstStep(
            "See it delivered",
            "The log lists every delivery with its response. Resend it if you need to.",
            done.delivered,
            "deliveries.read",
            (("View deliveries", url_for("deliveries.index")),),
        ),
        FirstStep(
            "Invite a colleague",
            "Managers edit assets. Support follows up on deliveries.",
            done.colleagues,
            "people.manage",
            (("Invite user", url_for("invitations.new")),),
        ),
    ]
