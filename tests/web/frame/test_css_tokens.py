"""Contrast between the color tokens, computed from relative luminance (WCAG 2.2)."""

import re

from portal.config.settings import ROOT

CSS = ROOT / "static" / "css"
LIGHT_CSS, DARK_CSS = ((CSS / name).read_text("utf-8") for name in ("tokens.css", "dark.css"))
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


def test_status_text_has_a_contrast_of_at_least_7() -> None:
    for status in STATUSES:
        for scheme in SCHEMES:
            assert contrast(scheme, status, f"{status}-ground") >= 7, (scheme, status)


def test_text_and_links_have_enough_contrast() -> None:
    for ground in GROUNDS:
        for scheme in SCHEMES:
            assert contrast(scheme, "ink", ground) >= 7, (scheme, ground)
            assert contrast(scheme, "ink-soft", ground) >= 4.5, (scheme, ground)
            assert contrast(scheme, "accent", ground) >= 4.5, (scheme, ground)
            assert contrast(scheme, "danger", ground) >= 4.5, (scheme, ground)


def test_controls_and_focus_have_enough_contrast() -> None:
    for ground in ("paper", "surface"):
        for scheme in SCHEMES:
            assert contrast(scheme, "control", ground) >= 3, (scheme, ground)
            assert contrast(scheme, "focus", ground) >= 3, (scheme, ground)


def test_button_labels_have_enough_contrast() -> None:
    for text, ground in (
        ("on-accent", "accent"),
        ("on-accent", "accent-strong"),
        ("on-danger", "danger-button"),
        ("on-danger", "danger-button-strong"),
        ("accent-strong", "accent-soft"),
    ):
        for scheme in SCHEMES:
            assert contrast(scheme, text, ground) >= 4.5, (scheme, text, ground)


def test_bars_and_icons_have_enough_contrast() -> None:
    for scheme in SCHEMES:
        for sign in ("arrived", "warning-sign", "danger-sign", "success-sign", "info-sign"):
            assert contrast(scheme, sign, "surface") >= 3, sign


def test_the_dark_scheme_defines_the_same_colors_as_the_light_one() -> None:
    assert colours(LIGHT_CSS).keys() == colours(DARK_CSS).keys()


def test_only_the_token_files_contain_colors() -> None:
    sheets = [path for path in CSS.iterdir() if path.name not in {"tokens.css", "dark.css"}]
    used = {
        (path.name, c) for path in sheets for c in re.findall(r"#[0-9a-f]{3,8}\b", path.read_text())
    }
    # Printed pages are black on white.
    assert {colour for _, colour in used} <= {"#fff", "#000"}, used
