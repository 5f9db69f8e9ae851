"""The form of a category or location: its name."""

from wtforms import HiddenField, StringField

from portal.web.forms.base import PortalForm
from portal.web.forms.fields import row_id


class NameForm(PortalForm):
    """One name; `version` is the one that the person saw."""

    version = HiddenField()
    name = StringField("Name")

    @property
    def version_seen(self) -> int:
        """The version that the form was opened with; 0 if that was lost."""
        return row_id(self.version.data) or 0
