"""The list from which one came to a thing: `?list=` carries its address, filters and all."""

from typing import Any, Final
from urllib.parse import urlsplit

from flask import Flask, has_request_context, request, url_for

from portal.web.frame.access import local_path

LIST: Final = "list"
# What is found in a list: how its routes name it, and how their own names begin.
THINGS: Final = {"asset_id": "", "public_id": "webhook"}
LONGEST: Final = 500  # characters; a longer address, such as of a pasted log, is not carried


def list_here() -> str | None:
    """The address of this list, for links to what stands in it; None where it asks for nothing."""
    address = request.script_root + request.full_path
    return address if request.query_string and len(address) <= LONGEST else None


def list_back(endpoint: str, anchor: str) -> str:
    """The way back to the list of this endpoint, as it was, at the line `anchor`."""
    usual, address = url_for(endpoint), local_path(request.args.get(LIST))
    parts = urlsplit(address)
    is_it = parts.path == usual and not parts.fragment
    return f"{address if is_it else usual}#{anchor}"


def init_app(app: Flask) -> None:
    """Have every address of the thing whose page is open carry its list on: what is done with it
    leads back to the place where it was found."""
    app.url_defaults(_carry_on)


def _carry_on(endpoint: str, values: dict[str, Any]) -> None:
    address = request.args.get(LIST) if has_request_context() else None
    if not address or len(address) > LONGEST or local_path(address) != address:
        return
    here = request.view_args or {}
    for name, family in THINGS.items():
        is_of_it = endpoint.startswith(family) and (request.endpoint or "").startswith(family)
        if is_of_it and name in here and values.get(name) == here[name]:
            values.setdefault(LIST, address)
