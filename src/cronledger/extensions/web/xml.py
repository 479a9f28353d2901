"""XML documents of a site: escaped by the library, never by hand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree.ElementTree import Element, SubElement, indent, tostring

DECLARATION = b'<?xml version="1.0" encoding="utf-8"?>\n'
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def clean(text: str) -> str:
    r"""Return a text without the characters that XML has no way to write.

    >>> clean("a\\x00b")
    'a\\ufffdb'
    """
    return _NOT_XML.sub("\ufffd", text)


def add(
    parent: Element, tag: str, text: str | None = None, attributes: Mapping[str, str] | None = None
) -> Element:
    """Add an element with a text to another one."""
    made = SubElement(parent, tag, {name: clean(value) for name, value in (attributes or {}).items()})
    made.text = None if text is None else clean(text)
    return made


def document(root: Element) -> bytes:
    """Return a whole document."""
    indent(root)
    return DECLARATION + written(root)


def written(element: Element) -> bytes:
    """Return an element as it stands in a document, with the end of its line."""
    data: bytes = tostring(element, encoding="utf-8", xml_declaration=False)
    return data + b"\n"
