"""Posting a report: once for a run, with patience, to nobody but Discord, and without telling the address."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, insert

from cronledger.domain.run import RunState
from cronledger.extensions.web import discord as talking
from cronledger.extensions.web import reports
from cronledger.extensions.web.daily_traffic_report import DailyTrafficReport
from cronledger.extensions.web.discord import fitting, message, plain
from cronledger.extensions.web.reports import MOST_TRIES
from cronledger.testing import ManualClock, Performed, perform_with_steps
from tests.discord import TOKEN, Discord, discord
from tests.unit.extensions.rows import NOON, add, all_of, table

BEYOND_ALL_TIME = "Wed, 21 Oct 2015 07:28:00 +99999999999999"


@pytest.fixture
def there() -> Iterator[Discord]:
    with discord() as server:
        yield server


class Reporter:
    """Makes traffic reports with a configuration of its own."""

    def __init__(self, db: Engine, clock: ManualClock, folder: Path) -> None:
        self.db = db
        self.clock = clock
        self.config = folder / "config.yaml"

    def says(self, text: str) -> None:
        self.config.write_text(f"application: {{discord: {text}}}\n")

    def leads_to(self, there: Discord) -> None:
        self.says(f'{{webhook_url: "{there.url}", allow_loopback: true}}')

    def performed(self) -> Performed:
        job = DailyTrafficReport()
        return asyncio.run(perform_with_steps(job, db=self.db, clock=self.clock, config=self.config))

    def report(self) -> RunState:
        return self.performed().run

    def kept(self) -> int:
        return len(all_of(self.db, "admin_traffic_reports", "id"))

    def claims(self) -> list[Any]:
        return all_of(self.db, "report_posts", "posted_at")


@pytest.fixture
def reporter(app_db: Engine, clock: ManualClock, tmp_path: Path, there: Discord) -> Reporter:
    reporter = Reporter(app_db, clock, tmp_path)
    reporter.leads_to(there)
    return reporter


# --- what is answered -----------------------------------------------------------------------------------


def test_a_report_is_posted_and_marked(reporter: Reporter, there: Discord) -> None:
    done = reporter.performed()

    assert ("succeeded", "posted to Discord", 1) == (
        done.run.outcome,
        done.run.message,
        done.run.items_processed,
    )
    assert ["compile", "post"] == [step.name for step in done.steps]
    assert [f"/api/webhooks/1/{TOKEN}?wait=true"] == there.asked
    assert [NOON] == reporter.claims()
    assert 1 == reporter.kept()


def test_patience_that_is_asked_for_is_had(reporter: Reporter, there: Discord) -> None:
    there.answers = [
        (429, {"Retry-After": "0.05"}),
        (503, {"Retry-After": "0"}),
        (429, {"Retry-After": "0.01"}),
    ]
    run = reporter.report()

    assert ("succeeded", 4, 1) == (run.outcome, len(there.messages), len(there.posted))


def test_a_date_may_say_when_to_ask_again(reporter: Reporter, there: Discord) -> None:
    there.answers = [(503, {"Retry-After": format_datetime(NOON - timedelta(hours=1), usegmt=True)})]

    assert "succeeded" == reporter.report().outcome


@pytest.mark.parametrize("said", [BEYOND_ALL_TIME, "-0000", "soon", "", "nan", "inf"])
def test_a_word_about_when_to_ask_again_that_says_nothing_is_no_word(
    reporter: Reporter, there: Discord, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A date beyond all time ended the attempt, and the next one believed that it had posted."""
    monkeypatch.setattr(reports, "PAUSE_SECONDS", 0.01)
    there.answers = [(429, {"Retry-After": said})]
    run = reporter.report()

    assert ("succeeded", "posted to Discord", 1) == (run.outcome, run.message, len(there.posted))


def test_of_a_message_that_is_taken_nobody_asks_when_to_ask_again(reporter: Reporter, there: Discord) -> None:
    there.answers = [(200, {"Retry-After": BEYOND_ALL_TIME})]
    run = reporter.report()

    assert ("succeeded", "posted to Discord", [NOON]) == (run.outcome, run.message, reporter.claims())


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_longer_wait_than_a_run_has_fails_it_with_a_sentence_at_once(
    reporter: Reporter, there: Discord, status: int
) -> None:
    there.answers = [(status, {"Retry-After": "3600"})]
    run = reporter.report()

    assert "failed" == run.outcome
    assert f"status {status}, and asks for 3600 s more: a report waits 120 s at most" in str(run.error)
    assert (1, []) == (reporter.kept(), reporter.claims())


def test_asking_again_ends_after_some_tries(reporter: Reporter, there: Discord) -> None:
    there.answers = [(429, {"Retry-After": "0"})] * 99
    run = reporter.report()

    assert "failed" == run.outcome
    assert f"{MOST_TRIES} times in a row" in str(run.error)
    assert MOST_TRIES == len(there.messages)


