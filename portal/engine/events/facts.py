"""What an event tells, as a dataclass whose fields are the keys of `data` in their order."""

from typing import Any, ClassVar, Protocol


class Facts(Protocol):
    """Any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


def plain(*parts: Facts) -> dict[str, Any]:
    """The parts' fields by name, one part after the other; the values stay as they are."""
    return {name: getattr(part, name) for part in parts for name in part.__dataclass_fields__}
