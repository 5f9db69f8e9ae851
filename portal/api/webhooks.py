"""List, add, change, test, and delete webhooks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import Field, WrapValidator, with_config
from pydantic_core import PydanticCustomError
from sqlalchemy import select

from portal.api.deliveries import SHOW as SHOW_DELIVERY
from portal.api.lists import Event, Paging, Text, event_named, from_row, page_answer, page_example
from portal.api.operations import Answer, Call, Made, Operation
from portal.api.reading import STRICT, given, partial
from portal.api.schemas import Paged, described_as, limited
from portal.engine.conditions.predicate import (
    LONGEST_VALUE,
    MOST_CONDITIONS,
    MOST_VALUES,
    OPERATORS,
    ConditionError,
    Operator,
    as_text,
    conditions_in,
    entered,
)
from portal.engine.events.catalogue import EventName
from portal.engine.formats.chats import CHATS
from portal.engine.http.custom_headers import MAX_HEADERS, MAX_NAME_LENGTH, MAX_VALUE_LENGTH
from portal.engine.signing.signatures import LONGEST_SECRET, SHORTEST_SECRET, generate_secret
from portal.models.people import Role, Token
from portal.models.webhooks import ALL_EVENTS, Webhook, WebhookState
from portal.services.core.refusals import Refusal, Stale
from portal.services.core.unit_of_work import session, writing
from portal.services.deliveries import dismissals
from portal.services.webhooks import backlog, crud, queries, sample_deliveries, turn_on_off
from portal.services.webhooks.backlog import WebhookStatus
from portal.services.webhooks.notes import note_of
from portal.services.webhooks.rows import (
    count_held,
    events_of,
    find_webhook,
    lock_webhook,
    shown_url,
    stored_headers,
)
from portal.services.webhooks.rules import LONGEST_NAME, SecretMode, WebhookValues
from portal.services.webhooks.turn_on_off import HeldChoice

WEBHOOK: Final = "/webhooks/<uuid:webhook_id>"
READ: Final = "webhooks.read"
EDIT: Final = "webhooks.edit"
SWITCH: Final = "webhooks.switch"
GENERATE, NONE = "generate", "none"
Secret = Annotated[
    str,
    Field(
        description="“generate”, “none”, or a secret key of your own",
        repr=False,
        json_schema_extra={
            "pattern": f"^({GENERATE}|{NONE}|.{{{SHORTEST_SECRET},{LONGEST_SECRET}}})$"
        },
    ),
]
Url = Annotated[str, Field(json_schema_extra={"pattern": r"^https?://\S"})]
Format = Annotated[
    str | None,
    Field(json_schema_extra={"anyOf": [described_as(*CHATS), {"type": "null"}]}),
]
Headers = Annotated[
    dict[str, str],
    Field(
        json_schema_extra={
            "maxProperties": MAX_HEADERS,
            "propertyNames": {
                "pattern": "^[A-Za-z0-9][A-Za-z0-9-]*$",
                "maxLength": MAX_NAME_LENGTH,
            },
            "additionalProperties": {
                "type": "string",
                "pattern": "^([!-~]([ -~]*[!-~])?)?$",
                "maxLength": MAX_VALUE_LENGTH,
            },
        }
    ),
]
ALL: Final = "all"


def _events_named(value: Any, _handler: Any) -> Any:
    """Return “all” or a list of events. Raises `PydanticCustomError` with likely ones."""
    if value == ALL:
        return value
    if not isinstance(value, list) or {ALL, ALL_EVENTS} & set(map(str, value)):
        raise PydanticCustomError("events", "Send a list of names, or “all” without a list")
    if not value:
        raise PydanticCustomError("events", "Send at least one name, or “all” without a list")
    return [event_named(each) for each in value]


Events = Annotated[
    Annotated[list[EventName], Field(min_length=1)] | Literal["all"],
    WrapValidator(_events_named),
    Field(description="Names of events. “all” includes future ones"),
]


class OnHold(StrEnum):
    """The choice for deliveries on hold when a webhook is turned on."""

    SEND = "send"
    DISMISS = "dismiss"


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class ConditionValue:
    """A condition, met by any one of its values. Categories and locations are given by ID."""

    field: Annotated[str, Field(json_schema_extra=described_as(*OPERATORS))]
    operator: Annotated[str, Field(json_schema_extra=described_as(*Operator))]
    values: Annotated[
        list[Annotated[str, Field(json_schema_extra={"minLength": 1, "maxLength": LONGEST_VALUE})]],
        Field(json_schema_extra={"minItems": 1, "maxItems": MOST_VALUES}),
    ]


Conditions = Annotated[list[ConditionValue], Field(json_schema_extra={"maxItems": MOST_CONDITIONS})]


@limited({"name": LONGEST_NAME, "secret": LONGEST_SECRET}.get)
@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookBody:
    """A new webhook. Without a name, it gets the token’s name and a number."""

    url: Url
    events: Events
    name: str = ""
    secret: Secret = GENERATE
    headers: Headers = field(default_factory=dict)
    in_order: bool = False
    format: Format = None
    conditions: Conditions = field(default_factory=list)
    hide_url: bool = False
    active: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookChange(WebhookBody):
    """The fields of a webhook that can be changed. `on_hold`: only with `active` true."""

    on_hold: OnHold | None = None


WebhookPatch: Final = partial(WebhookChange)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookQuery(Paging):
    """Filters for webhooks."""

    url: Annotated[Text, Field(description="The whole URL. Only for the role admin")] = ""


@dataclass(frozen=True, slots=True)
class NoteAnswer:
    """A note for colleagues, with its last author and time."""

    text: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookAnswer:
    """A webhook. Only tokens with the role admin see secret parts of its URL. Its secret key and
    header values are never shown."""

    id: UUID
    name: str
    url: str
    events: Sequence[EventName] | Literal["all"]
    format: str | None
    conditions: Sequence[ConditionValue]
    in_order: bool
    active: bool
    status: WebhookStatus
    off_reason: str | None
    off_until: datetime | None
    has_secret: bool
    header_names: Sequence[str]
    made_by: str | None
    note: NoteAnswer | None
    version: int
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TestBody:
    """`event`: the sample’s event. The default is the first event that it is subscribed to."""

    __test__ = False  # not a test case, whatever its name says

    event: Event | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OnBody:
    """`on_hold`: required if deliveries are on hold."""

    on_hold: OnHold | None = None


@limited({"secret": LONGEST_SECRET}.get)
@dataclass(frozen=True, slots=True, kw_only=True)
class SecretBody:
    """A new secret key. The old one also signs for 24 hours."""

    secret: Secret = GENERATE


def _answer(call: Call, row: Webhook, status: WebhookStatus, made_by: str | None) -> WebhookAnswer:
    return from_row(
        WebhookAnswer,
        row,
        id=row.public_id,
        url=row.url if call.program.role == Role.ADMIN else shown_url(row),
        events=_shown_events(row),
        conditions=[ConditionValue(*map(_plain, each)) for each in conditions_in(row.conditions)],
        active=row.state == WebhookState.ACTIVE,
        status=status,
        has_secret=row.secret_enc is not None,
        header_names=[name for name, _ in stored_headers(row)],
        made_by=made_by,
        note=NoteAnswer(*note) if (note := note_of(row)) else None,
    )


def _shown_events(row: Webhook) -> Any:
    events = events_of(row)
    return ALL if events == (ALL_EVENTS,) else events


def _plain(part: Any) -> Any:
    return list(part) if isinstance(part, tuple) else part


def _answers(call: Call, rows: Sequence[Webhook]) -> list[WebhookAnswer]:
    troubled = backlog.of_ids(session(), [row.id for row in rows])
    ids = {row.token_id for row in rows if row.token_id}
    wanted = select(Token.id, Token.name).where(Token.id.in_(ids))
    names = {row.id: row.name for row in session().execute(wanted)} if ids else {}
    return [
        _answer(
            call,
            row,
            backlog.status_of(row, troubled.get(row.id)),
            names.get(row.token_id or 0),
        )
        for row in rows
    ]


def _list(call: Call) -> Answer:
    if call.query.url and call.program.role != Role.ADMIN:
        raise Refusal("Only a token with the role admin can find webhooks by URL", field="url")
    page = queries.find_page(call.query.after, call.query.limit, call.query.url)
    return page_answer(page, _answers(call, page.rows))


def _show(call: Call, webhook_id: UUID) -> Answer:
    row = find_webhook(session(), webhook_id)
    return Answer(_answers(call, [row])[0], row.version)


def _create(call: Call) -> Made:
    body: WebhookBody = call.body
    mode, secret, once = _secret(body.secret)
    values = WebhookValues(
        name=body.name,
        url=body.url,
        events=_events(body.events),
        secret_mode=mode,
        secret=secret,
        headers=tuple(body.headers.items()),
        in_order=body.in_order,
        format=body.format,
        conditions=_conditions(body.conditions),
        url_is_secret=body.hide_url,
        is_active=body.active,
    )
    if body.name:
        return Made({"webhook_id": crud.create(call.actor, values)}, once)
    return Made({"webhook_id": _create_numbered(call, values)}, once)


def _create_numbered(call: Call, values: WebhookValues) -> UUID:
    """Use the first free number. The unique index decides if two requests take the same one."""
    with writing():
        taken = {row.name.lower() for row in session().execute(select(Webhook.name))}
        numbers = range(1, len(taken) + 2)
        names = [f"{call.actor.name} {number}" for number in numbers]
        name = next(name for name in names if name.lower() not in taken)
        return crud.create(call.actor, replace(values, name=name))


def _secret(given_: str) -> tuple[SecretMode, str, Mapping[str, str]]:
    """Return the key’s mode, the key, and the fields that only this answer shows."""
    if given_ == NONE:
        return SecretMode.NONE, "", {}
    if given_ == GENERATE:
        made = generate_secret()
        return SecretMode.OWN, made, {"secret": made}
    return SecretMode.OWN, given_, {}


def _events(asked: Sequence[str]) -> tuple[str, ...]:
    return (ALL_EVENTS,) if asked == ALL else tuple(map(str, asked))


def _conditions(values: Sequence[ConditionValue]) -> str | None:
    try:
        return as_text([entered(each.field, each.operator, each.values) for each in values])
    except ConditionError as error:
        raise Refusal(error.sentence, field="conditions") from None


def _stored(webhook_id: UUID) -> WebhookValues:
    """Return a webhook’s values. An empty header value keeps the stored one."""
    stored = queries.stored_values(webhook_id)
    return replace(stored, headers=tuple((name, "") for name, _ in stored.headers))


def _edit(call: Call, webhook_id: UUID) -> Made:
    """Change settings, and turn it on or off, or do neither."""
    fields = given(call.body)
    once: Mapping[str, str] = {}
    active, choice = fields.pop("active", None), fields.pop("on_hold", None)
    if choice and not active:
        raise Refusal("Send it only with “active” as true", field="on_hold")
    with writing() as current:
        lock_webhook(current, webhook_id)
        stored = _stored(webhook_id)
        changed: dict[str, Any] = {
            name: fields[name] for name in ("name", "url", "in_order", "format") if name in fields
        }
        if "secret" in fields:
            mode, secret, once = _secret(fields["secret"])
            changed |= {"secret_mode": mode, "secret": secret}
        if "events" in fields:
            changed["events"] = _events(fields["events"])
        if "hide_url" in fields:
            changed["url_is_secret"] = fields["hide_url"]
        if "conditions" in fields:
            changed["conditions"] = _conditions(call.body.conditions)
        if "headers" in fields:
            changed["headers"] = tuple(fields["headers"].items())
        crud.edit(call.actor, webhook_id, call.version, replace(stored, **changed))
        if active is not None:
            _switch(call, webhook_id, choice, active=active)
    return Made({"webhook_id": webhook_id}, once)


def _switch(call: Call, webhook_id: UUID, choice: OnHold | None, *, active: bool) -> None:
    if not active:
        turn_on_off.turn_off(call.actor, webhook_id)
        return
    with writing() as current:
        held = count_held(current, lock_webhook(current, webhook_id).id)
        if held and choice is None:
            many = "1 delivery is" if held == 1 else f"{held} deliveries are"
            raise Refusal(f"{many} on hold. Give on_hold as send or dismiss.")
        if held and choice is OnHold.DISMISS:
            dismissals.turn_on(call.actor, webhook_id)
        else:
            turn_on_off.turn_on(call.actor, webhook_id, HeldChoice.SEND if held else None)


def _delete(call: Call, webhook_id: UUID) -> Answer:
    with writing() as current:
        if call.version not in (None, lock_webhook(current, webhook_id).version):
            raise Stale("Someone else changed this webhook.")
        crud.delete(call.actor, webhook_id)
    return Answer(None)


def _test(call: Call, webhook_id: UUID) -> Made:
    delivery = sample_deliveries.send_test(call.actor, webhook_id, call.body.event)
    return Made({"delivery_id": delivery})


def _on(call: Call, webhook_id: UUID) -> Made:
    _switch(call, webhook_id, call.body.on_hold, active=True)
    return Made({"webhook_id": webhook_id})


def _off(call: Call, webhook_id: UUID) -> Made:
    _switch(call, webhook_id, None, active=False)
    return Made({"webhook_id": webhook_id})


def _new_secret(call: Call, webhook_id: UUID) -> Made:
    mode, secret, once = _secret(call.body.secret)
    with writing() as current:
        lock_webhook(current, webhook_id)
        values = replace(_stored(webhook_id), secret_mode=mode, secret=secret)
        crud.edit(call.actor, webhook_id, None, values)
    return Made({"webhook_id": webhook_id}, once)


EXAMPLE: Final = {
    "id": "01940c3e-0000-7c11-9d52-0a4f1d8f7f10",
    "name": "Nordwind ERP",
    "url": "https://erp.example.com/hooks",
    "events": ["asset.checked_out", "asset.checked_in"],
    "format": None,
    "conditions": [{"field": "category", "operator": "is", "values": ["1"]}],
    "in_order": False,
    "active": True,
    "status": "active",
    "off_reason": None,
    "off_until": None,
    "has_secret": True,
    "header_names": ["X-Tenant"],
    "made_by": "MDM",
    "note": {"text": "Migrates on Friday", "by": "Ana Gruber", "at": "2026-11-30T10:02:00+00:00"},
    "version": 1,
    "created_at": "2026-11-30T09:15:00+00:00",
}
SHOW: Final = Operation(
    name="showWebhook",
    method="GET",
    path=WEBHOOK,
    summary="Show a webhook",
    permission=READ,
    run=_show,
    answers=WebhookAnswer,
    example=EXAMPLE,
    problems=(404,),
)
OPERATIONS: Final = (
    Operation(
        name="listWebhooks",
        method="GET",
        path="/webhooks",
        summary="List webhooks, newest first",
        permission=READ,
        run=_list,
        query=WebhookQuery,
        answers=Paged[WebhookAnswer],
        example=page_example(EXAMPLE),
        problems=(400,),
    ),
    Operation(
        name="createWebhook",
        method="POST",
        path="/webhooks",
        summary="Add a webhook. Only this response has the generated secret key, in “secret”",
        permission=EDIT,
        run=_create,
        shows=SHOW,
        shows_secret=True,
        body=WebhookBody,
        status=201,
    ),
    SHOW,
    Operation(
        name="updateWebhook",
        method="PATCH",
        path=WEBHOOK,
        summary="Change fields of a webhook. A header with an empty value keeps the stored one",
        permission=EDIT,
        run=_edit,
        shows=SHOW,
        shows_secret=True,
        body=WebhookPatch,
        problems=(404, 409, 412),
    ),
    Operation(
        name="deleteWebhook",
        method="DELETE",
        path=WEBHOOK,
        summary="Delete a webhook and dismiss its waiting deliveries",
        permission=EDIT,
        run=_delete,
        status=204,
        problems=(404, 412),
    ),
    Operation(
        name="testWebhook",
        method="POST",
        path=f"{WEBHOOK}/test",
        summary="Send a test",
        permission="webhooks.test",
        run=_test,
        shows=SHOW_DELIVERY,
        body=TestBody,
        status=201,
        problems=(404, 409),
    ),
    Operation(
        name="turnWebhookOn",
        method="POST",
        path=f"{WEBHOOK}/on",
        summary="Turn a webhook on",
        permission=SWITCH,
        run=_on,
        shows=SHOW,
        body=OnBody,
        problems=(404, 409),
    ),
    Operation(
        name="turnWebhookOff",
        method="POST",
        path=f"{WEBHOOK}/off",
        summary="Turn a webhook off. New deliveries are on hold",
        permission=SWITCH,
        run=_off,
        shows=SHOW,
        problems=(404,),
    ),
    Operation(
        name="changeSecret",
        method="POST",
        path=f"{WEBHOOK}/secret",
        summary="Change the secret key. If we generate it, only this response has it, in “secret”",
        permission=EDIT,
        run=_new_secret,
        shows=SHOW,
        shows_secret=True,
        body=SecretBody,
        problems=(404,),
    ),
)
