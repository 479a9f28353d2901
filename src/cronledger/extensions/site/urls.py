"""Addresses: which ones may stand in a page, and how those of the site are written."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

SCHEMES = frozenset({"http", "https", "mailto", "tel", ""})
"""What a link may begin with; the last one is a link within the site."""

_UNSAFE = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029\ufeff\"'<>\\`]")
_SCHEME = re.compile(r"([^/?#:]*):")
_ELSEWHERE = re.compile(r"//|[^/?#]*:|$")


def is_allowed(url: str) -> bool:
    """Whether a link may lead there: `javascript:`, `data:` and all that is not known may not.

    >>> is_allowed("https://example.com/a"), is_allowed("/b#c"), is_allowed("JavaScript:alert(1)")
    (True, True, False)
    """
    # Browsers skip control characters in a scheme, so a text that holds some is judged without them.
    bare = re.sub(r"[\x00-\x20\x7f-\xa0\xad\u200b-\u200f\u2028\u2029\ufeff]", "", url)
    scheme = _SCHEME.match(bare)
    return scheme is None or scheme[1].lower() in SCHEMES


def allowed(url: str | None) -> str:
    """Return an address as it may stand in an attribute, or nothing if it may not.

    >>> allowed("/img/a b.svg"), allowed("javascript:x")
    ('/img/a%20b.svg', '')
    """
    text = (url or "").strip()
    if not is_allowed(text):
        return ""
    return _UNSAFE.sub(lambda found: quote(found[0]), text)


class Addresses:
    """The addresses of a site: `path` within its host, `full` for other systems; `prefix` is often empty."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url.rstrip("/")
        self.prefix = urlsplit(self.base_url).path

    def path(self, url: str) -> str:
        """Return a link to a path of the site; other addresses stay as they are.

        >>> Addresses("https://example.com/shop").path("/css/site.css")
        '/shop/css/site.css'
        """
        return f"{self.prefix}{url}" if url.startswith("/") and not url.startswith("//") else url

    def full(self, url: str) -> str:
        """Return the whole address of a path of the site, which a slash may begin; others stay as they are.

        >>> Addresses("https://example.com").full("/blog/rye/")
        'https://example.com/blog/rye/'
        """
        return url if _ELSEWHERE.match(url) else f"{self.base_url}/{url.removeprefix('/')}"
