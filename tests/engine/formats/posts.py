"""Three samples of every event: full, minimal (null where allowed), and hostile (a stranger's text
in every free text). The last two are made from the first, within the limits of the schema."""

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from portal.engine.events.catalogue import EventName
from portal.engine.events.samples import sample_message
from portal.engine.formats.chats import Place
from tests.engine.events.message_schema import closed_for

PLACE: Final = Place(ZoneInfo("Europe/Vienna"), "https://assets.example.com")
RIGHT_TO_LEFT: Final = "\N{RIGHT-TO-LEFT OVERRIDE}"
# Text as somebody types it → as readers should see it.
HOSTILE: Final = {
    'The "old" one\'s\r\nsecond line\\n': 'The "old" one\'s second line\\n',
    "<b>bold</b> & &lt;i&gt; <!-- x -->": "<b>bold</b> & &lt;i&gt; <!-- x -->",
    "@everyone @channel @here <@all> <@U123>": "@everyone @channel @here <@all> <@U123>",
    "<!channel> <users/all> <at>all</at> <#42>": "<!channel> <users/all> <at>all</at> <#42>",
    "*x* _y_ ~z~ `c` **b** __u__ ||s|| ```d```": "*x* _y_ ~z~ `c` **b** __u__ ||s|| ```d```",
    "[free](javascript:alert(1)) <http://x|y>": "[free](javascript:alert(1)) <http://x|y>",
    "# big": "# big",
    "- item": "- item",
    "> said": "> said",
    "12. item": "12. item",
    "{{DATE(2017-02-14T06:00:00Z, SHORT)}} ${x}": "{{DATE(2017-02-14T06:00:00Z, SHORT)}} ${x}",
    "{{{DATE(2017-02-14T06:00:00Z)}}": "{{{DATE(2017-02-14T06:00:00Z)}}",
    f"שלום {RIGHT_TO_LEFT}gpj.exe": "שלום gpj.exe",
    "\x1b[31mred\x07": "[31mred",
}
Path = tuple[str | int, ...]


def full(event: EventName) -> bytes:
    return _encoded(sample_message(event))


@cache
def minimal(event: EventName) -> bytes:
    body = sample_message(event)
    for path in _paths(body):
        _put(body, path, None, if_valid_for=event)
    return _encoded(body)


def with_texts(event: EventName, text: Callable[[], str]) -> bytes:
    """Return the full sample with its own text in every field that people write."""
    body = sample_message(event)
    for path in _free(event):
        _put(body, path, text())
    return _encoded(body)


def hostile(event: EventName, text: str) -> bytes:
    return with_texts(event, lambda: text)


def _encoded(body: Any) -> bytes:
    return json.dumps(body).encode()


@cache
def _free(event: EventName) -> list[Path]:
    body = sample_message(event)
    texts = [path for path in _paths(body) if isinstance(_at(body, path), str)]
    return [path for path in texts if _put(deepcopy(body), path, "\\o/ <b>", if_valid_for=event)]


def _paths(value: Any, here: Path = ()) -> Iterator[Path]:
    """Yield the path of every value inside, the outer ones first."""
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for name, part in list(pairs):
            yield (*here, name)
            yield from _paths(part, (*here, name))


def _at(body: Any, path: Path) -> Any:
    for name in path:
        body = body[name] if body is not None else None
    return body


def _put(body: Any, path: Path, value: Any, if_valid_for: EventName | None = None) -> bool:
    parent = _at(body, path[:-1])
    if parent is None:  # an outer value has become null
        return False
    was, parent[path[-1]] = parent[path[-1]], value
    if if_valid_for is None or closed_for(if_valid_for).is_valid(body):
        return True
    parent[path[-1]] = was
    return False
