"""Define the forms about people: setup, sign-in, invitations, roles, tokens, own account."""

from typing import Any, ClassVar, Final

from wtforms import (
    BooleanField,
    EmailField,
    HiddenField,
    PasswordField,
    RadioField,
    SelectField,
    StringField,
    ValidationError,
)
from wtforms.validators import DataRequired, InputRequired, Length

from portal.extensions import settings
from portal.lib.typed_values import LONGEST, is_email, tidy_email
from portal.services.core.refusals import Refusal
from portal.services.people import passwords, tokens
from portal.services.people.accounts import ROLE_NAMES, time_zones
from portal.web.forms.base import PortalForm
from portal.web.forms.versions import VersionField

ROLE_HINTS: Final = {
    "admin": "Full access, including webhooks, users, and settings",
    "manager": "Can edit assets, acknowledge alerts, and view webhooks and deliveries",
    "support": "Can test webhooks, retry and dismiss deliveries, and view everything except "
    "settings",
    "viewer": "Can view assets, webhooks, deliveries, and alerts, but not requests and responses. "
    "Can’t change anything",
}

NEVER: Final = "none"

EMAIL_LENGTH: Final = {"email": LONGEST}


def looks_like_email(_form: object, field: Any) -> None:
    """Raise `ValidationError` if the text can't be an email address."""
    if len(field.data) > LONGEST or not is_email(tidy_email(field.data)):
        raise ValidationError("Enter an email address, such as ana@example.com")


def _name() -> StringField:
    needed = [DataRequired("Enter your name"), Length(max=120, message="Use a shorter name")]
    return StringField("Your name", validators=needed, render_kw={"autocomplete": "name"})


def _email(autocomplete: str) -> EmailField:
    return EmailField(
        "Email address",
        validators=[DataRequired("Enter the email address"), looks_like_email],
        render_kw={"autocomplete": autocomplete, "spellcheck": "false"},
    )


def _password(label: str, missing: str) -> PasswordField:
    return PasswordField(
        label,
        validators=[InputRequired(missing)],
        render_kw={"autocomplete": "current-password"},
    )


def _new_password(label: str) -> PasswordField:
    return PasswordField(
        label,
        description=f"At least {passwords.SHORTEST} characters, such as 3 or 4 random words",
        validators=[InputRequired("Enter a password"), _will_do],
        render_kw={"autocomplete": "new-password"},
    )


def _will_do(form: Any, field: Any) -> None:
    """Validate a new password here, so that its error appears along with other fields' errors."""
    try:
        passwords.check(field.data, form.own_address)
    except Refusal as refusal:
        raise ValidationError(refusal.sentence) from None


def _role() -> RadioField:
    return RadioField(
        "Role",
        choices={role.value: name for role, name in ROLE_NAMES.items()},
        validators=[InputRequired("Choose a role")],
    )


class SignInForm(PortalForm):
    lengths: ClassVar[dict[str, int]] = EMAIL_LENGTH
    email = _email("username")
    password = _password("Password", "Enter your password")


class ZonedForm(PortalForm):
    """A form with a time zone. A script offers the browser's."""

    time_zone = SelectField(
        "Time zone",
        description="Used for all times you see",
        validate_choice=False,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.time_zone.choices = zone_choices(settings().timezone.key)


class SetUpForm(ZonedForm):
    """The form that creates the first administrator."""

    lengths: ClassVar[dict[str, int]] = EMAIL_LENGTH
    name = _name()
    email = _email("username")
    password = _new_password("Password")

    @property
    def own_address(self) -> str:
        """Return the address, which the password must not consist of."""
        return tidy_email(self.email.data or "")


class JoinForm(ZonedForm):
    """An invited person's name and password. The address is the invitation's."""

    own_address = ""
    name = _name()
    password = _new_password("Password")


class NewPasswordForm(PortalForm):
    """A new password that replaces a lost one. The address is the link's."""

    own_address = ""
    password = _new_password("New password")


class ForgottenForm(PortalForm):
    """The address of an account whose password is lost."""

    lengths: ClassVar[dict[str, int]] = EMAIL_LENGTH
    email = _email("username")


class InvitationForm(PortalForm):
    """An address to invite, and its role."""

    lengths: ClassVar[dict[str, int]] = EMAIL_LENGTH
    email = _email("off")
    role = _role()


class RoleForm(PortalForm):
    """A person's role. `version`: the person's version when the form was shown."""

    role = _role()
    version = VersionField()


def _lasts(**more: Any) -> RadioField:
    return RadioField(
        "Works for",
        choices={"30": "30 days", "90": "90 days", "365": "1 year", NEVER: "No end"},
        validators=[InputRequired("Choose how long the token works")],
        **more,
    )


class MoveEndForm(PortalForm):
    """The end of a token, counted from now."""

    lasts = _lasts()

    @property
    def days(self) -> int | None:
        """Return the number of days that the token works, or None if it has no end."""
        return None if self.lasts.data == NEVER else int(self.lasts.data)


class RevokeForm(PortalForm):
    """The choice to turn off a program's webhooks along with its token."""

    turn_off = BooleanField("Turn off its webhooks")


class TokenForm(MoveEndForm):
    """A program's name, and the permissions of its token."""

    lengths: ClassVar[dict[str, int]] = {"name": tokens.LONGEST_NAME}
    name = StringField(
        "Program",
        description="Shown wherever this program changes something. You can’t change it later",
        validators=[DataRequired("Enter the program’s name")],
        render_kw={"autocomplete": "off"},
    )
    role = _role()
    read_only = BooleanField(
        "Read only", description="The program can view data but can’t change anything"
    )
    lasts = _lasts(default=str(tokens.USUAL_DAYS))


class ConfirmationForm(PortalForm):
    """The person's own password, once more. `kept`: the form that waits for it, sealed."""

    own_password = _password("Password", "Enter your password")
    kept = HiddenField()


class DetailsForm(PortalForm):
    """The name and time zone of the person's own account."""

    name = _name()
    time_zone = SelectField(
        "Time zone",
        description="Used for all times you see",
    )


class PasswordForm(PortalForm):
    """A new password for the person's own account."""

    own_address = ""
    current_password = _password("Current password", "Enter your current password")
    password = _new_password("New password")


def zone_choices(portal_zone: str) -> dict[str, dict[str, str]]:
    """Return the time zones for a person: the portal's, or any other."""
    return {"This portal": {"": f"Same as the portal ({portal_zone})"}, **all_zones()}


def all_zones() -> dict[str, dict[str, str]]:
    """Return {region: {zone: city}}, with cities such as "Vienna" or "Buenos Aires, Argentina"."""
    groups = dict[str, dict[str, str]]()
    for zone in time_zones():
        region, _, place = zone.partition("/")
        groups.setdefault(region, {})[zone] = _city(place) or zone
    return {region: _by_city(zones) for region, zones in groups.items()}


def _by_city(zones: dict[str, str]) -> dict[str, str]:
    return dict(sorted(zones.items(), key=lambda pair: pair[1]))


def _city(place: str) -> str:
    country, _, city = place.replace("_", " ").rpartition("/")
    return f"{city}, {country}" if country else city
