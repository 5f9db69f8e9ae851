"""The form that erases somebody."""

from wtforms import StringField
from wtforms.validators import DataRequired

from portal.web.forms.base import PortalForm


class EraseForm(PortalForm):
    """The person's e-mail address, typed: nobody is erased by a slip."""

    typed = StringField(
        "Their e-mail address",
        validators=[DataRequired("Type the e-mail address as it stands above")],
        render_kw={"autocomplete": "off", "spellcheck": "false", "autocapitalize": "off"},
    )
