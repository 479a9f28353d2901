"""Discord: where a webhook may lead, what an embed may hold, and what an answer means.

The address of a webhook is a password. It is looked up when it is needed and is in no text that leaves this
module; the client's own transport is used because the client logs every address that it asks.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import msgspec

from cronledger import JobContext
from cronledger.jobs.calling import within
from cronledger.strict_yaml.problem import meant

HOSTS = frozenset({"discord.com", "discordapp.com", "ptb.discord.com", "canary.discord.com"})
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
FLAGS = ("enabled", "allow_loopback")
KEYS = ("webhook_url", "webhook_url_file", *FLAGS)
"""What of `application.discord` is read."""
TIMEOUT_SECONDS = 10.0
TOTAL, FIELD, NAME, TITLE, FIELDS = 6000, 1024, 256, 256, 25
"""What Discord takes of one embed: characters in UTF-16, and fields."""

_BUSY = 429
_NOT_THERE = frozenset({401, 403, 404})
_LONGEST_ADDRESS = 4096
_COLOUR = 0x5865F2
_MARKUP = re.compile(r"([\\*_~`|<>\[\]#])")
_SHAPE = "https://discord.com/api/webhooks/..."


class NotPosted(Exception):
    """Nothing has been posted, and it is known why."""


class NoAnswer(Exception):
    """A message was sent and no answer came: it may have been posted or not."""


class Answer(msgspec.Struct, frozen=True):
    """What Discord said to a message: a status and, where it wants to be asked again, after how long."""

    status: int
    retry_after_seconds: float | None = None

    @property
    def is_taken(self) -> bool:
        """Whether the message has been posted."""
        return 200 <= self.status < 300

    @property
    def is_passing(self) -> bool:
        """Whether the same message may be taken later."""
        return self.status == _BUSY or self.status >= 500

    def __str__(self) -> str:
        if self.status in _NOT_THERE:
            return f"Discord refused the report with status {self.status}: is the webhook still there?"
        if 300 <= self.status < 400:
            return f"the webhook answered with a redirect (status {self.status}), which is not followed"
        return f"Discord refused the report with status {self.status}"


class Webhook:
    """Where reports are posted; says nothing about itself."""

    def __init__(self, url: Any) -> None:
        self._url = url

    async def post(self, message: Mapping[str, Any], *, now: datetime) -> Answer:
        """Send a message, once, and return what was answered; redirects are not followed.

        Raises NotPosted if nobody could be reached, NoAnswer if none came within 10 seconds.
        """
        is_sent = False

        async def trace(event: str, _about: Any) -> None:
            nonlocal is_sent
            is_sent |= event.endswith("send_request_headers.started")

        httpx = _client()
        request = httpx.Request(
            "POST",
            self._url.copy_merge_params({"wait": "true"}),
            content=msgspec.json.encode(message),
            headers={"Content-Type": "application/json", "User-Agent": "cronledger"},
            extensions={"trace": trace},
        )
        try:
            opened = httpx.AsyncHTTPTransport()
        except OSError as error:
            raise NotPosted(
                f"no connection can be made: {error.strerror}: are the certificates there?"
            ) from None
        try:
            with within(TIMEOUT_SECONDS):  # a limit of the client's begins anew with every byte
                async with opened as transport:
                    response = await transport.handle_async_request(request)
                    await response.aclose()
        except httpx.ConnectError as error:
            raise NotPosted(f"Discord cannot be reached: {type(error).__name__}") from None
        except httpx.TransportError as error:
            raise NoAnswer(f"no answer from Discord ({type(error).__name__})") from None
        except TimeoutError:
            if not is_sent:
                raise NotPosted(f"Discord cannot be reached within {TIMEOUT_SECONDS:g} s") from None
            raise NoAnswer(f"no answer from Discord within {TIMEOUT_SECONDS:g} s") from None
        answer = Answer(response.status_code)
        if not answer.is_passing:
            return answer
        return Answer(answer.status, _seconds(response.headers.get("Retry-After"), now))


def webhook(ctx: JobContext) -> Webhook | None:
    """Return where `application.discord` says that reports are posted; None if it does not.

    Raises NotPosted if what it says cannot be used.
    """
    said = ctx.config.get("discord")
    if not said:
        return None
    if not isinstance(said, Mapping):
        raise NotPosted(f"application.discord is not a mapping: write `discord: {{webhook_url: {_SHAPE}}}`")
    _require_understood(said)
    address = _address(ctx, said) if said.get("enabled", True) else ""
    return Webhook(_checked(address, may_be_loopback=said.get("allow_loopback", False))) if address else None


def _require_understood(said: Mapping[str, Any]) -> None:
    """Raise NotPosted for what would be read past: a report that nobody gets, or somebody should not get.

    Keys that do not look like one of ours are the application's own.
    """
    for key in said:
        if key not in KEYS and (hint := meant(str(key), KEYS)):
            raise NotPosted(f"application.discord: unknown key '{str(key)[:80]}'; {hint}")
    for flag in FLAGS:
        if not isinstance(said.get(flag, False), bool):
            raise NotPosted(f"application.discord.{flag} must be true or false")


def _address(ctx: JobContext, said: Mapping[str, Any]) -> str:
    url, file = said.get("webhook_url") or "", said.get("webhook_url_file") or ""
    if url and file:
        raise NotPosted("application.discord has both webhook_url and webhook_url_file: remove one of them")
    if not isinstance(url, str) or not isinstance(file, str):
        raise NotPosted("application.discord.webhook_url and webhook_url_file are texts")
    return _content(ctx.root / file) if file else url


def _content(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(_LONGEST_ADDRESS).strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise NotPosted(
            f"the file of application.discord.webhook_url_file cannot be read: {reason}"
        ) from None


def _checked(address: str, *, may_be_loopback: bool) -> Any:
    """Return an address that leads to Discord. Nothing of another one is told: it is meant as a secret."""
    httpx = _client()
    try:
        url = httpx.URL(address)
    except (httpx.InvalidURL, ValueError):
        raise NotPosted(f"application.discord.webhook_url is not a URL: it looks like {_SHAPE}") from None
    is_discord = url.scheme == "https" and url.host in HOSTS and url.port is None and "/webhooks/" in url.path
    is_loopback = may_be_loopback and url.host in LOOPBACK and url.scheme in {"http", "https"}
    if not (is_discord or is_loopback) or url.userinfo:
        raise NotPosted(f"application.discord.webhook_url does not lead to Discord: it looks like {_SHAPE}")
    return url


def _client() -> Any:
    try:
        import httpx2  # noqa: PLC0415 - an extra
    except ImportError:
        raise NotPosted("posting to Discord needs a library: pip install 'cronledger[notify]'") from None
    return httpx2


def _seconds(said: str | None, now: datetime) -> float | None:
    """Read `Retry-After`: seconds, or a date."""
    if said is None:
        return None
    try:
        seconds = float(said)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(said) - now).total_seconds()
        except (ValueError, TypeError, OverflowError):
            return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None


# --- what is posted -------------------------------------------------------------------------------------


def message(title: str, sections: Sequence[tuple[str, Iterable[str]]], *, at: datetime) -> dict[str, Any]:
    """Return a message of one embed: a field for each section that has lines, in order.

    What does not fit is left out by whole lines, and the last line says how many. Nobody is notified,
    whatever a text holds.
    """
    title = _cut(title, TITLE)
    footer = "Parts that do not fit are in admin_traffic_reports"
    left = TOTAL - _length(title) - _length(footer)
    fields: list[dict[str, Any]] = []
    is_cut = False
    for name, each in sections:
        lines = list(each)
        if not lines:
            continue
        head = _cut(name, NAME)
        value = fitting(lines, min(FIELD, left - _length(head)))
        is_cut |= value != "\n".join(lines)
        if value and len(fields) < FIELDS:
            fields.append({"name": head, "value": value, "inline": False})
            left -= _length(head) + _length(value)
    embed = {"title": title, "color": _COLOUR, "timestamp": at.isoformat(), "fields": fields}
    if is_cut:
        embed["footer"] = {"text": footer}
    return {"embeds": [embed], "allowed_mentions": {"parse": []}}


def fitting(lines: Sequence[str], limit: int) -> str:
    r"""Return as many whole lines as a limit allows; the last one says how many are missing.

    >>> fitting(["one", "two", "three"], 13), fitting(["one", "two", "three"], 12)
    ('one\ntwo\nthree', 'one\n… 2 more')
    """
    whole = "\n".join(lines)
    if _length(whole) <= limit:
        return whole
    for kept in range(len(lines) - 1, -1, -1):
        text = "\n".join([*lines[:kept], f"… {len(lines) - kept} more"])
        if _length(text) <= limit:
            return text
    return ""


def plain(text: object, longest: int = 100) -> str:
    r"""Return somebody's text as one line without markup: no link, no code, no heading.

    >>> plain("a *b*\n[c](https://d)")
    'a \\*b\\* \\[c\\](https://d)'
    """
    words = " ".join("".join(each if each.isprintable() else " " for each in str(text)).split())
    return _MARKUP.sub(r"\\\1", _cut(words, longest))


def _cut(text: str, limit: int) -> str:
    if _length(text) <= limit:
        return text
    return text.encode("utf-16-le")[: 2 * (limit - 1)].decode("utf-16-le", "ignore") + "…"


def _length(text: str) -> int:
    """Count as Discord does."""
    return len(text.encode("utf-16-le", "replace")) // 2
