"""What every answer says about itself: where its parts may come from and who may keep it."""

from typing import Final

from flask import Response

from portal.web.frame.static_files import is_static, keep_static

POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)

HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def add_security_headers(response: Response) -> Response:
    """Add the headers that a view did not set itself; pages are never stored by anyone."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if is_static():
        keep_static(response)
    else:
        response.headers.setdefault("Cache-Control", "no-store")
    return response
