"""Define the webhook forms. Secrets come back sealed in hidden fields and are never printed."""

import re
from collections.abc import Iterator
from functools import partial
from typing import Any, ClassVar, Final
from uuid import UUID, uuid4

from flask import request
from flask_login import current_user
from wtforms import (
    BooleanField,
    Field,
    FieldList,
    Form,
    FormField,
    HiddenField,
    PasswordField,
    RadioField,
    SelectField,
    SelectMultipleField,
    StringField,
    ValidationError,
)
from wtforms.fields import SelectChoice  # type: ignore[attr-defined]  # newer than its type stubs
from wtforms.widgets import PasswordInput, TextInput

from portal.engine.events.catalogue import CATALOGUE, GROUPS
from portal.engine.formats.presets import PRESETS, PROGRAM, Preset, looks_like
from portal.engine.http.address_guard import MAX_URL_LENGTH
from portal.engine.http.address_mask import looks_secret
from portal.engine.http.custom_headers import MAX_NAME_LENGTH, MAX_VALUE_LENGTH, refuse_header
from portal.models.webhooks import ALL_EVENTS
from portal.services.core import vault
from portal.services.webhooks import drafts
from portal.services.webhooks.drafts import Draft
from portal.services.webhooks.rules import (
    EVENT_VALUES,
    FORMATS,
    HEADER_STAYS,
    INSIDE,
    KEY_STAYS,
    LONGEST_NAME,
    OPTIONS,
    Headers,
    SecretMode,
    WebhookValues,
    events_problem,
    format_problem,
    headers_problem,
    name_problem,
    place_of,
    secret_problem,
    subscribed_to,
    url_problem,
)
from portal.services.webhooks.watches import CANT_OWN, owners
from portal.web.forms.base import PortalForm, as_uuid, tidy, typed
from portal.web.forms.parsing import uuid_or_none
from portal.web.forms.versions import VersionField
from portal.web.frame.access import actor
from portal.web.webhooks.conditions import ConditionList, ValuesField, rows_of
from portal.web.webhooks.destinations import beginning, looks_like_words

# Encloses the place that a stored value belongs to. No header value contains it.
MARK: Final = "\0"
# A custom header's text box, and the hidden field with the value while the box is empty.
BOX: Final = re.compile(r"headers-(\d+)-(value|kept)")


def person() -> int:
    """Return the id of the user for whom secrets are sealed."""
    return actor().user_id or 0


def opened(field: Field) -> str | None:
    """Return the unsealed value of a hidden field."""
    return vault.open_typed(person(), field.data) if field.data else None


def brings_values(stored: Headers, *, typed: bool = True) -> bool:
    """Return whether the form has a header value that is not in `stored`.

    Values are typed, or kept from a test or a refused form. Without `typed`, only values that were
    stored for any webhook count.
    """
    values = {name.lower(): value for name, value in stored}
    for name, sent in request.form.items(multi=True):
        if not sent or not (box := BOX.fullmatch(name)):
            continue
        row, kind = box.groups()
        place, value = _parts(vault.open_typed(person(), sent)) if kind == "kept" else ("", sent)
        header = tidy(request.form.get(f"headers-{row}-name")) or ""
        is_new = kind == "value" or (value and values.get(header.lower()) != value)
        if is_new and (typed or place):
            return True
    return False


class Unprinted(TextInput):
    """A text box that never shows its value."""

    def __call__(self, field: Field, **kwargs: Any) -> Any:
        """Render the box empty."""
        return super().__call__(field, **{**kwargs, "value": "", "autocomplete": "off"})


