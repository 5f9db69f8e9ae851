"""Pages are read quickly, and as the standard library's parser reads them."""

from itertools import product

from tests.support.html import Node, parse, read_anything

PIECES = (
    *("", "<!doctype html>", "<!-- b -->", "<?pi?>", "<![CDATA[x]]>", "<", "<i", '<i t="', "&#"),
    *("a < b", "Ana &amp; Ben", "&lt;p", "\r\n ", "<p>a</p>", "<b><i>c</i> <u>d<hr></u> e</b>"),
    *("<p>", "</p>", "<P>", "</p >", "<p/>", "<br>", "<br/>", "</br>", "<ul\n class=''>", "</ul>"),
    *('<a href="/x?a=1&amp;b=2" hidden>', '<a id="a" id="b">', '<a id="a"id2="b">', "<a =>"),
    *("</a>", '<svg viewBox="0 0 1 1" ><path d="M0"/></svg>', "<svg a=b>", '<i title="1 > 0">'),
    *("<script>", "</script>", '<script src="/m.js"></script>', "<style>p > a &amp; b</style>"),
    *("<script>'<p>'</script>", "<textarea>a</textarea>", "<title>", "</title>"),
)


def outline(node: Node) -> tuple[object, ...]:
    """All that a page's tree tells."""
    children = [child if isinstance(child, str) else outline(child) for child in node.children]
    around = [each.tag for each in node.ancestors()]
    inside = [(each.tag, each.attrs) for each in node.inside]
    return node.tag, list(node.attrs.items()), around, inside, children


def test_whatever_is_written_is_read_as_the_standard_library_reads_it() -> None:
    for one, other in product(PIECES, repeat=2):
        for html in (f"{one}{other}", f"<main>{one}{other}</main>"):
            (read, faults), (known, known_faults) = parse(html), read_anything(html)
            assert (outline(read), faults) == (outline(known), known_faults), html
