"""The pictures of the guides show what the engine says, and can be read by everybody."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from docs.pictures import ALL, PICTURES, Picture, drawn

SVG = "{http://www.w3.org/2000/svg}"
EACH = pytest.mark.parametrize("picture", ALL, ids=lambda picture: picture.name)


@EACH
def test_a_picture_is_what_would_be_drawn_today(picture: Picture) -> None:
    committed = (PICTURES / f"{picture.name}.svg").read_text(encoding="utf-8")

    assert drawn(picture) == committed, "run `python docs/pictures.py`"


@EACH
def test_a_picture_is_small_and_says_in_words_what_it_shows(picture: Picture) -> None:
    text = drawn(picture)
    root = ET.fromstring(text)

    assert len(text.encode()) < 8000
    assert picture.title == root.findtext(f"{SVG}title")
    assert [] == [lane.text for lane in picture.lanes if lane.text not in str(root.findtext(f"{SVG}desc"))]


def test_no_other_picture_lies_there() -> None:
    assert {f"{picture.name}.svg" for picture in ALL} == {path.name for path in PICTURES.iterdir()}


def test_the_guide_shows_every_picture() -> None:
    guide = (PICTURES.parent / "schedules.md").read_text(encoding="utf-8")

    assert [] == [picture.name for picture in ALL if f"](pictures/{picture.name}.svg)" not in guide]