class HeaderForm(Form):
    """One custom header. `kept` is its sealed value while its text box is empty.

    A stored value is sealed with its place and sent to no other place (`rules.place_of`).
    """

    name = StringField("Header name", filters=[partial(tidy, longest=MAX_NAME_LENGTH)])
    value = StringField(
        "Value", filters=[partial(tidy, longest=MAX_VALUE_LENGTH)], widget=Unprinted()
    )
    kept = HiddenField()

    @property
    def resolved(self) -> str:
        """Return the typed value, or else the kept one."""
        return self.value.data or _parts(opened(self.kept))[1]

    @property
    def name_data(self) -> str:
        """Return the name in lowercase, for comparisons."""
        return (self.name.data or "").lower()

    @property
    def place(self) -> str:
        """Return the place that the kept value belongs to, or "" for a typed value."""
        return "" if self.value.data else _parts(opened(self.kept))[0]

    @property
    def is_blank(self) -> bool:
        """Return whether nothing was entered."""
        return not (self.name.data or self.value.data or self.kept.data)

    def forget(self) -> None:
        """Drop the kept value, which must not be sent to the form's URL."""
        self.kept.data = ""

    def seal(self, whence: str = "", place: str = "") -> None:
        """Seal the value into `kept`, and describe it by its end and its source `whence`.

        `place` is the place that the form's initial values belong to.
        """
        value, bound = self.resolved, self.place or place
        text = f"{MARK}{bound}{MARK}{value}" if bound else value
        self.kept.data = vault.seal_typed(person(), text) if value else ""
        self.value.data = ""
        description = f"{vault.masked(value)}{whence}. Leave empty to keep it"
        self.value.description = description if value else ""


def _parts(kept: str | None) -> tuple[str, str]:
    """Return the place that a kept value belongs to, and the value."""
    text = kept or ""
    if not text.startswith(MARK):
        return "", text
    place, _, value = text.removeprefix(MARK).partition(MARK)
    return place, value


MODES: Final = {
    SecretMode.GENERATE: "Create one",
    SecretMode.OWN: "Use my own",
    SecretMode.NONE: "None, unsigned",
}
GETS_EMAIL: Final = "Gets an email when this webhook fails"
CONFIRMED: Final = "confirmed"
# Fields that `carried` doesn't copy as they are, because they are secret or each page adds them.
NOT_CARRIED: Final = frozenset(
    {"secret", "secret_mode", "headers", "conditions", "test_event", "csrf_token"}
)
# The button that switches to another product's format. Its value is the product's key.
TAKES: Final = "take"
# Options that are neither text nor a checkbox.
NOT_BOXES: Final = frozenset({"conditions", "format"})
CHOSEN, ALL = "chosen", "all"
TO_TEST_WITH: Final = [
    SelectChoice("", "First selected event"),
    *(
        SelectChoice(str(event.value), event.name, optgroup=group.label)
        for group, events in GROUPS
        for event in events
    ),
]


def owner_choices() -> list[SelectChoice]:
    """Return all people who can own a webhook, by name."""
    return [SelectChoice(str(owner.public_id), owner.name) for owner in owners()]


