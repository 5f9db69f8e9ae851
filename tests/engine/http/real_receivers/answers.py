"""Answers that Hypothesis makes up: well-formed ones, whose meaning is known, and any others."""

from collections.abc import Sequence
from typing import NamedTuple

from hypothesis import strategies as st

from tests.engine.http.real_receivers.hostile import Visit

NO_BODY = frozenset({204, 304})
FRAMING = frozenset({"content-length", "transfer-encoding", "connection", "upgrade", "trailer"})
TOKEN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
PAUSE = 0.001  # seconds, so that pieces arrive as pieces


class Said(NamedTuple):
    """What a receiver says: these pieces one after the other, then one of them for ever, then this
    end: `close`, `reset` or `hang`."""

    pieces: Sequence[bytes]
    endless: bytes = b""
    end: str = "close"

    def play(self, visit: Visit) -> None:
        """Read the request, and say it."""
        visit.read_request()
        visit.drip(self.pieces, PAUSE)
        while self.endless:
            visit.send(self.endless)
        if self.end == "hang":
            visit.hang()
        elif self.end == "reset":
            visit.reset()


class WellFormed(NamedTuple):
    """An answer as HTTP/1.1 has it. `framing`: how the receiver tells where the body ends;
    `hints`: codes of informational answers before it."""

    code: int
    phrase: str
    headers: Sequence[tuple[str, str]]
    body: bytes
    framing: str
    chunk: int
    hints: Sequence[int]

    @property
    def framed(self) -> list[tuple[str, str]]:
        """All its headers, as they go over the wire."""
        if self.code in NO_BODY:
            return list(self.headers)
        if self.framing == "length":
            return [*self.headers, ("Content-Length", str(len(self.body)))]
        if self.framing == "chunks":
            return [*self.headers, ("Transfer-Encoding", "chunked")]
        return [*self.headers, ("Connection", "close")]

    def wire(self) -> bytes:
        """Its bytes."""
        hints = "".join(f"HTTP/1.1 {code} Wait\r\nLink: </a>\r\n\r\n" for code in self.hints)
        lines = "".join(f"{name}: {value}\r\n" for name, value in self.framed)
        head = f"{hints}HTTP/1.1 {self.code} {self.phrase}\r\n{lines}\r\n".encode("latin-1")
        if self.code in NO_BODY:
            return head
        return head + (self._chunks() if self.framing == "chunks" else self.body)

    def _chunks(self) -> bytes:
        parts = [self.body[at : at + self.chunk] for at in range(0, len(self.body), self.chunk)]
        frames = [b"%X;a=b\r\n%s\r\n" % (len(part), part) for part in parts]
        return b"".join(frames) + b"0\r\nX-After: all\r\n\r\n"


