"""Colours that can be read: measured on the tokens themselves (WCAG 2.2, relative luminance)."""

import re

import pytest

from portal.config.settings import ROOT

TOKENS = (ROOT / "static" / "css" / "tokens.css").read_text(encoding="utf-8")
LIGHT_CSS, DARK_CSS = TOKENS.split("@media screen and (prefers-color-scheme: dark)")
STATUSES = ["success", "danger", "warning", "info", "neutral"]
GROUNDS = ["paper", "surface", "surface-soft"]


def colours(css: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", css))


SCHEMES = {"light": colours(LIGHT_CSS), "dark": colours(LIGHT_CSS) | colours(DARK_CSS)}


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(scheme: str, text: str, ground: str) -> float:
    of = SCHEMES[scheme]
    high, low = sorted((luminance(of[text]), luminance(of[ground])), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("status", STATUSES)
def test_a_status_can_be_read_by_everyone(scheme: str, status: str) -> None:
    assert contrast(scheme, status, f"{status}-ground") >= 7


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("ground", GROUNDS)
def test_text_and_links_stand_out(scheme: str, ground: str) -> None:
    assert contrast(scheme, "ink", ground) >= 7
    assert contrast(scheme, "ink-soft", ground) >= 4.5
    assert contrast(scheme, "accent", ground) >= 4.5
    assert contrast(scheme, "danger", ground) >= 4.5


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("ground", ["paper", "surface"])
def test_controls_and_focus_can_be_seen(scheme: str, ground: str) -> None:
    assert contrast(scheme, "control", ground) >= 3
    assert contrast(scheme, "focus", ground) >= 3


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    ("text", "ground"),
    [
        ("on-accent", "accent"),
        ("on-accent", "accent-strong"),
        ("on-danger", "danger-button"),
        ("on-danger", "danger-button-strong"),
        ("accent-strong", "accent-soft"),
        ("masthead-soft", "masthead"),
    ],
)
def test_buttons_and_masthead_can_be_read(scheme: str, text: str, ground: str) -> None:
    assert contrast(scheme, text, ground) >= 4.5