@pytest.mark.parametrize("status", [400, 401, 404, 413])
def test_a_refusal_fails_the_run_and_leaves_the_next_attempt_free(
    reporter: Reporter, there: Discord, status: int
) -> None:
    there.answers = [(status, {})]
    run = reporter.report()

    assert "failed" == run.outcome
    assert f"Discord refused the report with status {status}" in str(run.error)
    assert (1, 1, []) == (len(there.messages), reporter.kept(), reporter.claims())


def test_a_redirect_is_not_followed(reporter: Reporter, there: Discord) -> None:
    """Not even to where posts are taken: it would be a way to anywhere."""
    there.answers = [(307, {"Location": there.url}), (302, {"Location": "http://127.0.0.1:1/"})]
    runs = [reporter.report(), reporter.report()]

    assert ["failed", "failed"] == [run.outcome for run in runs]
    assert "redirect (status 307), which is not followed" in str(runs[0].error)
    assert (2, 0) == (len(there.asked), len(there.posted))


def test_nobody_listening_fails_the_run_and_leaves_the_next_attempt_free(reporter: Reporter) -> None:
    reporter.says(f'{{webhook_url: "http://127.0.0.1:1/{TOKEN}", allow_loopback: true}}')
    run = reporter.report()

    assert "step 'post' failed: NotPosted: Discord cannot be reached: ConnectError" in str(run.error)
    assert (1, []) == (reporter.kept(), reporter.claims())


