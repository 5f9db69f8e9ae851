"""The list from which one came to a thing: `?list=` carries its address, filters and all."""

from typing import Final
from urllib.parse import urlsplit

from flask import request, url_for

from portal.web.frame.access import local_path

LIST: Final = "list"
LONGEST: Final = 500  # characters; a longer address, such as of a pasted log, is not carried


def list_here() -> str | None:
    """The address of this list, for links to what stands in it; None where it asks for nothing."""
    address = request.script_root + request.full_path
    return address if request.query_string and len(address) <= LONGEST else None


def list_carried() -> str | None:
    """What further addresses of a thing carry on."""
    return request.args.get(LIST) or None


def list_back(endpoint: str, anchor: str) -> str:
    """The way back to the list of this endpoint, as it was, at the line `anchor`."""
    usual, address = url_for(endpoint), local_path(request.args.get(LIST))
    parts = urlsplit(address)
    is_it = parts.path == usual and not parts.fragment
    return f"{address if is_it else usual}#{anchor}"
