"""The form of a category or location: its name."""

from wtforms import StringField

from portal.web.forms.base import PortalForm
from portal.web.forms.fields import VersionField


class NameForm(PortalForm):
    """One name; `version` is the one that the person saw."""

    version = VersionField()
    name = StringField("Name")