def test_an_answer_that_does_not_come_is_waited_for_only_so_long(
    reporter: Reporter, there: Discord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have arrived: the claim stays, so that nobody posts it a second time."""
    monkeypatch.setattr(talking, "TIMEOUT_SECONDS", 0.2)
    there.is_silent = True
    run = reporter.report()

    assert "no answer from Discord within 0.2 s: it is not known whether the report arrived" in str(run.error)
    assert (1, [None]) == (reporter.kept(), reporter.claims())


def test_an_answer_that_drips_in_is_waited_for_no_longer(
    reporter: Reporter, there: Discord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte of it began a new wait."""
    monkeypatch.setattr(talking, "TIMEOUT_SECONDS", 0.4)
    there.drips = True
    run = reporter.report()

    assert "no answer from Discord within 0.4 s" in str(run.error)
    assert (1, [None]) == (reporter.kept(), reporter.claims())


def test_a_server_that_takes_no_connection_in_time_has_certainly_posted_nothing(
    reporter: Reporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(talking, "TIMEOUT_SECONDS", 0.2)
    with ExitStack() as held:
        server = held.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):  # more than wait in line
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        reporter.says(f'{{webhook_url: "http://127.0.0.1:{server.getsockname()[1]}", allow_loopback: true}}')
        run = reporter.report()

    assert "step 'post' failed: NotPosted: Discord cannot be reached within 0.2 s" in str(run.error)
    assert (1, []) == (reporter.kept(), reporter.claims())


# --- once -----------------------------------------------------------------------------------------------


class Again(DailyTrafficReport):
    """The same report, as an attempt whose claims are those of an earlier one."""

    def __init__(self, key: str) -> None:
        self.key = key

    async def execute(self, ctx: Any) -> Any:
        ctx.idempotency_key = self.key
        return await super().execute(ctx)


def attempts(reporter: Reporter, key: str) -> RunState:
    done = perform_with_steps(Again(key), db=reporter.db, clock=reporter.clock, config=reporter.config)
    return asyncio.run(done).run


def test_a_run_that_is_tried_again_after_its_post_does_not_post_again(
    reporter: Reporter, there: Discord
) -> None:
    runs = [attempts(reporter, "run-1"), attempts(reporter, "run-1"), attempts(reporter, "run-2")]

    assert ["posted to Discord", "posted to Discord by an earlier attempt", "posted to Discord"] == [
        run.message for run in runs
    ]
    assert 2 == len(there.posted)


def test_a_run_that_died_while_it_posted_does_not_post_again(reporter: Reporter, there: Discord) -> None:
    claim = {
        "idempotency_key": "run-1/daily_traffic_report",
        "report": "daily_traffic_report",
        "begun_at": NOON,
    }
    with reporter.db.begin() as connection:
        connection.execute(insert(table("report_posts")).values(claim))
    run = attempts(reporter, "run-1")

    assert "succeeded" == run.outcome
    assert (
        "not posted again: an earlier attempt was posting when it ended, and may have succeeded"
        == run.message
    )
    assert [] == there.messages


def test_a_run_that_was_refused_posts_when_it_is_tried_again(reporter: Reporter, there: Discord) -> None:
    there.answers = [(404, {})]
    runs = [attempts(reporter, "run-1"), attempts(reporter, "run-1")]

    assert ["failed", "succeeded"] == [run.outcome for run in runs]
    assert 1 == len(there.posted)


# --- where it may lead ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "{enabled: false, webhook_url: nowhere}",
        '{webhook_url: ""}',
        '{webhook_url: "${env:HOOK}"}',
        "null",
    ],
)
def test_without_a_webhook_the_report_is_kept(
    reporter: Reporter, there: Discord, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK", "")
    reporter.says(text)
    run = reporter.report()

    assert ("succeeded", "skipped: no webhook configured") == (run.outcome, run.message)
    assert (1, []) == (reporter.kept(), there.messages)


@pytest.mark.parametrize(
    "url",
    [
        f"https://evil.example/api/webhooks/1/{TOKEN}",
        f"https://discord.com.evil.example/api/webhooks/1/{TOKEN}",
        f"https://evil.example/discord.com/api/webhooks/1/{TOKEN}",
        f"https://discord.com@evil.example/api/webhooks/1/{TOKEN}",
        f"https://ann:pw@discord.com/api/webhooks/1/{TOKEN}",
        f"https://discord.com:8443/api/webhooks/1/{TOKEN}",
        f"https://discord.com/login/{TOKEN}",
        f"http://discord.com/api/webhooks/1/{TOKEN}",
        f"http://169.254.169.254/api/webhooks/{TOKEN}",
        f"file:///etc/{TOKEN}",
        f"{TOKEN}",
        f"https://{TOKEN}",
        f"https://[{TOKEN}",
        f"http://127.0.0.1:1/api/webhooks/1/{TOKEN}",
        f"https://localhost/api/webhooks/1/{TOKEN}",
    ],
)  # fmt: skip
def test_a_webhook_leads_to_discord_or_nowhere(
    reporter: Reporter, there: Discord, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    reporter.says(f'{{webhook_url: "{url}"}}')
    run = reporter.report()

    assert "failed" == run.outcome
    assert "the report is kept and not posted: application.discord.webhook_url" in str(run.error)
    assert (1, []) == (reporter.kept(), there.asked)
    assert TOKEN not in f"{run.error}{run.message}{caplog.text}"


@pytest.mark.parametrize("host", sorted(talking.HOSTS))
def test_the_addresses_of_discord_are_taken(host: str) -> None:
    assert talking._checked(f"https://{host}/api/webhooks/1/{TOKEN}?thread_id=5", may_be_loopback=False)


def test_a_variable_that_is_not_set_is_named(reporter: Reporter) -> None:
    reporter.says('{webhook_url: "${env:NOT_SET_ANYWHERE}"}')
    run = reporter.report()

    assert ("failed", 1) == (run.outcome, reporter.kept())
    assert "the environment variable NOT_SET_ANYWHERE (or NOT_SET_ANYWHERE_FILE) is not set" in str(run.error)


def test_a_file_may_hold_the_address(reporter: Reporter, there: Discord, tmp_path: Path) -> None:
    (tmp_path / "hook").write_text(there.url + "\n")
    reporter.says("{webhook_url_file: hook, allow_loopback: true}")

    assert ("posted to Discord", 1) == (reporter.report().message, len(there.posted))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{webhook_url_file: none-such}", "webhook_url_file cannot be read: No such file or directory"),
        ("{webhook_url_file: broken}", "webhook_url_file cannot be read: not UTF-8 text"),
        ("{webhook_url_file: a, webhook_url: b}", "has both webhook_url and webhook_url_file"),
        ("{webhook_url: 5}", "are texts"),
        ("somewhere", "is not a mapping"),
        ("{webhok_url: a}", "application.discord: unknown key 'webhok_url'; did you mean 'webhook_url'?"),
        ('{enabled: "false", webhook_url: a}', "application.discord.enabled must be true or false"),
        ("{allow_loopback: 1, webhook_url: a}", "application.discord.allow_loopback must be true or false"),
    ],
)
def test_a_setting_that_cannot_be_used_is_told(
    reporter: Reporter, tmp_path: Path, text: str, sentence: str
) -> None:
    """A key with a typing error was read past, and nothing ever posted; "false" did not switch off."""
    (tmp_path / "broken").write_bytes(b"\xff\xfe\x00")
    reporter.says(text)
    run = reporter.report()

    assert ("failed", 1) == (run.outcome, reporter.kept())
    assert sentence in str(run.error)


def test_other_keys_are_the_applications_own(reporter: Reporter, there: Discord) -> None:
    reporter.says(f"{{webhook_url: {there.url}, allow_loopback: true, channel: news, bot_token: none}}")

    assert ("posted to Discord", 1) == (reporter.report().message, len(there.posted))


