"""What a person says of a warranty claim or a disposal, and how the timeline keeps it."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from portal.extensions import settings


class Method(StrEnum):
    """What becomes of an asset that is disposed of."""

    SOLD = "sold"
    DONATED = "donated"
    RECYCLED = "recycled"
    SCRAPPED = "scrapped"
    WRITTEN_OFF = "written_off"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimValues:
    """What is known of a warranty claim; the asset's own supplier where none is named."""

    problem: str
    supplier: str = ""
    rma_number: str = ""
    expected_back_on: date | None = None
    note: str = ""

    @property
    def remark(self) -> str:
        """All of it but the note: "No picture. At Northwind. Return number R-17"."""
        day = self.expected_back_on
        said = (
            self.problem,
            f"At {self.supplier}" if self.supplier else "",
            f"Return number {self.rma_number}" if self.rma_number else "",
            f"Expected back on {day.day} {day:%B %Y}" if day else "",
        )
        return ". ".join(filter(None, said))


@dataclass(frozen=True, slots=True, kw_only=True)
class DisposalValues:
    """How an asset is disposed of. `proceeds` are in the installation's currency."""

    method: str
    proceeds: Decimal | None = None
    recipient: str = ""
    note: str = ""

    @property
    def remark(self) -> str:
        """All of it but the note: "Sold to Second Life for 180.00 EUR"."""
        words = self.method.replace("_", " ").capitalize()
        to = f" to {self.recipient}" if self.recipient else ""
        price = f" for {self.proceeds:,.2f} {settings().currency}" if self.proceeds else ""
        return words + to + price
