"""Code for the receiver's developer: takes a message, verifies its signature, drops repeats."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

from flask import render_template

from portal.engine.http.address_mask import MASK
from portal.web.deliveries.curl_command import YOURS

LANGUAGES: Final = (
    ("python", "Python", "receiver.py"),
    ("node", "Node", "receiver.mjs"),
    ("php", "PHP", "receiver.php"),
    ("csharp", "C#", "Program.cs"),
    ("java", "Java", "Receiver.java"),
    ("go", "Go", "receiver.go"),
    ("curl", "curl", "send-a-test.sh"),
)
# What no URL needs unescaped, and what could end a comment or a string in one of the languages.
HARMLESS: Final = "/:?&=%+,;@!()~-._[]"


@dataclass(frozen=True, slots=True)
class Snippet:
    """One file of code. `language` is a short word for ids."""

    language: str
    label: str
    filename: str
    code: str


def snippets(url: str) -> list[Snippet]:
    """The code in every language, for the webhook at `url`; it never contains a secret key.

    A part of the address that is masked is the developer's to fill in.
    """
    safe = quote(url.replace(MASK, YOURS), safe=HARMLESS)
    parts = urlsplit(safe)
    words = {"url": safe, "path": parts.path or "/"}
    return [
        Snippet(language, label, filename, _render(language, words))
        for language, label, filename in LANGUAGES
    ]


def _render(language: str, words: dict[str, str]) -> str:
    return render_template(f"webhooks/receivers/{language}.txt", **words).strip() + "\n"
