"""A form that was tested, made again from its draft: all that was typed, and no secret shown."""

from typing import overload
from uuid import UUID

from flask import request

from portal.services.webhooks import drafts
from portal.services.webhooks.drafts import Draft
from portal.services.webhooks.values import SecretMode, place_of
from portal.web.forms.query_values import uuid_or_none
from portal.web.frame.access import actor
from portal.web.webhooks.forms import EditWebhookForm, WebhookForm

FROM_TEST = ", kept from your test"


@overload
def tested_form(edits: None) -> WebhookForm | None: ...
@overload
def tested_form(edits: UUID) -> EditWebhookForm | None: ...
def tested_form(edits: UUID | None) -> WebhookForm | None:
    """The form whose draft the address names, if it is for a new webhook or for this one."""
    asked = uuid_or_none(request.args.get("draft"))
    draft = drafts.find(actor(), asked) if asked else None
    return form_of(draft) if draft and draft.edits == edits else None


def form_of(draft: Draft) -> WebhookForm:
    """The form as it was tested last."""
    values = draft.values
    kind = EditWebhookForm if draft.edits else WebhookForm
    form = kind(
        name=values.name,
        url=values.url,
        url_is_secret=values.url_is_secret,
        decided_url=values.url,
        events=list(values.events),
        secret_mode=values.secret_mode,
        secret=values.secret,
        headers=[{"name": name, "value": value} for name, value in values.headers],
        in_order=values.in_order,
        active="yes" if values.is_active else "no",
        test_event=draft.event,
        draft=str(draft.public_id),
        version=str(draft.version),
    )
    form.whence = FROM_TEST
    form.filled_place = place_of(values.url) or ""
    if values.secret_mode is SecretMode.GENERATE:
        form.made_hint = draft.secret_hint
    return form