def test_a_missing_library_is_named_with_what_to_install(
    reporter: Reporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "httpx2", None)
    run = reporter.report()

    assert "posting to Discord needs a library: pip install 'cronledger[notify]'" in str(run.error)
    assert 1 == reporter.kept()


def test_the_address_is_in_no_log_line(
    reporter: Reporter, there: Discord, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever loggers there are, at whatever level: the client's own included."""
    caplog.set_level(logging.DEBUG)
    there.answers = [(429, {"Retry-After": "0"}), (404, {})]
    runs = [reporter.report(), reporter.report()]

    assert ["failed", "succeeded"] == [run.outcome for run in runs]
    assert "asking again in" in caplog.text
    assert TOKEN not in caplog.text + str([(run.error, run.message) for run in runs])


# --- what is posted -------------------------------------------------------------------------------------


def everything(embed: dict[str, Any]) -> int:
    """Count the characters that Discord counts."""
    texts = [embed["title"], embed.get("footer", {}).get("text", "")]
    texts += [text for field in embed["fields"] for text in (field["name"], field["value"])]
    return sum(len(text.encode("utf-16-le")) // 2 for text in texts)


def test_nobody_is_notified_whatever_a_title_says(reporter: Reporter, there: Discord) -> None:
    nasty = "@everyone <@1> [free](https://evil.example) **bold** `code`\n# big"
    add(reporter.db, "markdown_content", {"id": "a", "title": nasty})
    add(reporter.db, "content_performance_metrics", {"content_id": "a", "views_last_7_days": 3})
    reporter.report()
    (posted,) = there.posted
    (embed,) = posted["embeds"]
    (top,) = [field["value"] for field in embed["fields"] if field["name"].startswith("Top content")]

    assert {"parse": []} == posted["allowed_mentions"]
    assert r"— @everyone \<@1\> \[free\](https://evil.example) \*\*bold\*\* \`code\` \# big: 3 views" in top


def test_a_report_has_all_its_sections_with_numbers_as_people_read_them(
    reporter: Reporter, there: Discord
) -> None:
    before = NOON - timedelta(hours=1)
    (person,) = add(
        reporter.db, "user_sessions", {"started_at": before, "landing_page": "/blog/a", "country": "IE"}
    )
    event = {"session_id": person, "created_at": before, "time_on_page_ms": 95_000}
    add(reporter.db, "engagement_events", event)
    reporter.report()
    (embed,) = there.posted[0]["embeds"]
    fields = {field["name"]: field["value"] for field in embed["fields"]}

    assert "Traffic report 2026-03-14 AM" == embed["title"]
    assert "2026-03-14T12:00:00+00:00" == embed["timestamp"]
    assert (
        "Avg Time on Page: **1m 35s** (yesterday 0s ▲ +∞, 7-day average 0s ▲ +∞)"
        in fields["Traffic overview"]
    )
    assert "Country: IE 1" in fields["Last 24 hours"]
    assert "/blog/a: 1 sessions, 1m 35s" == fields["Top landing pages (24 h)"]
    assert "Sessions: ▁▁▁▁▁▁█ (Sun to Sat)" in fields["Last 7 days"]
    assert "0 published, 0 views a piece, 0 shares, 0 comments" == fields["Content funnel"]


def test_an_embed_never_holds_more_than_discord_takes() -> None:
    """Characters outside the first plane count twice."""
    sections = [
        (f"{number} " + "😀" * 300, ["😀" * 40 + str(line) for line in range(60)]) for number in range(40)
    ]
    (embed,) = message("😀" * 400, sections, at=NOON)["embeds"]

    assert everything(embed) <= talking.TOTAL
    assert len(embed["fields"]) <= talking.FIELDS
    assert all(len(field["value"].encode("utf-16-le")) // 2 <= talking.FIELD for field in embed["fields"])
    assert embed["fields"][0]["value"].endswith("more")
    assert "admin_traffic_reports" in embed["footer"]["text"]


def test_sections_without_lines_are_left_out_and_nothing_is_said_to_be_missing() -> None:
    (embed,) = message("t", [("empty", []), ("one", ["line"])], at=NOON)["embeds"]

    assert ["one"] == [field["name"] for field in embed["fields"]]
    assert "footer" not in embed


def test_lines_that_do_not_fit_are_counted() -> None:
    assert "a\n… 2 more" == fitting(["a", "b" * 9, "c" * 9], 12)
    assert "" == fitting(["a" * 50], 3)


def test_control_characters_become_spaces() -> None:
    assert "a b c" == plain("a\x00b\r\n\u202ec")


def test_a_webhook_says_nothing_about_itself() -> None:
    hook = talking.Webhook(
        talking._checked(f"https://discord.com/api/webhooks/1/{TOKEN}", may_be_loopback=False)
    )

    assert TOKEN not in f"{hook!r} {hook}"
