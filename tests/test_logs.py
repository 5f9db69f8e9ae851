"""Log lines: one JSON object each, without secrets."""

import json
import logging
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.supervisor import JsonOutput, Output, output
from portal.config.settings import load_settings
from portal.lib import request_id
from portal.lib.redaction import Redactor
from portal.logs import JsonFormatter, LineFormatter, config, secrets_of
from tests.conftest import ENVIRONMENT


def record(message: str, *args: object, **extra: object) -> logging.LogRecord:
    made = logging.makeLogRecord({"name": "portal.test", "levelname": "INFO", **extra})
    made.msg, made.args = message, args
    return made


def test_text_that_looks_like_a_secret_is_masked() -> None:
    for line, shown in (
        ("GET /setup?token=abc123 200", "GET /setup?token=[hidden] 200"),
        ("POST /inbox/9f3c-hook?x=1", "POST /inbox/[hidden]?x=1"),
        (
            "POST https://a.example/in?key=47&v=1 failed",
            "POST https://a.example/in?[hidden] failed",
        ),
        ("{'password': 'long one', 'name': 'Ana'}", "{'password': '[hidden] one', 'name': 'Ana'}"),
        ("secret=whsec_MfKQ9r8GKYqrTwjU", "secret=[hidden]"),
        ("signed with whsec_MfKQ9r8GKYqrTwjU.", "signed with [hidden]."),
        ("redis://:hush@cache:6379/0", "redis://:[hidden]@cache:6379/0"),
        ("postgresql://portal:hush@db/portal", "postgresql://portal:[hidden]@db/portal"),
        ("Authorization: Bearer abc.def", "Authorization: [hidden]"),
        ("it asked for a Bearer abc.def", "it asked for a Bearer [hidden]"),
        ("{'X-Api-Key': 'abc def', 'Via': 'x'}", "{'X-Api-Key': '[hidden]', 'Via': 'x'}"),
        ("webhook-signature: v1,aGVsbG8= v1,d29ybGQ=", "webhook-signature: [hidden]"),
        ("Set-Cookie: session=eyJ.a; Path=/", "Set-Cookie: [hidden]"),
        ("DETAIL:  Failing row contains (1, x, y).", "DETAIL:  Failing row contains [hidden]"),
        ("Waiting for deliveries: 3 of 10", "Waiting for deliveries: 3 of 10"),
    ):
        assert Redactor()(line) == shown, line


NAMED = ["token", "password", "secret", "signature", "csrf", "authorization", "api-key", "apikey"]
FILLER = ["x", " ", "\n", "-", "://", "http://a/", "token", "signature", "=", ":", "authorization"]
PARTS = st.text("abcxyz_", max_size=20)


