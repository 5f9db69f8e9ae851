"""Icons that we drew ourselves, for products and similar things. None is a product’s logo."""

from typing import Final

# Lines in a square of 16 units.
_LINES: Final = {
    "to-teams": (
        '<circle cx="5.5" cy="5.5" r="2"/><circle cx="11" cy="6.5" r="1.6"/>'
        '<path d="M1.8 12.5c.3-2.5 1.7-3.5 3.7-3.5s3.4 1 3.7 3.5'
        'M10.5 10c2-.2 3.4.7 3.7 2.5"/>'
    ),
    "to-slack": '<path d="M5.5 2v12M10.5 2v12M2 5.5h12M2 10.5h12"/>',
    "to-discord": (
        '<path d="M3 5.5c3-1.5 7-1.5 10 0l1 6c-1.5 1.5-3 1.5-4-.5H6'
        'c-1 2-2.5 2-4 .5Z"/><path d="M6 8h.1m3.9 0h.1"/>'
    ),
    "to-google_chat": ('<path d="M8 2.5a5.5 5 0 1 1-2.8 9.3L2.5 13l.8-2.8A5.5 5 0 0 1 8 2.5Z"/>'),
    "to-zapier": '<path d="M9 1.5 3.5 9H8l-1 5.5L12.5 7H8Z"/>',
    "to-make": '<circle cx="4" cy="8" r="2"/><circle cx="12" cy="8" r="2"/><path d="M6 8h4"/>',
    "to-n8n": (
        '<circle cx="3.5" cy="8" r="1.5"/><circle cx="12.5" cy="4" r="1.5"/>'
        '<circle cx="12.5" cy="12" r="1.5"/><path d="m5 7.5 6-3m-6 4 6 3"/>'
    ),
    "to-power_automate": (
        '<rect x="2" y="2.5" width="5" height="4" rx="1"/>'
        '<rect x="9" y="9.5" width="5" height="4" rx="1"/><path d="M7 4.5h4.5v5"/>'
    ),
    "to-program": '<path d="M5.5 4.5 2 8l3.5 3.5m5-7L14 8l-3.5 3.5"/>',
    "to-inbox": '<path d="M2.5 9h3l1 2h3l1-2h3M4 3h8l1.5 6v4h-11V9Z"/>',
}
GLYPHS: Final = {
    name: '<g fill="none" stroke="currentColor" stroke-width="1.1" stroke-linecap="round"'
    f' stroke-linejoin="round">{lines}</g>'
    for name, lines in _LINES.items()
}