class WebhookForm(PortalForm):
    """A new webhook's form. `copy_of` is the name of the webhook it was filled from.

    `is_redirected` means that the URL is the target of the receiver's redirect.
    """

    lengths: ClassVar[dict[str, int]] = {"name": LONGEST_NAME, "url": MAX_URL_LENGTH}
    copy_of = ""
    is_redirected = False

    name = StringField("Webhook name")
    url = StringField("Webhook URL")
    url_is_secret = BooleanField(
        "Hide this URL", description="Only administrators see the full URL"
    )
    # The last URL checked. The form doesn't hide it automatically again, nor ask again whether it
    # is another product's.
    decided_url = HiddenField()
    format = SelectField(
        "Format",
        choices=[SelectChoice(key or "", label) for key, label in FORMATS.items()],
        default="",
        validate_choice=False,
    )
    # The key of the form's initial preset.
    to = HiddenField()
    which_events = RadioField(
        "Subscribed to",
        choices=[
            SelectChoice(ALL, "All events, including future ones"),
            SelectChoice(CHOSEN, "Chosen events"),
        ],
        default=CHOSEN,
        validate_choice=False,
    )
    events = SelectMultipleField(
        "Events",
        choices=[SelectChoice(str(event.value), event.name) for event in CATALOGUE],
        validate_choice=False,
    )
    conditions = ConditionList("Conditions")
    secret_mode = RadioField(
        "Secret key",
        choices=[SelectChoice(*pair) for pair in MODES.items()],
        default=SecretMode.GENERATE,
        validate_choice=False,
    )
    secret = PasswordField("Your secret key", widget=PasswordInput(hide_value=True))
    secret_kept = HiddenField()
    headers = FieldList(FormField(HeaderForm), label="Custom headers")
    in_order = BooleanField(
        "Send one at a time, in order",
        description=(
            "Each delivery waits until the previous one is delivered, fails, or is dismissed"
        ),
    )
    active = RadioField(
        "Status",
        choices=[SelectChoice("yes", "On"), SelectChoice("no", "Off")],
        default="yes",
        validate_choice=False,
    )

    # Public ids. If blank, an edited webhook keeps its owner, and a new one gets its creator.
    owner_id = SelectField(
        "Owner",
        description=GETS_EMAIL,
        choices=owner_choices,
        default=lambda: str(current_user.public_id),
        validate_choice=False,
    )

    test_event = SelectField("Event to send", choices=TO_TEST_WITH, validate_choice=False)
    draft = HiddenField(default=lambda: str(uuid4()))

    modes: frozenset[str] = frozenset(MODES)
    # The edited webhook's header names, key, and URL.
    stored_names: frozenset[str] = frozenset()
    has_key = False
    stored_url: str | None = None
    # The place that the form's initial values belong to.
    filled_place = ""
    # Products that the URL seems to belong to, none of which has the chosen format.
    lookalikes: tuple[Preset, ...] = ()
    # For a tested form, the source of its secrets and the end of a generated one.
    whence: str = ""
    made_hint: str | None = None

    @property
    def stored_place(self) -> str | None:
        """Return the place that stored values may be sent to, or None for a new webhook."""
        return None if self.stored_url is None else place_of(self.stored_url)

    @property
    def brings_key(self) -> bool:
        """Return whether the URL differs from the stored one and seems to contain a key."""
        return self.url.data != self.stored_url and looks_secret(self.url.data or "")

    @property
    def is_inside(self) -> bool:
        """Return whether the edited webhook delivers to the built-in inbox, where it may stay."""
        return self.stored_place == INSIDE

    @property
    def mode(self) -> SecretMode:
        """Return the chosen source of the secret, or the default for an unknown one."""
        chosen = str(self.secret_mode.data)
        return SecretMode(chosen if chosen in self.modes else str(self.secret_mode.default))

    @property
    def format_key(self) -> str | None:
        """Return the chosen format as it is stored."""
        return self.format.data or None

    @property
    def preset(self) -> Preset | None:
        """Return the form's initial product."""
        return PRESETS.get(self.to.data or "")

    @property
    def _examples(self) -> Preset:
        """Return the product whose examples errors show."""
        return self.preset or PRESETS[PROGRAM]

    @property
    def to_key(self) -> str:
        """Return the key of the form's initial product, or "" without one."""
        return self.preset.key if self.preset else ""

    @property
    def draft_id(self) -> UUID:
        """Return the id of this open form, which groups its tests."""
        self.draft.data = str(as_uuid(self.draft.data))
        return UUID(self.draft.data)

    @property
    def event_to_test(self) -> str:
        """Return the event for a test of a valid form, by default the first subscribed one."""
        picked = str(self.test_event.data)
        return picked if picked in EVENT_VALUES else subscribed_to(self.stored_events)[0]

    @property
    def stored_events(self) -> tuple[str, ...]:
        """Return the events as they are stored."""
        is_all = self.which_events.data == ALL
        return (ALL_EVENTS,) if is_all else tuple(self.events.data or ())

    @property
    def own_secret(self) -> str:
        """Return the user's own secret, typed now or before."""
        return self.secret.data or opened(self.secret_kept) or ""

    @property
    def rows(self) -> list[HeaderForm]:
        """Return the custom headers that were filled in."""
        rows: Iterator[HeaderForm] = (entry.form for entry in self.headers.entries)
        return [row for row in rows if not row.is_blank]

    @property
    def pairs(self) -> Headers:
        """Return the custom headers as entered. An empty value stands for the stored one."""
        return tuple((row.name.data or "", row.resolved) for row in self.rows)

    def values(self) -> WebhookValues:
        return WebhookValues(
            **{name: _entered(self[name]) for name in OPTIONS if name not in NOT_BOXES},
            conditions=self.conditions.text,
            format=self.format_key,
            url=self.url.data or "",
            events=self.stored_events,
            secret_mode=self.mode,
            secret=self.own_secret if self.mode is SecretMode.OWN else "",
            headers=self.pairs,
            is_active=self.active.data != "no",
            owner=uuid_or_none(self.owner_id.data or ""),
        )

    def validate(self, extra_validators: Any = None) -> bool:
        """Check every field, so that all problems are shown at once."""
        self._take(request.form.get(TAKES))
        is_good = bool(super().validate(extra_validators))
        is_good = self._check_product() and is_good
        if self.brings_key and self.decided_url.data != self.url.data:
            self.url_is_secret.data = True
        self.decided_url.data = self.url.data
        is_good = self._check_place() and is_good
        is_good = self.conditions.check() and is_good
        return self._check_rows() and is_good

    def validate_name(self, field: Field) -> None:
        """Require one line, not too long."""
        _complain(name_problem(field.data or "", self._examples.example))

    def validate_url(self, field: Field) -> None:
        """Require an http or https URL that we may send to, except for the inbox's."""
        if field.data or not self.is_inside:
            _complain(url_problem(field.data or "", self._examples.example_url))

    def validate_format(self, _field: Field) -> None:
        """Require a known format."""
        _complain(format_problem(self.format_key))

    def validate_owner_id(self, _field: Field) -> None:
        """Require an owner who can sign in. A form without this field keeps the owner."""
        chosen = self.owner_id.data
        offered = {value for value, *_ in self.owner_id.iter_choices()}
        _complain(CANT_OWN if chosen and chosen not in offered else None)

    def validate_events(self, _field: Field) -> None:
        """Require at least one event."""
        _complain(events_problem(self.stored_events))

    def validate_secret(self, _field: Field) -> None:
        """Require that the user's own key can sign."""
        _complain(secret_problem(self.mode, self.own_secret))

    def seal(self) -> None:
        """Seal all secrets before the form is shown again, and drop a refused key."""
        for entry in self.headers.entries:
            entry.form.seal(self.whence, self.filled_place)
        own = None if self.secret.errors else self.own_secret
        self.secret_kept.data = vault.seal_typed(person(), own) if own else ""
        if own:
            kept = f"{vault.masked(own)}{self.whence}. Leave empty to keep it"
            self.secret.description = kept

    def carried(self) -> list[tuple[str, str]]:
        """Return the names and values of hidden fields for the form, with secrets sealed."""
        self.seal()
        fields = [field for field in self if field.name not in NOT_CARRIED]
        fields += [part for row in self.rows for part in (row.name, row.kept)]
        fields += [part for row in self.conditions.forms for part in row]
        pairs = [pair for field in fields for pair in _hidden(field)]
        return [*pairs, ("secret_mode", str(self.mode))]

    @property
    def moves(self) -> bool:
        """Return whether the URL is outside the place that stored values may be sent to."""
        return self.stored_place not in (None, place_of(self.url.data or ""))

    def _take(self, key: str | None) -> None:
        """Switch to the product that was chosen when the form asked about the URL.

        A new webhook for a chat also gets the chat's initial values.
        """
        preset = PRESETS.get(key or "")
        if preset is None:
            return
        self.format.data, self.to.data = preset.format or "", preset.key
        if preset.format is None or self.stored_url is not None:
            return
        if self.mode is SecretMode.GENERATE:
            self.secret_mode.data = SecretMode.NONE
        if not self.conditions.entries:
            for row in beginning(preset)["conditions"]:
                self.conditions.append_entry(row)

    def _check_product(self) -> bool:
        """Ask once about a URL that looks like another product's.

        A form from before formats existed is not asked about.
        """
        is_new = self.url.data not in (self.decided_url.data, self.stored_url)
        if self.format.raw_data and is_new and not (self.url.errors or self.format.errors):
            chosen = None if self.stored_url is not None else self._chosen_key
            self.lookalikes = looks_like(self.url.data or "", self.format_key, chosen)
        if self.lookalikes:
            asked = f"{looks_like_words(self.lookalikes)}. Choose a format below"
            self.url.errors = [*self.url.errors, asked]
        return not self.lookalikes

    @property
    def _chosen_key(self) -> str:
        """Return the form's initial product, or that of the format if it was changed."""
        if self.preset and self.preset.format == self.format_key:
            return self.preset.key
        return self.format_key or PROGRAM

    def _check_place(self) -> bool:
        """Require values that were stored for another place to be entered again."""
        place = place_of(self.url.data or "")
        if place is None or (place == INSIDE and not self.is_inside):
            return True
        is_good = True
        if self.moves and self.has_key and self.mode is SecretMode.KEEP:
            self.secret_mode.errors, is_good = [*self.secret_mode.errors, KEY_STAYS], False
        for row in self.rows:
            is_stored = self.moves and not row.resolved and row.name_data in self.stored_names
            if is_stored or row.place not in ("", place):
                row.forget()
                row.value.errors, is_good = [*row.value.errors, HEADER_STAYS], False
        return is_good

    def _check_rows(self) -> bool:
        is_good = True
        for row in self.rows:
            name = row.name.data or ""
            is_known = row.name_data in self.stored_names or HEADER_STAYS in row.value.errors
            value = row.resolved or ("kept" if is_known else "")
            wrong_name = refuse_header(name, "any value")
            if sentence := wrong_name or refuse_header(name, value):
                field = row.name if wrong_name else row.value
                field.errors, is_good = [*field.errors, sentence], False
        filled = tuple((name, value or "kept") for name, value in self.pairs)
        if is_good and (sentence := headers_problem(filled)):
            self.headers.errors, is_good = [sentence], False
        return is_good