@given(
    before=PARTS,
    named=st.sampled_from(NAMED),
    after=PARTS,
    between=st.sampled_from(["=", ": ", " = ", '": "', "'='", "\n=\n"]),
    secret=st.text("QWZ0189+/.", min_size=8, max_size=40),
    filler=st.sampled_from(FILLER),
    at=st.integers(0, 8_000),
)
def test_a_named_secret_is_masked_anywhere_in_a_long_line(
    before: str, named: str, after: str, between: str, secret: str, filler: str, at: int
) -> None:
    after = after if named in NAMED[:5] else ""
    filling = filler * (8_000 // len(filler))
    line = f"{filling[:at]} {before}{named}{after}{between}{secret} {filling[at:]}"
    assert secret not in Redactor()(line).replace(filling, "")


def test_a_line_is_cut_after_a_word() -> None:
    whole = "word " * 6_552
    assert Redactor()(whole) == whole
    assert Redactor()(whole + "y" * 9_000 + "@") == f"{whole}… (41,761 characters)"
    assert Redactor()("y" * 40_000) == "… (40,000 characters)"
    # Our own secret can contain a space, and can span the cut.
    secret = "ours is a secret"
    assert "ours" not in Redactor([secret])(f"{whole}{secret} {whole}")


def test_the_installations_own_secrets_are_masked_anywhere(tmp_path: Path) -> None:
    places = {
        "INSTANCE_DIR": str(tmp_path),
        "METRICS_TOKEN": "a.token.of.the.metrics",
        "SMTP_URL": "smtp://us:mail%2Fpass@host",
        "REDIS_URL": "redis://:cache%40pass@host:6379/0",
        "DATABASE_URL": "postgresql://db/portal?user=portal&password=base%2Fpass"
        "&application_name=register-one",
    }
    settings = load_settings({**ENVIRONMENT, **places})
    redact = Redactor(secrets_of(settings))
    key = settings.encryption_keys[0]
    assert redact(f"a{settings.secret_key}b {key}") == "a[hidden]b [hidden]"
    assert redact("with a.token.of.the.metrics") == "with [hidden]"
    assert redact("no entry for base/pass") == "no entry for [hidden]"
    assert redact("register-one of portal") == "register-one of portal"
    assert redact("mail%2Fpass, and decoded mail/pass") == "[hidden], and decoded [hidden]"
    assert redact("cache%40pass, and decoded cache@pass") == "[hidden], and decoded [hidden]"
    assert Redactor(["123456", "abcde"])("123456 and abcde") == "[hidden] and abcde"
    # If one secret is the prefix of another, the longer one is masked whole.
    nested = ["secret" + "-more" * times for times in range(9)]
    assert Redactor(nested)(nested[-1]) == "[hidden]"


def test_any_message_becomes_one_json_line() -> None:
    request_id.carry_on("")
    text = JsonFormatter("web").format(record('two\nlines "%s"', "ä\ud800"))
    assert "\n" not in text
    line = json.loads(text)
    assert line["message"] == 'two\nlines "ä\ud800"'
    assert (line["process"], line["level"], line["logger"]) == ("web", "info", "portal.test")
    assert line["at"].endswith("+00:00")
    assert "request_id" not in line


def test_extra_fields_and_the_request_id_are_in_the_line() -> None:
    made = request_id.begin()
    line = json.loads(JsonFormatter("web").format(record("x", took_ms=12, note="token=abc")))
    assert (line["took_ms"], line["note"]) == (12, "token=[hidden]")
    assert line["request_id"] == made
    request_id.carry_on("")


def test_fields_added_by_another_formatter_are_not_in_the_line() -> None:
    made = record("x", note="n")
    plain = json.loads(JsonFormatter("web").format(made))
    logging.Formatter("%(asctime)s %(message)s").format(made)
    assert {"message", "asctime"} <= vars(made).keys()
    made.message = made.message + " token=abc"
    assert json.loads(JsonFormatter("web").format(made)) == plain


def test_a_traceback_is_logged_without_secrets() -> None:
    try:
        raise ValueError("password=hunter2hunter2")
    except ValueError:
        made = record("It failed")
        made.exc_info = sys.exc_info()
    for formatter in (JsonFormatter("web"), LineFormatter()):
        text = formatter.format(made)
        assert "ValueError: password=[hidden]" in text
        assert "hunter2" not in text


@pytest.mark.parametrize(("trial", "form"), [("1", LineFormatter), ("0", JsonFormatter)])
def test_a_trial_writes_plain_lines_and_everything_else_json(
    tmp_path: Path, trial: str, form: type[logging.Formatter]
) -> None:
    environ = {**ENVIRONMENT, "INSTANCE_DIR": str(tmp_path), "LOCAL_TRIAL": trial}
    settings = load_settings(environ)
    ours = config(settings, "web")["formatters"]["ours"]
    assert (ours["()"], ours["secrets"]) == (form, secrets_of(settings))
    own = load_settings({**environ, "LOG_FORMAT": "json"})
    assert config(own, "web")["formatters"]["ours"]["()"] is JsonFormatter


SPEAK = """
import json, logging, sys
from portal.config.settings import load_settings
from portal.logs import set_up

for name in ("gunicorn.error", "gunicorn.access"):  # as gunicorn makes them
    logging.getLogger(name).propagate = False
    logging.getLogger(name).addHandler(logging.StreamHandler())
kept = logging.getLogger("made.before")
names = ("gunicorn.error", "gunicorn.access", "waitress", "waitress.queue", "alembic.runtime")
for trial in "10":
    set_up(load_settings(json.loads(sys.argv[1]) | {"LOCAL_TRIAL": trial}), "web")
    for name in (*names, "portal.traffic", "portal.test", kept.name):
        for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
            logging.getLogger(name).log(level, "From %s", name)
"""
LEVELS = ["info", "warning", "error"]
# Logger → its lowest level that is written, in a trial and elsewhere.
QUIETEST = {
    "gunicorn.error": ("warning", "warning"),
    "gunicorn.access": ("warning", "warning"),
    "waitress": ("warning", "warning"),
    "waitress.queue": ("error", "error"),
    "alembic.runtime": ("warning", "warning"),
    "portal.traffic": ("warning", "info"),
    "portal.test": ("info", "info"),
    "made.before": ("info", "info"),
}


def test_other_loggers_write_important_lines_once_in_our_format(tmp_path: Path) -> None:
    environ = {**ENVIRONMENT, "INSTANCE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", SPEAK, json.dumps(environ)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    in_trial, elsewhere = (
        [
            (level, name)
            for name, levels in QUIETEST.items()
            for level in LEVELS[LEVELS.index(levels[n]) :]
        ]
        for n in range(2)
    )
    output = done.stderr.splitlines()
    split = len(in_trial)
    assert output[:split] == [f"{level.upper():7} From {name}" for level, name in in_trial]
    lines = [json.loads(line) for line in output[split:]]
    assert {line["process"] for line in lines} == {"web"}
    assert [(line["level"], line["logger"], line["message"]) for line in lines] == [
        (level, name, f"From {name}") for level, name in elsewhere
    ]


@pytest.mark.parametrize(("form", "kind"), [("json", JsonOutput), ("plain", Output), ("", Output)])
def test_the_supervisors_format_follows_log_format(
    monkeypatch: pytest.MonkeyPatch, form: str, kind: type[Output]
) -> None:
    monkeypatch.setenv("LOG_FORMAT", form)
    assert type(output()) is kind


def test_the_supervisor_writes_in_the_same_format(capsys: pytest.CaptureFixture[str]) -> None:
    for form in (Output(), JsonOutput()):
        form.say("Stopping.")
        form.say("")
        form.pass_on("web", '{"message": "from a child"}')
        form.pass_on("valkey", "no JSON")
    form.pass_on("web", "")
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == [
        "Stopping.",
        "",
        'web        {"message": "from a child"}',
        "valkey     no JSON",
    ]
    ours, passed_on, theirs = (json.loads(line) for line in lines[4:])
    assert passed_on == {"message": "from a child"}
    for entry, process, message in (
        (ours, "supervisor", "Stopping."),
        (theirs, "valkey", "no JSON"),
    ):
        assert datetime.now(UTC) - datetime.fromisoformat(entry.pop("at")) < timedelta(minutes=1)
        assert entry == {"level": "info", "process": process, "message": message}
