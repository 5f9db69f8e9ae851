"""The forms about staff: a person, and the filter of the list."""

from wtforms import EmailField, StringField
from wtforms.fields import SelectChoice  # type: ignore[attr-defined]  # newer than its types

from portal.services.assets.staff import LENGTHS, StaffValues
from portal.web.forms.base import PortalForm, typed
from portal.web.forms.fields import VersionField
from portal.web.forms.filter_form import ChosenField, FilterForm, SearchField

WHO = [SelectChoice("", "Working here"), SelectChoice("left", "Have left")]


def _line(name: str, label: str, hint: str = "") -> StringField:
    kept = {"maxlength": LENGTHS[name], "autocomplete": "off"}
    return StringField(label, description=hint, render_kw=kept)


class StaffForm(PortalForm):
    """What a person may say of a member of staff. The fields are named as the columns."""

    version = VersionField()
    name = _line("name", "Name")
    email = EmailField(
        "E-mail address",
        description="Other systems know people by it. Nobody gets mail from here",
        render_kw={"maxlength": LENGTHS["email"], "autocomplete": "off", "spellcheck": "false"},
    )
    employee_no = _line("employee_no", "Employee number")
    department = _line("department", "Department")
    phone = _line("phone", "Phone")

    def values(self) -> StaffValues:
        """What was typed, as the service takes it."""
        return StaffValues(
            name=typed(self["name"]),
            email=typed(self.email),
            employee_no=typed(self.employee_no) or None,
            department=typed(self.department) or None,
            phone=typed(self.phone) or None,
        )


class StaffFilterForm(FilterForm):
    """The filter above the list; it lives in the address."""

    q = SearchField("Name, e-mail address or department")
    who = ChosenField("Show", choices=WHO)
