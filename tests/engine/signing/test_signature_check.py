"""The signature check: pasted signatures and bodies, and bounds on hostile input."""

import base64
import hmac
import json
from collections import Counter

import pytest

from portal.engine.signing import check
from portal.engine.signing.check import MOST_HASHED, Message, candidates, diagnose, other_bodies
from portal.engine.signing.pasted import PastedBody, read_signatures
from portal.engine.signing.signatures import legacy_signature, standard_signature

SECRET = "whsec_c2VjcmV0IGZvciB0aGUgdGVzdHMgb2YgdGhlIHB1bXA="
OTHER = "another key of theirs"
BODY = b'{"event":"asset.created","asset":{"name":"Caf\\u00e9"},"data":{"url":"a/b"}}'
ID, AT = "01a210c4-4621-7665-b390-a9236724168b", 1_760_000_000
RIGHT = legacy_signature(BODY, SECRET)
STANDARD = standard_signature(BODY, SECRET, message_id=ID, sent_at=AT)
MESSAGE = Message(BODY, ID, ((1, AT - 5), (2, AT)), SECRET)
LONE = b'{"event":"asset.created","name":"\\ud800"}'


def hexed(body: bytes, key: str = SECRET) -> str:
    return hmac.new(key.encode(), body, "sha256").hexdigest()


def test_text_around_a_signature_does_not_matter() -> None:
    for pasted in (
        RIGHT,
        f"  {RIGHT}\n",
        f'"X-Asset-Webhook-Signature:{RIGHT}"',
        f'"{RIGHT}"',
        f"'{RIGHT}'",
        f"X-Asset-Webhook-Signature: {RIGHT}",
        f'x-asset-webhook-signature : "{RIGHT}"',
        f"< X-Asset-Webhook-Signature: {RIGHT}",
        STANDARD,
        f"webhook-signature: v1,AAAA {STANDARD}",
    ):
        assert diagnose(pasted, MESSAGE).part == "nothing", pasted


def test_the_best_of_several_pasted_signatures_counts() -> None:
    pasted = f"{hexed(b'x')} {RIGHT.upper()} {RIGHT}"
    assert diagnose(pasted, MESSAGE).part == "nothing"


def test_at_most_eight_signatures_are_read() -> None:
    wrong = [hexed(b"%d" % number) for number in range(8)]
    assert diagnose(" ".join([*wrong[:7], RIGHT]), MESSAGE).part == "nothing"
    assert diagnose(" ".join([*wrong, RIGHT]), MESSAGE).part == "unknown"


def test_blanks_around_a_pasted_body_do_not_matter() -> None:
    for pasted in (BODY, BODY + b"\r\n", b"  " + BODY + b"\n"):
        assert diagnose(RIGHT, MESSAGE, pasted.decode()).part == "nothing", pasted


def test_line_breaks_of_a_pasted_body_can_be_lf_or_crlf() -> None:
    for line_break in ("\n", "\r\n"):
        for end in ("", "\n"):
            # Browsers send CR LF for each line break, and the form strips the end.
            theirs = (json.dumps(json.loads(BODY), indent=1) + end).replace("\n", line_break)
            pasted = theirs.strip().replace("\r\n", "\n").replace("\n", "\r\n")
            diagnosis = diagnose(hexed(theirs.encode()), MESSAGE, pasted)
            assert "over the body you pasted, which has the same content" in diagnosis.sentence, (
                end,
                line_break,
            )


def test_a_byte_order_mark_before_a_pasted_body_is_a_difference() -> None:
    diagnosis = diagnose(RIGHT, MESSAGE, f"\ufeff{BODY.decode()}")
    assert "different bytes. The first difference is at byte 1 (" in diagnosis.sentence


def test_a_cut_or_extended_pasted_body_differs_after_the_common_part() -> None:
    for theirs in (BODY[:-7], BODY + b"}"):
        shorter = min(len(theirs), len(BODY))
        diagnosis = diagnose(RIGHT, MESSAGE, theirs.decode())
        assert (
            f"difference is at byte {shorter + 1} (ours has {len(BODY)} bytes" in diagnosis.sentence
        ), theirs


def test_an_unknown_signature_is_identified_by_its_length() -> None:
    for how, name in (
        ("md5", "MD5"),
        ("sha1", "SHA-1"),
        ("sha384", "SHA-384"),
        ("sha512", "SHA-512"),
    ):
        theirs = hmac.new(b"a key of nobody", BODY, how).hexdigest()
        assert f"suggests {name}, but we use SHA-256." in diagnose(theirs, MESSAGE).sentence


def test_one_and_true_are_different_content() -> None:
    diagnosis = diagnose(
        legacy_signature(b'{"a":1}', SECRET), Message(b'{"a":1}', ID, (), SECRET), '{"a":true}'
    )
    assert "isn’t ours" in diagnosis.sentence


def test_a_mistake_and_a_different_body_are_both_reported() -> None:
    other = BODY.decode().replace("a/b", "c/d")
    diagnosis = diagnose(hexed(BODY, f"{SECRET}\n"), MESSAGE, other)
    assert diagnosis.part == "key"
    assert "The body you pasted also differs. It isn’t ours" in " ".join(diagnosis.steps)
    diagnosis = diagnose(hexed(other.encode(), f"{SECRET}\n"), MESSAGE, other)
    assert diagnosis.part == "several"
    assert "after the secret key, and computed over the body you pasted" in diagnosis.sentence
    assert "also differs" not in " ".join(diagnosis.steps)