class EditWebhookForm(WebhookForm):
    """A stored webhook's form, which can keep the secret."""

    secret_mode = RadioField("Secret key", default=SecretMode.KEEP, validate_choice=False)
    owner_id = SelectField(
        "Owner",
        description=GETS_EMAIL,
        choices=owner_choices,
        default="",
        validate_choice=False,
    )
    version = VersionField()

    modes = frozenset(SecretMode)

    def offer_owners(self, *, is_gone: bool) -> None:
        """Offer to leave it without an owner if the owner can no longer sign in."""
        if is_gone:
            nobody = SelectChoice("", "No one (administrators get its emails)")
            self.owner_id.choices = [nobody, *owner_choices()]

    def offer_keys(self, has_key: bool) -> None:
        """Offer to keep the key, or to stay without one."""
        self.has_key = has_key
        own = [SelectChoice(*pair) for pair in MODES.items()]
        keep, none = SelectChoice(SecretMode.KEEP, "Keep it"), MODES[SecretMode.NONE]
        self.secret_mode.choices = (
            [keep, *own] if has_key else [*own[:-1], SelectChoice(SecretMode.KEEP, none)]
        )


def _entered(field: Field) -> Any:
    return field.data if isinstance(field, BooleanField) else typed(field)


def _hidden(field: Field) -> list[tuple[str, str]]:
    """Return the field as a browser would send it."""
    if isinstance(field, BooleanField):
        return [(field.name, "y")] if field.data else []
    if isinstance(field, SelectMultipleField | ValuesField):
        return [(field.name, value) for value in field.data or ()]
    return [(field.name, typed(field))]


