"""A table of receivers' signature mistakes, each reproduced by hand and told apart."""

import base64
import hashlib
import hmac
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from portal.config.settings import ROOT
from portal.engine.signing.check import Diagnosis, Message, diagnose
from tests.support.golden.expected_file import Golden

DIAGNOSES = Path(__file__).parent / "golden" / "diagnoses.txt"
# With an accented letter, a slash, HTML characters, and a false escape sequence.
BODY = (
    rb'{"event":"asset.created","timestamp":"2025-10-09T08:53:20+00:00","asset_id":7,'
    rb'"asset":{"name":"Caf\u00e9","url":"a/<b>","note":"\"x\" E:\\u00e9\\"},"data":{}}'
)
ID, OTHER_ID = "01a210c4-4621-7665-b390-a9236724168b", "01a210c4-4621-7665-b390-0000000000aa"
FIRST, SECOND = 1_760_000_005, 1_760_000_065
BYTES = b"thirty-three bytes of a test key."
WHSEC = "whsec_" + base64.b64encode(BYTES).decode()
OWN = "b3VyIG93biBrZXk0"  # also valid base64, as libraries would read it
HEX_KEY = "0123456789abcdef0123456789abcdef"
EARLIER, GONE = "the key before this one", "a key that nobody stored"
CONTENT = json.loads(BODY)
EVENT = 1_760_000_000


def mac(content: bytes, key: bytes | str, how: str = "sha256") -> bytes:
    return hmac.new(key if isinstance(key, bytes) else key.encode(), content, how).digest()


def hashed(content: bytes, how: str = "sha256") -> str:
    return hashlib.new(how, content, usedforsecurity=False).hexdigest()


def house(key: bytes | str = WHSEC, content: bytes = BODY, how: str = "sha256") -> str:
    """Sign as for X-Asset-Webhook-Signature."""
    return mac(content, key, how).hex()


def in_base64(content: bytes, key: bytes | str = BYTES, how: str = "sha256") -> str:
    return "v1," + base64.b64encode(mac(content, key, how)).decode()


def standard(
    key: bytes | str = BYTES, content: bytes = BODY, at: object = SECOND, how: str = "sha256"
) -> str:
    """Sign as for webhook-signature."""
    return in_base64(f"{ID}.{at}.".encode() + content, key, how)


def before(text: str) -> bytes:
    return text.encode() + BODY


def written(content: object = CONTENT, **how: Any) -> bytes:
    return json.dumps(content, **how).encode()


RIGHT, STANDARD = house(), standard()
SORTED = written(sort_keys=True, separators=(",", ":"))
PRETTY = written(indent=2, ensure_ascii=False)
SPACED = written()
LETTERS = written(separators=(",", ":"), ensure_ascii=False)
PHP = BODY.replace(b"/", b"\\/")
OTHER_BODY = BODY.replace(b":7,", b":8,")
GO = LETTERS.replace(b"<", rb"\u003c").replace(b">", rb"\u003e")
DOT_NET = (
    BODY.replace(rb"f\u00e9", rb"f\u00E9")
    .replace(b"<b>", rb"\u003Cb\u003E")
    .replace(rb"\"x\" ", rb"\u0022x\u0022 ")
    .replace(b"+", rb"\u002B")
)
REWRITTEN = BODY.replace(b'":', b'" :')


@dataclass(frozen=True)
class Case:
    """A pasted signature, and words that appear only in its own diagnosis."""

    pasted: str
    says: str
    secret: str = WHSEC
    received: bytes = b""
    more: dict[str, Any] = field(default_factory=dict)

    def found(self) -> Diagnosis:
        made = {"stamps": ((1, FIRST), (2, SECOND)), "secret": self.secret, **self.more}
        return diagnose(self.pasted, Message(BODY, ID, **made), self.received.decode())


