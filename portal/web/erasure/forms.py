"""The form that erases somebody."""

from wtforms import SelectMultipleField, StringField
from wtforms.fields import SelectChoice  # type: ignore[attr-defined]  # newer than its types
from wtforms.validators import DataRequired

from portal.services.erasure.person import KnownPerson
from portal.web.forms.base import PortalForm
from portal.web.forms.fields import VersionField


class EraseForm(PortalForm):
    """What is looked for in texts, and the person's e-mail address, typed: nobody is erased by a
    slip. `shown` is the version of the person whose names the list has."""

    shown = VersionField()
    sought = SelectMultipleField(
        "Replace in texts",
        validate_choice=False,
        description="Clear what also means something or somebody else. A name of one word, or "
        "that somebody else has, is off at first",
    )
    typed = StringField(
        "Their e-mail address",
        validators=[DataRequired("Type the e-mail address as it stands above")],
        render_kw={"autocomplete": "off", "spellcheck": "false", "autocapitalize": "off"},
    )

    @classmethod
    def about(cls, person: KnownPerson, version: int) -> "EraseForm":
        """Return the form for this person; names are sent by their place in the list."""
        usual = [str(n) for n, text in enumerate(person.texts) if text in person.usual]
        form = cls(data={"shown": version, "sought": usual})
        form.sought.choices = [SelectChoice(str(n), each) for n, each in enumerate(person.texts)]
        return form

    def ticked(self, person: KnownPerson) -> list[str]:
        """Return the names and addresses that are looked for; what is not in the list is not."""
        sent = self.sought.data or ()
        return [text for n, text in enumerate(person.texts) if str(n) in sent]