def _complain(sentence: str | None) -> None:
    if sentence:
        raise ValidationError(sentence)


FROM_TEST = ", kept from your test"


def tested_form(edits: UUID | None) -> WebhookForm | None:
    """Return the draft in the URL as a form if it belongs to `edits` (None for a new webhook)."""
    draft_id = uuid_or_none(request.args.get("draft"))
    draft = drafts.find(actor(), draft_id) if draft_id else None
    return form_of(draft) if draft and draft.edits == edits else None


def form_of(draft: Draft) -> WebhookForm:
    """Return the form as it was last tested."""
    kind = EditWebhookForm if draft.edits else WebhookForm
    form = kind(
        **form_data(draft.values),
        decided_url=draft.values.url,
        to=draft.to,
        test_event=draft.event,
        draft=str(draft.public_id),
        version=str(draft.version),
    )
    form.whence = FROM_TEST
    form.filled_place = place_of(draft.values.url) or ""
    if draft.values.secret_mode is SecretMode.GENERATE:
        form.made_hint = draft.secret_hint
    return form


def form_data(values: WebhookValues) -> dict[str, Any]:
    """Return these values by form field name."""
    return {
        **{name: getattr(values, name) for name in OPTIONS if name not in NOT_BOXES},
        "conditions": rows_of(values.conditions),
        "format": values.format or "",
        "url": values.url,
        "which_events": ALL if values.events == (ALL_EVENTS,) else CHOSEN,
        "events": list(subscribed_to(values.events)),
        "secret_mode": values.secret_mode,
        "secret": values.secret,
        "headers": [{"name": name, "value": value} for name, value in values.headers],
        "active": "yes" if values.is_active else "no",
        **({"owner_id": str(values.owner)} if values.owner else {}),
    }
