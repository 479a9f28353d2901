"""The sample site in a browser: Chromium without a window, from a server on loopback."""

from __future__ import annotations

import os
import shutil
from base64 import b64encode
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from cronledger.ledger.application import application_engine
from cronledger.migrations import application
from cronledger.testing import ManualClock
from tests.unit.extensions.conftest import NOON
from tests.unit.extensions.web.published_sites import PublishedSite

CHROMIUM = os.environ.get("CRONLEDGER_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
PAGES = {
    "/": "Slow bread by the canal",
    "/journal/": "Journal",
    "/journal/a-mill-you-can-visit/": "A mill you can visit",
    "/guides/a-first-rye-loaf/": "A first rye loaf",
    "/good-to-know/allergens/": "What is in our bread",
    "/privacy/": "Privacy",
    "/404.html": "Page not found",
}
LOOKS = [("light", 1100), ("dark", 1100), ("light", 360), ("dark", 360)]
PALE = 200
"""The mean brightness, of 255, above which a page is light; one below 60 is dark."""
CONTRAST = """() => {
  const channel = (value) => {
    const c = value / 255;
    return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  };
  const parts = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => {
    const [r, g, b] = parts(color).map(channel);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const color = getComputedStyle(each).backgroundColor;
      if (parts(color)[3] !== 0) return color;
    }
    return 'rgb(255, 255, 255)';
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !element.checkVisibility()) continue;
    const [a, b] = [light(getComputedStyle(element).color), light(ground(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) found.push(`${ratio.toFixed(2)}: ${walker.currentNode.textContent.trim().slice(0, 40)}`);
  }
  return found;
}"""

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium: install it, or name it in CRONLEDGER_CHROMIUM"
)


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_: Any) -> None:
        """Leave the log of the tests alone."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Publish the sample site and return where it is served."""
    folder = tmp_path_factory.mktemp("site")
    engine = application_engine(f"sqlite:///{folder / 'app.db'}")
    application.upgrade(engine)
    site = PublishedSite.example(folder / "site", engine, ManualClock(NOON))
    site.publish()
    engine.dispose()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site.output)))
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def browser(address: str) -> Iterator[Browser]:
    """Return a browser without a window."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-quic", "--disable-gpu"]
        )
        yield opened
        opened.close()


@pytest.fixture(params=LOOKS, ids=lambda look: f"{look[0]}-{look[1]}")
def page(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    """Return a page in a window of some width, light or dark."""
    scheme, width = request.param
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800})
    yield context.new_page()
    context.close()


def brightness(page: Page, picture: bytes) -> float:
    """Return the mean brightness of a picture, measured by the browser itself."""
    return float(
        page.evaluate(
            """async (picture) => {
              const bytes = Uint8Array.from(atob(picture), (each) => each.charCodeAt(0));
              const bitmap = await createImageBitmap(new Blob([bytes], {type: 'image/png'}));
              const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
              const context = canvas.getContext('2d');
              context.drawImage(bitmap, 0, 0);
              const pixels = context.getImageData(0, 0, bitmap.width, bitmap.height).data;
              let sum = 0;
              for (let i = 0; i < pixels.length; i += 4) {
                sum += (pixels[i] + pixels[i + 1] + pixels[i + 2]) / 3;
              }
              return sum / (pixels.length / 4);
            }""",
            b64encode(picture).decode(),
        )
    )


def test_every_page_shows_its_text_without_an_error(page: Page, address: str, tmp_path: Path) -> None:
    troubles: list[str] = []
    page.on("console", lambda said: troubles.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("requestfailed", lambda request: troubles.append(request.url))
    page.on("response", lambda response: troubles.append(response.url) if response.status >= 400 else None)
    for path, title in PAGES.items():
        page.goto(f"{address}{path}")
        picture = page.screenshot(path=tmp_path / "page.png", full_page=True)

        assert title == page.locator("h1").inner_text()
        assert page.locator("h1").is_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
        assert len(picture) > 8000, path
    assert [] == troubles


def test_pages_follow_the_readers_wish_for_light_or_dark_and_can_be_read(page: Page, address: str) -> None:
    is_dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    for path in PAGES:
        page.goto(f"{address}{path}")
        mean = brightness(page, page.screenshot())

        assert mean < 60 if is_dark else mean > PALE, f"{path}: {mean}"
        assert [] == page.evaluate(CONTRAST), path


def test_the_site_can_be_used_with_the_keyboard_alone(page: Page, address: str) -> None:
    page.goto(f"{address}/guides/a-first-rye-loaf/")
    page.keyboard.press("Tab")
    first = page.evaluate("document.activeElement.textContent")
    box = page.locator(".skip").bounding_box()
    page.keyboard.press("Enter")

    assert "Skip to content" == first
    assert box is not None
    assert box["x"] >= 0
    assert "_main" == page.evaluate("document.activeElement.id")
    assert (
        1
        == page.locator("main").count()
        == page.locator("header.top").count()
        == page.locator("footer").count()
    )
    assert page.evaluate(
        "[...document.images].every(each => each.hasAttribute('alt') && each.naturalWidth > 0)"
    )


def test_the_script_adds_its_button(page: Page, address: str) -> None:
    page.goto(f"{address}/guides/a-first-rye-loaf/")

    assert page.get_by_role("button", name="Print this page").is_visible()