# Wrong text used as the key.
MARKS = {
    "a line break after": f"{WHSEC}\n",
    "a line break before": f"\n{WHSEC}",
    "a Windows line break (CR LF) after": f"{WHSEC}\r\n",
    "a space after": f"{WHSEC} ",
    "a space before": f" {WHSEC}",
    "a space on either side of": f" {WHSEC} ",
    "a byte order mark (BOM) before": f"\ufeff{WHSEC}",
    "a byte order mark (BOM) after": f"{WHSEC}\ufeff",
    "a double quotation mark on either side of": f'"{WHSEC}"',
    "a double quotation mark before": f'"{WHSEC}',
    "a double quotation mark after": f'{WHSEC}"',
    "a single quotation mark on either side of": f"'{WHSEC}'",
    "a single quotation mark before": f"'{WHSEC}",
    "a single quotation mark after": f"{WHSEC}'",
}
LEGACY_HEADER, STANDARD_HEADER = "X-Asset-Webhook-Signature", "webhook-signature of attempt 2"
HOUSE = {
    "right": Case(RIGHT, f"This is exactly our {LEGACY_HEADER}."),
    "sha1": Case(house(how="sha1"), "HMAC-SHA1 instead of"),
    "sha384": Case(house(how="sha384"), "HMAC-SHA384 instead of"),
    "sha512": Case(house(how="sha512"), "HMAC-SHA512 instead of"),
    "md5": Case(house(how="md5"), "HMAC-MD5 instead of"),
    "md5 without key": Case(hashed(BODY, "md5"), "plain MD5, without"),
    "sha1 without key": Case(hashed(BODY, "sha1"), "plain SHA-1, without"),
    "sha256 without key": Case(hashed(BODY), "plain SHA-256, without"),
    "key before body": Case(hashed(WHSEC.encode() + BODY), "of secret key and body."),
    "key behind body": Case(hashed(BODY + WHSEC.encode()), "of body and secret key."),
    "base64": Case(base64.b64encode(mac(BODY, WHSEC)).decode(), "in base64 instead of hex"),
    "base64url": Case(
        base64.urlsafe_b64encode(mac(BODY, WHSEC)).decode(), "in base64url instead of hex"
    ),
    "base64 of hex": Case(base64.b64encode(RIGHT.encode()).decode(), "in base64 of its hex text"),
    "uppercase hex": Case(RIGHT.upper(), "uppercase hex instead of lowercase"),
    "re-serialised": Case(house(content=SPACED), "(spaces after commas and colons)"),
    "letters": Case(house(content=LETTERS), "(letters such as é not escaped)"),
    "slashes": Case(house(content=PHP), "(slashes written as \\/)"),
    "escapes of Go": Case(house(content=GO), "<, > and & escaped)"),
    "escapes of .NET": Case(house(content=DOT_NET), "(characters escaped as .NET does)"),
    "sorted keys": Case(house(content=SORTED), "(sorted keys)"),
    "pretty-printed": Case(
        house(content=PRETTY), "(pretty-printed, letters such as é not escaped)"
    ),
    "indented by tab": Case(house(content=written(indent="\t")), "(pretty-printed)"),
    "line break after body": Case(house(content=BODY + b"\n"), "body with a line break after it"),
    "bom before body": Case(house(content=b"\xef\xbb\xbf" + BODY), "(BOM) before it"),
    "empty body": Case(house(content=b""), "over nothing instead of the body"),
    "windows line break after body": Case(house(content=BODY + b"\r\n"), "(CR LF) after it"),
    "no body but its type": Case(house(content=b"[object Object]"), "“[object Object]” instead"),
    "body in quotation marks": Case(house(content=written(BODY.decode())), "inside quotation"),
    "with id and time": Case(house(content=before(f"{ID}.{SECOND}.")), "ID, timestamp, and body"),
    "with time": Case(house(content=before(f"{FIRST}.")), "over timestamp and body instead"),
    **{words: Case(house(key), f"{words} the secret key.") for words, key in MARKS.items()},
    "whsec_ taken off": Case(house(WHSEC[6:]), "the secret key without its whsec_."),
    "decoded": Case(house(BYTES), "the secret key decoded from base64 instead of as text."),
    "own decoded": Case(house(base64.b64decode(OWN), BODY), "decoded from base64 as if", OWN),
    "own from hex": Case(house(bytes.fromhex(HEX_KEY)), "decoded from hex", HEX_KEY),
    "empty key": Case(house(""), "an empty secret key"),
    "prefix": Case(f"sha256={RIGHT}", "with “sha256=” before it."),
    "v1 before hex": Case(f"v1,{RIGHT}", "with “v1,” before it."),
    "two at once": Case(
        house(f"{WHSEC}\n", SORTED).upper(),
        "computed with a line break after the secret key, computed over the re-serialized body "
        "(sorted keys), and written in uppercase hex",
    ),
}
WORDS_AS_TEXT = "the secret key as text, whsec_ included, instead of decoded"
STANDARDS = {
    "right": Case(STANDARD, f"This is exactly our {STANDARD_HEADER}."),
    "among several": Case(f"v1,{STANDARD[4:]}A= {STANDARD}", STANDARD_HEADER),
    "sha1": Case(standard(how="sha1"), f"{STANDARD_HEADER}, but computed with HMAC-SHA1"),
    "sha512": Case(standard(how="sha512"), f"{STANDARD_HEADER}, but computed with HMAC-SHA512"),
    "md5": Case(standard(how="md5"), f"{STANDARD_HEADER}, but computed with HMAC-MD5"),
    "hex": Case(base64.b64decode(STANDARD[3:]).hex(), "in hex instead of base64"),
    "uppercase hex": Case(
        base64.b64decode(STANDARD[3:]).hex().upper(), "uppercase hex instead of base64"
    ),
    "base64url": Case(
        STANDARD.replace("+", "-").replace("/", "_"), "in base64url instead of base64"
    ),
    "prefix missing": Case(STANDARD[3:], "without “v1,” before it."),
    "other prefix": Case(f"sha256={STANDARD[3:]}", "with “sha256=” before it instead of “v1,”"),
    "kept": Case(standard(WHSEC), WORDS_AS_TEXT),
    "taken off": Case(standard(WHSEC[6:]), "without its whsec_, as text"),
    "kept, line break": Case(standard(f"{WHSEC}\n"), "as text and with a line break after it"),
    "own with space": Case(
        standard(f" {HEX_KEY}"), f"{STANDARD_HEADER}, but computed with a space before the", HEX_KEY
    ),
    "own with BOM": Case(
        standard(f"\ufeff{HEX_KEY}"),
        f"{STANDARD_HEADER}, but computed with a byte order mark (BOM) before the",
        HEX_KEY,
    ),
    "own decoded": Case(
        standard(base64.b64decode(OWN)),
        f"{STANDARD_HEADER}, but computed with the secret key de",
        OWN,
    ),
    "re-serialised": Case(
        standard(content=SPACED),
        f"{STANDARD_HEADER}, but computed over the re-serialized body (spaces",
    ),
    "sorted keys": Case(
        standard(content=SORTED),
        f"{STANDARD_HEADER}, but computed over the re-serialized body (sorted keys)",
    ),
    "pretty-printed": Case(
        standard(content=PRETTY),
        f"{STANDARD_HEADER}, but computed over the re-serialized body (pretty-printed",
    ),
    "body alone": Case(in_base64(BODY), "the body only, without ID and"),
    "without id": Case(in_base64(before(f"{SECOND}.")), "computed without the ID"),
    "without time": Case(in_base64(before(f"{ID}.")), "computed without the timestamp"),
    "time before id": Case(in_base64(before(f"{SECOND}.{ID}.")), "the timestamp before the ID"),
    "without dots": Case(in_base64(before(f"{ID}{SECOND}")), "without the dots between"),
    "empty key": Case(in_base64(before(f"{ID}.{SECOND}."), b""), "an empty secret key"),
    "another attempt": Case(standard(at=FIRST), "our webhook-signature of attempt 1. Attempt 2"),
    "milliseconds": Case(standard(at=SECOND * 1000), "the timestamp in milliseconds"),
    "time of the event": Case(standard(at=EVENT), "the event’s time"),
    "time as text": Case(standard(at=CONTENT["timestamp"]), "X-Asset-Webhook-Timestamp instead"),
    "kept and without prefix": Case(
        standard(WHSEC)[3:], f"{WORDS_AS_TEXT} from base64, and without “v1,” before it"
    ),
}
OVERLAP = {"secret": EARLIER, "next_secret": WHSEC}
SENT = {"sent": ((1, house(GONE)), (1, standard(GONE)))}
OTHERS = {"others": ((OTHER_ID, house(content=OTHER_BODY)), (OTHER_ID, standard(at=5)))}
STORED = {
    "earlier key, overlapping": Case(house(EARLIER), "with the earlier secret key", more=OVERLAP),
    "earlier key, standard": Case(
        standard(EARLIER), "of attempt 2, computed with the earlier secret key", more=OVERLAP
    ),
    "new key, overlapping": Case(house(WHSEC), "Signature-Next", more=OVERLAP),
    "new key, standard": Case(
        STANDARD, "of attempt 2, computed with the new secret key", more=OVERLAP
    ),
    "earlier key, replaced": Case(house(GONE), "We sent this with attempt 1", more=SENT),
    "other delivery": Case(
        house(content=OTHER_BODY), f"belongs to another delivery ({OTHER_ID})", more=OTHERS
    ),
}
PASTED = {
    "right, other body": Case(
        RIGHT, f"our {LEGACY_HEADER}, but the body you pasted isn’t", received=OTHER_BODY
    ),
    "right, body rewritten": Case(
        RIGHT, f"our {LEGACY_HEADER}, but the body you pasted has the same", received=REWRITTEN
    ),
    "standard, other body": Case(
        STANDARD, f"This is exactly our {STANDARD_HEADER}, but the body", received=OTHER_BODY
    ),
    "computed over other body": Case(
        house(content=OTHER_BODY),
        "computed over the body you pasted, which isn’t",
        received=OTHER_BODY,
    ),
    "computed over rewritten": Case(
        house(content=REWRITTEN),
        "computed over the body you pasted, which has the same",
        received=REWRITTEN,
    ),
    "standard over other body": Case(
        standard(content=OTHER_BODY),
        f"{STANDARD_HEADER}, but computed over the body you pasted",
        received=OTHER_BODY,
    ),
    "unknown key": Case(house(GONE), "the receiver uses a different", received=BODY),
    "unknown, other body": Case(
        house(GONE),
        "The body you pasted isn’t ours. The first difference is at byte 77",
        received=OTHER_BODY,
    ),
}
UNKNOWN = {
    "unknown": Case(house(GONE), "doesn’t match ours or any common mistake"),
    "unknown sha1": Case(house(GONE, how="sha1"), "suggests SHA-1, but we use SHA-256"),
    "nonsense": Case("an utter nonsense", "It has 17 characters and isn’t"),
    "too little of it": Case(RIGHT[:15], "It has 15 characters and isn’t"),
}
TABLE = {
    f"{name}: {each}": case
    for name, cases in {
        "hex": HOUSE,
        "standard": STANDARDS,
        "stored": STORED,
        "body": PASTED,
        "unknown": UNKNOWN,
    }.items()
    for each, case in cases.items()
}


