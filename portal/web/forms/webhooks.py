"""The webhook's form. What is secret in it is sealed on the way back, and never printed."""

from collections.abc import Iterator
from typing import Any, Final

from wtforms import (
    BooleanField,
    Field,
    FieldList,
    Form,
    FormField,
    HiddenField,
    PasswordField,
    RadioField,
    SelectMultipleField,
    StringField,
    ValidationError,
)
from wtforms.fields import SelectChoice  # type: ignore[attr-defined]  # newer than its types
from wtforms.widgets import PasswordInput, TextInput

from portal.delivery.events import CATALOGUE
from portal.delivery.headers import refuse_header
from portal.services import vault
from portal.services.webhook_values import (
    Headers,
    SecretMode,
    WebhookValues,
    events_problem,
    headers_problem,
    name_problem,
    secret_problem,
    url_problem,
)
from portal.web.access import actor
from portal.web.forms.base import PortalForm, tidy

MODES: Final = {
    SecretMode.GENERATE: "Create one for me",
    SecretMode.OWN: "Use my own",
    SecretMode.NONE: "None",
}
SAVE_AND_TEST: Final = "save_and_test"
CONFIRMED: Final = "confirmed"


class Unprinted(TextInput):
    """A text box that never shows what is in it."""

    def __call__(self, field: Field, **kwargs: Any) -> Any:
        """Print the box, empty."""
        return super().__call__(field, **{**kwargs, "value": "", "autocomplete": "off"})


class HeaderForm(Form):
    """One custom header. `kept` is its value, sealed, while the box for it is empty."""

    name = StringField("Header name", filters=[tidy])
    value = StringField("Value", filters=[tidy], widget=Unprinted())
    kept = HiddenField()

    @property
    def resolved(self) -> str:
        """What was typed, or else what was kept; empty when there is neither."""
        return self.value.data or _opened(self.kept) or ""

    @property
    def is_blank(self) -> bool:
        """A row that nobody filled in."""
        return not (self.name.data or self.value.data or self.kept.data)

    def seal(self) -> None:
        """Take the value out of the page and say by what it can be told."""
        value = self.resolved
        self.kept.data = vault.seal_typed(_person(), value) if value else ""
        self.value.data = ""
        self.value.description = f"{vault.masked(value)}. Leave empty to keep it." if value else ""


class WebhookForm(PortalForm):
    """Makes a webhook."""

    name = StringField("Webhook name", description="For example: Sync to ERP")
    url = StringField("Webhook URL")
    events = SelectMultipleField(
        "Events",
        choices=[SelectChoice(str(each.value), each.name) for each in CATALOGUE],
        validate_choice=False,
        description="Events we add later are not switched on by themselves.",
    )
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
        description="Each message waits until the one before has arrived or has failed for good",
    )
    active = RadioField(
        "Active",
        choices=[SelectChoice("yes", "Yes"), SelectChoice("no", "No")],
        default="yes",
        validate_choice=False,
    )

    modes: frozenset[str] = frozenset(MODES)
    stored_names: frozenset[str] = frozenset()

    @property
    def mode(self) -> SecretMode:
        """Where the secret comes from; what is absent or unknown is the form's default."""
        chosen = str(self.secret_mode.data)
        return SecretMode(chosen if chosen in self.modes else str(self.secret_mode.default))

    @property
    def own_secret(self) -> str:
        """The person's own secret, typed now or before."""
        return self.secret.data or _opened(self.secret_kept) or ""

    @property
    def rows(self) -> list[HeaderForm]:
        """The custom headers that were filled in."""
        rows: Iterator[HeaderForm] = (entry.form for entry in self.headers.entries)
        return [row for row in rows if not row.is_blank]

    @property
    def pairs(self) -> Headers:
        """The custom headers as entered; an empty value stands for the stored one."""
        return tuple((row.name.data or "", row.resolved) for row in self.rows)

    def values(self) -> WebhookValues:
        """What was entered, for the service."""
        return WebhookValues(
            name=self.name.data or "",
            url=self.url.data or "",
            events=tuple(self.events.data or ()),
            secret_mode=self.mode,
            secret=self.own_secret if self.mode is SecretMode.OWN else "",
            headers=self.pairs,
            in_order=bool(self.in_order.data),
            is_active=self.active.data != "no",
        )

    def validate(self, extra_validators: Any = None) -> bool:
        """Check everything, so that all problems are shown at once."""
        is_good = bool(super().validate(extra_validators))
        return self._check_rows() and is_good

    def validate_name(self, field: Field) -> None:
        """One line, not too long."""
        _complain(name_problem(field.data or ""))

    def validate_url(self, field: Field) -> None:
        """http or https, and no address that is closed to us."""
        _complain(url_problem(field.data or ""))

    def validate_events(self, field: Field) -> None:
        """At least one."""
        _complain(events_problem(field.data or ()))

    def validate_secret(self, _field: Field) -> None:
        """A person's own has to be able to sign."""
        _complain(secret_problem(self.mode, self.own_secret))

    def seal(self) -> None:
        """Before the form is shown again: nothing typed is lost, nothing secret is printed."""
        for entry in self.headers.entries:
            entry.form.seal()
        own = self.own_secret
        self.secret_kept.data = vault.seal_typed(_person(), own) if own else ""
        if own:
            self.secret.description = f"{vault.masked(own)}. Leave empty to keep what you typed."

    def carried(self) -> list[tuple[str, str]]:
        """Everything that was entered, as hidden fields; secrets sealed."""
        self.seal()
        plain = (self.once, self.name, self.url, self.secret_kept, self.active)
        pairs = [(field.name, field.data or "") for field in plain]
        pairs += [("events", value) for value in self.events.data or ()]
        pairs.append(("secret_mode", str(self.mode)))
        if self.in_order.data:
            pairs.append(("in_order", "y"))
        for row in self.rows:
            pairs += [(row.name.name, row.name.data or ""), (row.kept.name, row.kept.data or "")]
        return pairs

    def _check_rows(self) -> bool:
        is_good = True
        for row in self.rows:
            name = row.name.data or ""
            value = row.resolved or ("kept" if name.lower() in self.stored_names else "")
            wrong_name = refuse_header(name, "any value")
            if sentence := wrong_name or refuse_header(name, value):
                field = row.name if wrong_name else row.value
                field.errors, is_good = [*field.errors, sentence], False
        filled = tuple((name, value or "kept") for name, value in self.pairs)
        if is_good and (sentence := headers_problem(filled)):
            self.headers.errors, is_good = [sentence], False
        return is_good


class EditWebhookForm(WebhookForm):
    """Changes a webhook: the secret may stay, and the version tells whether others were faster."""

    secret_mode = RadioField(
        "Secret key",
        choices=[
            SelectChoice(SecretMode.KEEP, "Keep it as it is"),
            *(SelectChoice(*pair) for pair in MODES.items()),
        ],
        default=SecretMode.KEEP,
        validate_choice=False,
    )
    version = HiddenField()

    modes = frozenset(SecretMode)

    @property
    def seen(self) -> int:
        """The version that the person saw; 0, which none has, when it is missing."""
        text = str(self.version.data or "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0

    def carried(self) -> list[tuple[str, str]]:
        """With the version."""
        return [*super().carried(), ("version", str(self.version.data or ""))]


def _person() -> int:
    return actor().user_id or 0


def _opened(field: Field) -> str | None:
    return vault.open_typed(_person(), field.data) if field.data else None


def _complain(sentence: str | None) -> None:
    if sentence:
        raise ValidationError(sentence)
