"""The color theme, kept in a cookie and written into every page without a script."""

from flask import Flask

from tests.support.pages import Page, Pages
from tests.web.signed_in import visit

SHEET = "/static/css/dark.css"


def media(page: Page) -> list[str]:
    """Return the media query of the dark stylesheet, or nothing if the page does not load it."""
    links = page.root.find_all("link")
    return [node.get("media") for node in links if node.get("href").startswith(SHEET)]


def theme(page: Page) -> tuple[str, str]:
    """Return the page's theme and the button that is pressed."""
    (html,) = page.root.find_all("html")
    pressed = [n.text for n in page.root.find_all("button") if n.get("aria-pressed") == "true"]
    return html.get("data-theme"), *pressed  # type: ignore[return-value]  # there is one


def choose(pages: Pages, page: Page, words: str) -> Page:
    return pages.submit(page.form("/theme"), words)


def test_without_a_choice_the_system_theme_applies(app: Flask) -> None:
    page = visit(app).get("/assets")
    assert theme(page) == ("", "System")
    assert media(page) == ["screen and (prefers-color-scheme: dark)"]


def test_a_choice_applies_to_every_page_and_leads_back(app: Flask) -> None:
    pages = visit(app)
    page = choose(pages, pages.get("/assets?q=drill"), "Dark")
    assert page.path == "/assets?q=drill"
    assert theme(page) == ("dark", "Dark")
    assert media(page) == ["screen"]
    page = choose(pages, pages.get("/deliveries"), "Light")
    assert theme(page) == ("light", "Light")
    assert media(page) == []
    assert theme(pages.get("/nowhere")) == ("light", "Light")
    assert theme(choose(pages, page, "System")) == ("", "System")


def test_a_theme_can_be_chosen_before_sign_in_and_lasts_a_year(app: Flask) -> None:
    pages = Pages(app)
    assert theme(choose(pages, pages.get("/sign-in"), "Dark")) == ("dark", "Dark")
    cookie = pages.client.get_cookie("theme")
    assert cookie is not None
    assert cookie.http_only
    assert cookie.same_site == "Lax"
    assert cookie.max_age == 365 * 24 * 3600


def test_an_invalid_theme_in_the_cookie_is_ignored(app: Flask) -> None:
    for written in ("", "DARK", 'dark" onload="x', "dark light"):
        pages = Pages(app)
        pages.client.set_cookie("theme", written)
        page = pages.get("/sign-in")
        assert theme(page) == ("", "System")
        assert "onload" not in page.html


def test_unknown_themes_and_foreign_urls_are_refused(app: Flask) -> None:
    pages = Pages(app)
    pages.get("/sign-in")
    page = pages.post("/theme", {"theme": "sepia", "back": "https://evil.example.com/"})
    assert page.path.startswith("/sign-in")
    assert pages.client.get_cookie("theme") is None