@pytest.fixture(scope="module")
def found() -> dict[str, Diagnosis]:
    """Return the diagnosis of each case."""
    return {name: case.found() for name, case in TABLE.items()}


def test_each_mistake_is_named_with_steps(
    found: dict[str, Diagnosis],
) -> None:
    for name, diagnosis in found.items():
        assert TABLE[name].says in diagnosis.sentence, name
        assert diagnosis.sentence.endswith("."), name
        assert diagnosis.steps, name
        assert all(step.endswith(".") for step in diagnosis.steps), name


def test_each_diagnosis_matches_the_golden_file(
    found: dict[str, Diagnosis], golden: Golden
) -> None:
    lines = []
    for name, diagnosis in found.items():
        about = ", ".join(filter(None, (diagnosis.part, diagnosis.verdict, diagnosis.delivery)))
        lines += [
            f"# {name}: {about}",
            diagnosis.sentence,
            *(f"- {step}" for step in diagnosis.steps),
            "",
        ]
    golden.text(DIAGNOSES, "\n".join(lines))


def test_a_verdict_is_given_only_where_it_is_certain(
    found: dict[str, Diagnosis],
) -> None:
    by_verdict = {
        verdict: {name for name, diagnosis in found.items() if diagnosis.verdict == verdict}
        for verdict in ("Our signature is correct. At the receiver,", "The signature fits, but", "")
    }
    right, fits, neither = by_verdict.values()
    assert right | fits | neither == set(TABLE)
    assert {f"unknown: {name}" for name in UNKNOWN} | {"hex: right", "standard: right"} < neither
    assert {"stored: other delivery", "stored: earlier key, replaced"} < neither
    assert {"body: unknown key", "body: unknown, other body"} < neither
    assert {"hex: sha1", "hex: decoded", "hex: re-serialised", "standard: kept"} < right
    assert {"body: computed over other body", "hex: two at once"} < right
    assert {"hex: uppercase hex", "hex: prefix", "standard: hex"} < fits
    assert {"body: right, other body", "standard: another attempt"} < fits


