"""The filter above the audit trail; it lives in the address."""

from operator import itemgetter
from typing import Any, Final

from portal.services.audit import queries as audit_queries
from portal.services.audit.queries import TrailFilter
from portal.services.core.permissions import SYSTEM
from portal.web.forms.fields import TypedField
from portal.web.forms.filter_form import ChosenField, FilterForm, SearchField
from portal.web.forms.query_values import read_begin, read_end, uuid_or_none
from portal.web.operations.audit_words import kind_words

NOBODY: Final = "portal"


class TrailFilterForm(FilterForm):
    """Who, what kind of thing, and between which two days; `target` narrows to one thing."""

    who = ChosenField("Who")
    kind = ChosenField("What")
    since = TypedField("From", read=read_begin, called="time")
    until = TypedField("To", read=read_end, called="time")
    target = SearchField("Only")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        people = [(str(public_id), name) for public_id, name in audit_queries.people_names()]
        self.who.choices = [("", "Everybody"), *people, (NOBODY, f"{SYSTEM.name}, or a command")]
        kinds = [(kind, kind_words(kind)) for kind in audit_queries.kinds()]
        self.kind.choices = [("", "Everything"), *sorted(kinds, key=itemgetter(1))]

    def chosen(self) -> TrailFilter:
        """What the trail is narrowed to, once `validate` has said that all can be read."""
        return TrailFilter(
            person=uuid_or_none(self.who.data),
            nobody=self.who.data == NOBODY,
            kind=self.kind.data or None,
            target_id=self.target.data or None,
            since=self.since.data,
            until=self.until.data,
        )
