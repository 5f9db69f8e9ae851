"""A person at a browser, seen from the network, with real pages, cookies, and timeouts."""

from dataclasses import dataclass
from urllib.parse import urljoin

import requests

from tests.faults.support.running_portal import RunningPortal
from tests.support.factories import Person, make_user
from tests.support.html import parse
from tests.support.pages import Form
from tests.support.processes import until

PATIENCE = 25.0  # longer than the pages wait for a locked database
NEW_ASSET = "/assets/new"


@dataclass(frozen=True, slots=True)
class Draft:
    """A filled-in form. Sending it again is the same submission."""

    name: str
    fields: dict[str, list[str]]


class Visitor:
    """A signed-in person who adds assets."""

    def __init__(self, portal: RunningPortal, person: Person | None = None) -> None:
        self._portal = portal
        self._web = requests.Session()
        self._web.trust_env = False
        account = person or make_user()
        signed_in = self._send("/sign-in", email=account.email, password=account.password)
        assert signed_in.status_code == 302, signed_in.text

    def draft(self, name: str) -> Draft:
        """Open the form for a new asset and type its name."""
        return Draft(name, self._form(NEW_ASSET).fields | {"name": [name]})

    def send(self, draft: Draft) -> requests.Response:
        """Press Save. Raise `requests.RequestException` if the portal hangs up."""
        return self._post(NEW_ASSET, draft.fields)

    def insist(self, draft: Draft) -> bool:
        """Press Save until it succeeds. Return whether it did in time."""
        return until(lambda: self.is_saved(draft), 20)

    def is_saved(self, draft: Draft) -> bool:
        """Press Save. Return whether it succeeded."""
        try:
            return self.send(draft).status_code == 302
        except requests.RequestException:
            return False

    def read(self, path: str) -> str:
        return self._web.get(self._portal.url + path, timeout=PATIENCE).text

    def close(self) -> None:
        self._web.close()

    def _send(self, path: str, **typed: str) -> requests.Response:
        fields = self._form(path).fields | {name: [value] for name, value in typed.items()}
        return self._post(path, fields)

    def _form(self, path: str) -> Form:
        page = self._web.get(self._portal.url + path, timeout=PATIENCE)
        assert page.status_code == 200, page.text
        for node in parse(page.text)[0].find_all("form"):
            action = urljoin(path, node.get("action"))
            if node.get("method") == "post" and action == path:
                return Form(node, action, "post")
        raise LookupError(f"{path} has no form that goes there")

    def _post(self, path: str, fields: dict[str, list[str]]) -> requests.Response:
        return self._web.post(
            self._portal.url + path, data=fields, timeout=PATIENCE, allow_redirects=False
        )
