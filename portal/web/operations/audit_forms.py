"""The filter above the audit trail; it lives in the address."""

from typing import Any, Final

from wtforms import Form, SelectField, StringField

from portal.services.audit import queries as audit_queries
from portal.services.audit.queries import TrailFilter
from portal.web.forms.base import tidy
from portal.web.forms.query_values import beginning_of, day_or_none, end_of, uuid_or_none
from portal.web.operations.audit_words import kind_words

NOBODY: Final = "portal"
LONGEST_ID: Final = 64


class TrailFilterForm(Form):
    """Who, what kind of thing, and between which two days; `target` narrows to one thing."""

    who = SelectField("Who", validate_choice=False)
    kind = SelectField("What", validate_choice=False)
    since = StringField("From", filters=[tidy])
    until = StringField("To", filters=[tidy])
    target = StringField("Only", filters=[tidy])

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        people = [(str(public_id), name) for public_id, name in audit_queries.people_names()]
        self.who.choices = [("", "Everybody"), *people, (NOBODY, "The portal itself")]
        self._kinds = audit_queries.kinds()
        kinds = [(kind, kind_words(kind)) for kind in self._kinds]
        self.kind.choices = [("", "Everything"), *kinds]

    def chosen(self) -> TrailFilter:
        """What the trail is narrowed to; what was typed over in the address narrows nothing."""
        return TrailFilter(
            person=uuid_or_none(self.who.data),
            nobody=self.who.data == NOBODY,
            kind=self.kind.data if self.kind.data in self._kinds else None,
            target_id=(self.target.data or "")[:LONGEST_ID] or None,
            since=beginning_of(day_or_none(self.since.data)),
            until=end_of(day_or_none(self.until.data)),
        )
