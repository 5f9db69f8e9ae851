"""The bodies of examples and tests, built by the serializer that builds the real ones."""

from datetime import datetime
from typing import Final

from portal.engine.events.body import build_body, event_data
from portal.engine.events.names import EventName
from portal.engine.events.samples.assets import NOW, Sample
from portal.engine.events.samples.routine import EVERYDAY
from portal.engine.events.samples.trouble import TROUBLE

SOURCE: Final = "perfex_assets_module"
SAMPLES: Final[dict[EventName, Sample]] = {**EVERYDAY, **TROUBLE}


def sample_body(
    event: EventName, *, occurred_at: datetime = NOW, source: str = SOURCE, test: bool = False
) -> bytes:
    """An example body; what Test webhook sends is marked by `"test": true` at the end of `data`."""
    sample = SAMPLES[event]
    marked = {**sample.details, "test": True} if test else sample.details
    status_from, status_to = sample.moved
    return build_body(
        event,
        occurred_at=occurred_at,
        source=source,
        asset_id=None if event is EventName.DELETED else sample.asset.id,
        asset=sample.asset,
        data=event_data(
            sample.actor,
            sample.origin,
            status_from=status_from,
            status_to=status_to,
            note=sample.note,
            **marked,
        ),
    )