def test_during_a_key_overlap_mistakes_with_either_key_are_known() -> None:
    message = Message(BODY, ID, ((1, AT),), OTHER, SECRET)
    assert (
        "our X-Asset-Webhook-Signature, but" in diagnose(hexed(BODY, f"{OTHER} "), message).sentence
    )
    diagnosis = diagnose(hexed(BODY, f"{SECRET} "), message)
    assert (
        "our X-Asset-Webhook-Signature-Next, but computed with a space after" in diagnosis.sentence
    )


def test_a_key_without_whsec_gets_the_same_diagnoses() -> None:
    for secret in (OTHER, "0123456789abcdef0123456789abcdef"):
        message = Message(BODY, ID, ((1, AT),), secret)
        signed = f"{ID}.{AT}.".encode() + BODY
        in_hex = hexed(signed, secret)
        assert (
            "webhook-signature of attempt 1, but written in hex"
            in diagnose(in_hex, message).sentence
        ), secret
        alone = "v1," + base64.b64encode(bytes.fromhex(hexed(BODY, secret))).decode()
        assert "computed over the body only" in diagnose(alone, message).sentence, secret
        assert "in base64 instead of hex" in diagnose(alone[3:], message).sentence, secret


def test_only_stored_signatures_identify_earlier_keys() -> None:
    earlier = legacy_signature(BODY, OTHER)
    sent = Message(BODY, ID, sent=((1, earlier),))
    assert "sent this with attempt 1" in diagnose(earlier, sent).sentence
    others = Message(BODY, ID, secret=SECRET, others=(("another id", earlier),))
    assert "another delivery (another id)" in diagnose(earlier, others).sentence
    assert diagnose(hexed(b"x"), others).part == "unknown"
    assert diagnose(hexed(b"x"), sent).part == "unknown"
    assert diagnose(earlier, MESSAGE).part == "unknown"


def test_without_a_key_there_is_nothing_to_compare() -> None:
    assert diagnose(RIGHT, Message(BODY, ID)).part == "no_key"


def test_hex_of_another_length_is_no_signature_in_any_encoding() -> None:
    for hex_text in (hexed(b"x")[:4], hexed(b"x")[:30]):
        assert read_signatures(hex_text) == [], hex_text
        assert read_signatures(base64.b64encode(hex_text.encode()).decode()) == [], hex_text
        (whole,) = read_signatures(base64.b64encode(hexed(b"x").encode()).decode())
        assert (whole.digest.hex(), whole.writing) == (hexed(b"x"), "base64 of its hex text"), (
            hex_text
        )


def test_any_pasted_body_gets_a_diagnosis() -> None:
    for body in (b"no JSON", b"\xff\xfe", b"[1]", b"[" * 100_000, LONE, b""):
        message = Message(body, ID, ((1, AT),), SECRET)
        for pasted in ("", "{", "[" * 100_000, "1" * 10_000, '"\\ud800"', "\ud800"):
            assert diagnose(hexed(b"x"), message, pasted).part == "unknown"
        assert diagnose(hexed(body), message).part == "nothing", body


def test_hostile_text_is_no_signature_and_is_not_echoed() -> None:
    hostile = (
        "\0",
        "é" * 64,
        "=" * 64,
        "v1," * 300,
        "0x" * 40,
        "<script>alert(1)</script>",
        "٣" * 64,
    )
    for pasted in hostile:
        diagnosis = diagnose(pasted, MESSAGE)
        assert diagnosis.part == "unknown"
        assert pasted not in f"{diagnosis.sentence} {' '.join(diagnosis.steps)}"


def test_the_hashing_work_is_bounded() -> None:
    body = json.dumps({"name": "x" * 60_000}, separators=(",", ":")).encode()
    message = Message(body, ID, tuple((n, AT + n) for n in range(30)), OTHER, SECRET)
    bodies = other_bodies(body, PastedBody.of("é\n" * 100_000, body))
    limit = MOST_HASHED // len(body)
    for count in (0, 1, 2):
        made = candidates(message, bodies, count)
        counts = Counter((candidate.age, candidate.header) for candidate in made)
        # Candidates much shorter than the body (empty, or a part of it) cost next to nothing.
        assert max(counts.values()) <= limit + 500


def test_each_signature_has_a_minimum_cost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(check, "MOST_HASHED", 3 * check.COST)
    counts = Counter((candidate.age, candidate.header) for candidate in candidates(MESSAGE, {}, 1))
    assert 0 < max(counts.values()) < 3


def test_candidates_have_exactly_the_given_number_of_mistakes() -> None:
    for count in (0, 1, 2):
        bodies = other_bodies(BODY, PastedBody(is_ours=False))
        assert {len(each.mistakes) for each in candidates(MESSAGE, bodies, count)} == {count}, count


def test_a_body_that_is_no_json_never_has_the_same_content() -> None:
    for pasted in ("no JSON", '{"event":', "[" * 100_000, ""):
        assert not PastedBody.of(pasted, BODY).says_the_same, pasted
        assert not PastedBody.of(BODY.decode(), pasted.encode()).says_the_same, pasted


def test_the_repr_of_a_message_shows_no_keys_or_signatures() -> None:
    message = Message(BODY, ID, (), "key 1", "key 2", ((1, "sign 3"),), (("id", "sign 4"),))
    assert not any(word in repr(message) for word in ("key 1", "key 2", "sign 3", "sign 4"))