def bodies(longest: int) -> st.SearchStrategy[bytes]:
    """Short ones, and long ones that repeat themselves."""
    again = st.builds(
        lambda piece, size: (piece * (size // len(piece) + 1))[:size],
        st.binary(min_size=1, max_size=9),
        st.integers(0, longest),
    )
    return st.one_of(st.binary(max_size=200), again)


def _is_free(header: tuple[str, str]) -> bool:
    return header[0].lower() not in FRAMING


NAMES = st.text(TOKEN + "-", min_size=1, max_size=120).filter(lambda name: name[0] != "-")
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"))
HEADERS = st.tuples(NAMES, VALUES).filter(_is_free)
WELL_FORMED = st.builds(
    WellFormed,
    code=st.one_of(st.integers(200, 599), st.sampled_from([200, 204, 302, 304, 410, 503])),
    phrase=st.text(TOKEN + " ", min_size=1, max_size=120).map(str.strip).filter(bool),
    headers=st.lists(HEADERS, max_size=12),
    body=bodies(90_000),
    framing=st.sampled_from(["length", "chunks", "end"]),
    chunk=st.integers(1, 30_000),
    hints=st.lists(st.sampled_from([100, 102, 103]), max_size=2),
)


@st.composite
def cut_up(draw: st.DrawFn, wire: bytes) -> list[bytes]:
    """The same bytes in up to six pieces."""
    points = sorted(draw(st.sets(st.integers(0, len(wire)), max_size=5)))
    return [wire[at:to] for at, to in zip([0, *points], [*points, len(wire)], strict=True)]


# What any other answer is put together from; what a receiver sends back of the request comes in.
_CODES = st.one_of(st.integers(0, 1100), st.sampled_from([100, 101, 199, 200, 204, 304, 401, 407]))
_VERSIONS = ["HTTP/1.1", "HTTP/1.0", "HTTP/2", "HTTP/3", "HTTP/1.9", "HTTP/0.9", "http/1.1", "ICY"]
_ENDS = st.sampled_from([b"\r\n"] * 6 + [b"\n", b"\r", b"\0\r\n", b""])
_KNOWN = """
Content-Length: 5|Content-Length: 0|Content-Length: -1|Content-Length: 5, 5|Content-Length: x
Content-Length: 99999999999999999999|Transfer-Encoding: chunked|Transfer-Encoding: gzip, chunked
Transfer-Encoding: chunked, chunked|Transfer-Encoding: identity|Transfer-Encoding: odd|:| folded
Upgrade: h2c|Connection: close|Connection: upgrade|Content-Encoding: gzip|no colon|Location:
Content-Encoding: br, zstd|Location: http://127.0.0.1:9/|Retry-After: 99999999999|Refresh: 0
Set-Cookie: a=b|Content-Type: text/plain; charset=utf-16|Content-Type: a/b; charset=latin1
Trailer: X|WWW-Authenticate: Negotiate|Proxy-Authenticate: NTLM|Alt-Svc: h3=":443"
Strict-Transport-Security: max-age=9|Keep-Alive: timeout=0|Last-Modified: yesterday
Content-Range: bytes 0-0/1|Accept-Ranges: bytes|Expect: 100-continue
"""
_LINES = [line.encode() for line in _KNOWN.strip().replace("\n", "|").split("|")]
_FRAMES = [
    b"0\r\n\r\n", b"5\r\nhello\r\n", b"5\r\nhello", b"FFFFFFFFFFFFFFFFF\r\n", b"-1\r\n", b"z\r\n",
    b"5;ext=1\r\nhello\r\n0\r\nTrailer: x\r\n\r\n", b"\r\n", b"\n\n", b"\0", b"\x1f\x8b\x08",
    b"\x16\x03\x01",
]  # fmt: skip


def others(echoed: Sequence[bytes]) -> st.SearchStrategy[Said]:
    """Whatever may come over a socket. `echoed`: words of the request that come in now and then."""
    beginnings = [each[:4] for each in echoed]
    any_word = st.binary(max_size=40).filter(lambda word: not any(b in word for b in beginnings))
    word = st.one_of(any_word, st.sampled_from([b"", *echoed]))
    status = st.builds(
        lambda version, code, phrase, end: b"%s %d %s%s" % (version.encode(), code, phrase, end),
        st.sampled_from(_VERSIONS[:1] * 9 + _VERSIONS),
        _CODES,
        word,
        _ENDS,
    )
    named = st.builds(
        lambda before, name, value, times: b"%s%s: %s" % (before, name, value * times),
        st.sampled_from([b"X-", b"", b"Transfer-Encoding: odd "]),
        word,
        word,
        st.sampled_from([1, 1, 1, 60, 2500]),
    )
    line = st.builds(
        lambda text, end, times: (text + end) * times,
        st.one_of(st.sampled_from(_LINES), named),
        _ENDS,
        st.sampled_from([1] * 9 + [120, 1100]),
    )
    body = st.builds(
        lambda filler, text: filler + text,
        st.one_of(bodies(70_000), st.sampled_from([16_370, 65_525]).map(lambda n: b"x" * n)),
        word,
    )
    frame = st.one_of(st.sampled_from(_FRAMES), body)
    hints = st.sampled_from(
        [b"", b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 \r\nA: b\r\n\r\n"]
    )
    answer = st.builds(
        lambda *parts: b"".join((parts[0], parts[1], *parts[2], b"\r\n", *parts[3])),
        hints,
        status,
        st.lists(line, max_size=5),
        st.lists(frame, max_size=3),
    )
    garbage = st.lists(st.one_of(status, line, frame, word, hints), max_size=8).map(b"".join)
    whole = st.one_of(answer, answer, answer, garbage)
    endless = st.sampled_from(
        [b""] * 9
        + [
            b"x" * 999,
            b"400\r\n" + b"x" * 1024 + b"\r\n",
            b"X: y\r\n",
            b"HTTP/1.1 100 C\r\n\r\n",
            b"\0",
        ]
    )
    ends = st.sampled_from(["close"] * 9 + ["reset"] * 2 + ["hang"])
    # A receiver that goes on after a broken word has itself told a part of it.
    return st.one_of(
        st.builds(Said, whole.flatmap(cut_up), endless, ends),
        st.builds(Said, whole.flatmap(_broken_off), st.just(b""), ends),
    )


def _broken_off(wire: bytes) -> st.SearchStrategy[list[bytes]]:
    """In pieces, broken off somewhere."""
    until = st.integers(0, len(wire))
    return until.flatmap(lambda end: cut_up(wire[:end]))
