"""The list of webhooks and its search."""

from flask import Flask

from tests.support.factories import make_webhook
from tests.support.pages import Page
from tests.web.signed_in import visit


def names(page: Page) -> list[str]:
    return [row[0].split("erp")[0] for row in page.rows()]


def test_the_list_is_filtered_by_name_or_host(app: Flask) -> None:
    make_webhook("https://erp.example.com/in?key=payroll", name="Stock sync")
    make_webhook("https://erp2.example.com/in", name="Payroll")
    pages = visit(app)
    assert names(pages.get("/settings/webhooks?q=PAYroll")) == ["Payroll"]
    page = pages.get("/settings/webhooks?q=erp.example")
    assert names(page) == ["Stock sync"]
    assert page.links("Name, host, or format: erp.example") == ["/settings/webhooks"]
    empty = pages.get("/settings/webhooks?q=nowhere")
    assert (empty.rows(), empty.status) == ([], 200)
    assert "No matching webhooks" in empty.main
    long = pages.get(f"/settings/webhooks?q={'x' * 121}")
    assert (long.status, long.errors) == (400, ["Enter at most 120 characters"])
    assert long.rows() == []
    assert pages.get("/settings/webhooks?cursor=nonsense").status in (400, 404)


def test_a_webhook_is_found_by_its_product_and_shows_it(app: Flask) -> None:
    make_webhook("https://chat.example.com/in", name="Stock", format="slack")
    make_webhook("https://hooks.zapier.com/hooks/catch/1", name="Laptops")
    make_webhook("https://erp.example.com/in", name="ERP")
    pages = visit(app)
    stock, zap = "StockSlack · chat.example.com", "LaptopsZapier · hooks.zapier.com"
    assert [row[0] for row in pages.get("/settings/webhooks?q=SLACK").rows()] == [stock]
    assert [row[0] for row in pages.get("/settings/webhooks?q=zapier").rows()] == [zap]
    assert "Slack · chat.example.com" in pages.get("/find?q=slack").main
    page = pages.get("/settings/webhooks")
    assert {row[0] for row in page.rows()} == {stock, zap, "ERPerp.example.com"}
    assert "Zapier · hooks.zapier.com" in pages.get(page.links("Laptops")[0]).main


def test_a_webhook_with_conditions_says_so(app: Flask) -> None:
    make_webhook(name="ERP", conditions='[["status","is",["lost"]]]')
    make_webhook(name="Payroll")
    erp, payroll = (" ".join(row) for row in visit(app).get("/settings/webhooks").rows())
    assert "1 of 21 events, with conditions" in erp
    assert "with conditions" not in payroll