def test_no_two_mistakes_read_the_same(found: dict[str, Diagnosis]) -> None:
    alike: dict[str, list[str]] = {}
    for name, diagnosis in found.items():
        alike.setdefault(diagnosis.sentence, []).append(name)
    assert [names for names in alike.values() if len(names) > 1] == [
        ["standard: right", "standard: among several"]
    ]


def test_no_diagnosis_shows_a_secret(found: dict[str, Diagnosis]) -> None:
    keys = {WHSEC, WHSEC[6:], OWN, HEX_KEY, EARLIER, GONE}
    signatures = {house(key) for key in keys} | {standard(key)[3:] for key in keys}
    for name, diagnosis in found.items():
        secrets = {*keys, *signatures, RIGHT, STANDARD[3:], TABLE[name].pasted}
        assert [secret for secret in secrets if secret in repr(diagnosis)] == [], name


def test_signing_the_time_of_the_event_is_a_known_mistake() -> None:
    for time in (EVENT, CONTENT["timestamp"]):
        case = Case(
            house(content=before(f"{time}.")), "over timestamp and body instead of the body"
        )
        assert case.says in case.found().sentence, time


def test_the_page_has_a_title_for_each_part(found: dict[str, Diagnosis]) -> None:
    template = (ROOT / "templates" / "deliveries" / "signature.html").read_text()
    titles = set(re.findall(r'"(\w+)": "[A-Z]', template))
    without_key = diagnose(RIGHT, Message(BODY, ID))
    assert titles == {diagnosis.part for diagnosis in (*found.values(), without_key)}


def test_an_unknown_signature_gets_no_claim(found: dict[str, Diagnosis]) -> None:
    for name in UNKNOWN:
        assert found[f"unknown: {name}"].sentence.startswith("We couldn’t identify this signature")
