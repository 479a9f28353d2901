"""Markdown files become rows, on each database; whatever is wrong with one of them, the others go on."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from cronledger.extensions.core.publish_content import PublishContent
from cronledger.extensions.site.ingestion import MOST_ROWS, Rules, ingest
from cronledger.extensions.site.load import load_site
from tests.unit.extensions.conftest import NOON
from tests.unit.extensions.site.site_files import Folder, markdown

NO_NODE = "did not find expected node content (while parsing a flow node)"
NOT_A_SLUG = "must be small letters, digits and single hyphens, in segments between slashes"
TWO_SOURCES = "content_sources: {blog: {path: blog}, docs: {path: docs, category_id: help}}"


def as_utc(instant: datetime) -> datetime:
    """Read an instant as a database gives it back, SQLite without its zone."""
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def execute(folder: Folder, statement: str) -> None:
    assert folder.db is not None
    with folder.db.begin() as connection:
        connection.execute(text(statement))


def test_what_a_file_says_becomes_a_row(folder: Folder) -> None:
    folder.write(
        "hello.md",
        markdown(
            "# Hello",
            description="What it is",
            author="Ada",
            keywords="one",
            tags="[two]",
            image="/a.png",
            category="news",
            public="false",
            locale="de",
            links="[{title: Home, url: /}]",
        ),
    )
    run = folder.perform()

    assert ("succeeded", 1, 0) == (run.outcome, run.items_processed, run.items_failed)
    (row,) = folder.rows()
    assert (32, 64) == (len(row.pop("id")), len(row.pop("version_hash")))
    assert NOON == as_utc(row.pop("updated_at"))
    assert datetime(2026, 1, 31, tzinfo=UTC) == as_utc(row.pop("published_at"))
    assert {
        "slug": "hello",
        "locale": "de",
        "title": "Hello",
        "description": "What it is",
        "body": "# Hello",
        "author": "Ada",
        "keywords": "one, two",
        "kind": "blog",
        "image": "/a.png",
        "category_id": "news",
        "source_id": "blog",
        "public": False,
        "links": [{"rel": "link", "title": "Home", "url": "/"}],
    } == row


def test_a_file_that_has_not_changed_is_not_written_and_one_that_has_keeps_its_id(folder: Folder) -> None:
    folder.write("a.md", markdown(slug="a"))
    folder.write("b.md", markdown(slug="b"))
    folder.ingest()
    first = {row["slug"]: row for row in folder.rows()}

    folder.clock.advance(60)
    folder.write("b.md", markdown(slug="b", keywords="new"))
    run = folder.ingest()

    assert ("1 written, 1 unchanged", 1) == (run.message, run.items_processed)
    second = {row["slug"]: row for row in folder.rows()}
    assert first["a"] == second["a"]
    assert (first["b"]["id"], "new") == (second["b"]["id"], second["b"]["keywords"])
    assert first["b"]["updated_at"] < second["b"]["updated_at"]
    assert "0 written, 2 unchanged" == folder.ingest().message


def test_the_first_of_two_files_with_one_slug_stands_and_both_are_named(folder: Folder) -> None:
    folder.write("b.md", markdown(title="Second", slug="same"))
    folder.ingest()
    folder.write("a.md", markdown(title="First", slug="same"))
    folder.write("c.md", markdown(title="Another language", slug="same", locale="de"))
    error = "services/content/b.md:3:7: slug 'same' (en) is already that of services/content/a.md"

    assert f"2 written, 0 unchanged, 1 error: {error}" == folder.ingest().message
    assert f"0 written, 2 unchanged, 1 error: {error}" == folder.ingest().message
    assert ["Another language", "First"] == [row["title"] for row in folder.rows()]


def test_a_slug_is_one_of_the_whole_site(folder: Folder) -> None:
    folder.write("config.yaml", TWO_SOURCES)
    folder.write("blog/a.md", markdown(slug="same"))
    folder.write("docs/a.md", markdown(slug="same"))
    error = "services/content/docs/a.md:3:7: slug 'same' (en) is already that of services/content/blog/a.md"

    assert f"1 written, 0 unchanged, 1 error: {error}" == folder.ingest().message
    assert f"0 written, 1 unchanged, 1 error: {error}" == folder.ingest().message


def test_what_is_wrong_with_a_file_is_one_error_and_the_others_go_on(
    folder: Folder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder.write("a/fine.md", markdown())
    folder.write("b/broken.md", "---\ntitle: [\n---\n")
    folder.write("b/missing.md", markdown(slug="x", kind=None))
    folder.write("b/same.md", markdown())
    folder.write("b/upwards.md", markdown(slug="../../etc/passwd"))
    folder.write("b/latin.md", markdown("caf").encode() + b"\xe9")
    folder.write("b/\udc80\x1b.md", "")
    os.truncate(folder.write("b/large.md", ""), 20_000_000)
    os.mkfifo(folder.content / "b/pipe.md")
    (tmp_path / "outside.md").write_text(markdown(slug="outside"))
    (folder.content / "b/link.md").symlink_to(tmp_path / "outside.md")
    (folder.content / "c").symlink_to(folder.content / "a")
    folder.write("z/also-fine.md", markdown(slug="also"))

    run = folder.ingest()

    assert (True, 2, 10, ["also", "hello"]) == (
        run.ok, run.items_processed, run.items_failed, folder.slugs()
    )  # fmt: skip
    told = sorted(record.message for record in caplog.records if record.levelname == "ERROR")
    assert [
        "services/content/b/broken.md:2:9: not valid YAML: " + NO_NODE,
        "services/content/b/large.md:1:1: 20000000 bytes, more than max_file_bytes (5000000)",
        "services/content/b/latin.md:7:4: the file is not UTF-8",
        "services/content/b/link.md:1:1: a symbolic link, which is not followed",
        "services/content/b/missing.md:2:1: kind: is missing",
        "services/content/b/pipe.md:1:1: not a regular file: pipes and devices are not read",
        "services/content/b/same.md:3:7: slug 'hello' (en) is already that of services/content/a/fine.md",
        "services/content/b/upwards.md:3:7: slug: '../../etc/passwd' " + NOT_A_SLUG,
        "services/content/b/\ufffd\ufffd.md:1:1: the file must begin with front matter, after a line ---",
        "services/content/c:1:1: a symbolic link, which is not followed",
    ] == told
    assert run.message is not None
    assert run.message.startswith(f"2 written, 0 unchanged, 10 errors: {told[0]}; {told[1]}; ")


def test_a_file_that_breaks_keeps_its_row(folder: Folder) -> None:
    folder.write("a.md", markdown(slug="a"))
    folder.write("b.md", markdown(slug="b"))
    folder.ingest()
    before = folder.rows()
    folder.write("a.md", "no longer content")

    run = folder.ingest(delete_orphans=True)

    assert (1, before) == (run.items_failed, folder.rows())


def test_a_run_in_which_every_file_fails_has_failed(folder: Folder) -> None:
    folder.write("a.md", "a")
    folder.write("b.md", "b")
    run = folder.perform()

    assert ("failed", 0, 2) == (run.outcome, run.items_processed, run.items_failed)
    assert "services/content/a.md:1:1: the file must begin with front matter" in str(run.error)


def test_the_size_of_a_file_may_be_limited(folder: Folder) -> None:
    size = len(folder.write("a.md", markdown()).read_bytes())

    assert 0 == folder.perform(max_file_bytes=str(size)).items_failed
    assert f"{size} bytes, more than" in str(folder.perform(max_file_bytes=str(size - 1)).error)


# --- orphans --------------------------------------------------------------------------------------------


@pytest.fixture
def with_orphan(folder: Folder) -> Folder:
    """Return a folder of two sources; the file of the row `gone` of `blog` is gone."""
    folder.write("config.yaml", TWO_SOURCES)
    folder.write("blog/a.md", markdown(slug="a"))
    folder.write("blog/gone.md", markdown(slug="gone"))
    folder.write("docs/b.md", markdown(slug="b"))
    folder.ingest()
    (folder.content / "blog/gone.md").unlink()
    return folder


def test_a_row_whose_file_is_gone_stays_unless_somebody_says_otherwise(with_orphan: Folder) -> None:
    assert "0 written, 2 unchanged" == with_orphan.ingest().message
    assert ["a", "b", "gone"] == with_orphan.slugs()

    run = with_orphan.ingest(delete_orphans=True)
    assert "0 written, 2 unchanged, 1 deleted because their files are gone" == run.message
    assert ["a", "b"] == with_orphan.slugs()


@pytest.mark.parametrize(
    ("said", "left"),
    [("true", ["a", "b"]), ("1", ["a", "b"]), ("0", ["a", "b", "gone"]), ("", ["a", "b", "gone"])],
)
def test_the_environment_may_say_it_too(
    with_orphan: Folder, monkeypatch: pytest.MonkeyPatch, said: str, left: list[str]
) -> None:
    monkeypatch.setenv("CONTENT_INGESTION_DELETE_ORPHANS", said)
    with_orphan.ingest(delete_orphans=False)
    assert ["a", "b", "gone"] == with_orphan.slugs()

    with_orphan.ingest()
    assert left == with_orphan.slugs()


def test_a_source_may_say_it_for_itself(with_orphan: Folder) -> None:
    (with_orphan.content / "docs/b.md").rename(with_orphan.content / "docs/c.md")
    with_orphan.write("docs/c.md", markdown(slug="c"))
    with_orphan.write(
        "config.yaml",
        "content_sources: {blog: {path: blog}, docs: {path: docs, indexing: {clear_before: true}}}",
    )
    with_orphan.ingest()

    assert ["a", "c", "gone"] == with_orphan.slugs()


def test_without_enforcement_an_orphan_is_counted_and_stays(with_orphan: Folder) -> None:
    with_orphan.entry = {"enforce": "false"}
    run = with_orphan.perform(delete_orphans="true")

    assert "0 written, 2 unchanged, 1 would be deleted because their files are gone" == run.message
    assert ["a", "b", "gone"] == with_orphan.slugs()


def test_a_source_without_a_fine_file_loses_nothing(with_orphan: Folder) -> None:
    (with_orphan.content / "blog/a.md").unlink()
    with_orphan.ingest(delete_orphans=True)

    assert ["a", "b", "gone"] == with_orphan.slugs()


def test_a_source_with_a_file_that_cannot_be_read_loses_nothing(
    with_orphan: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    with_orphan.write("blog/broken.md", "---")
    with_orphan.ingest(delete_orphans=True)

    assert ["a", "b", "gone"] == with_orphan.slugs()
    assert "source 'blog' keeps 1 row without a file, because 1 file could not be read" in caplog.messages


def test_rows_of_other_sources_and_of_nobody_are_no_orphans(with_orphan: Folder) -> None:
    execute(with_orphan, "UPDATE markdown_content SET source_id = 'elsewhere' WHERE slug = 'gone'")
    with_orphan.ingest(delete_orphans=True)

    assert ["a", "b", "gone"] == with_orphan.slugs()


def test_a_file_that_moves_to_another_source_takes_its_row_along(folder: Folder) -> None:
    folder.write("config.yaml", TWO_SOURCES)
    for name in ("blog/a.md", "docs/b.md"):
        folder.write(name, markdown(slug=name[5]))
    folder.write("blog/moved.md", markdown(slug="moved", category="own"))
    folder.ingest()
    before = {row["slug"]: row["id"] for row in folder.rows()}
    (folder.content / "blog/moved.md").rename(folder.content / "docs/moved.md")

    run = folder.ingest(delete_orphans=True)

    assert "1 written, 2 unchanged" == run.message
    assert before == {row["slug"]: row["id"] for row in folder.rows()}
    assert ["blog", "docs", "docs"] == [row["source_id"] for row in folder.rows()]
    assert "0 written, 3 unchanged" == folder.ingest().message


# --- settings -------------------------------------------------------------------------------------------


def test_a_source_may_leave_changed_files_alone(folder: Folder) -> None:
    folder.write("config.yaml", "content_sources: {blog: {path: ., override_existing: false}}")
    folder.write("a.md", markdown(title="First"))
    folder.ingest()
    folder.write("a.md", markdown(title="Second"))

    assert "0 written, 0 unchanged, 1 changed but not to be overridden" == folder.ingest().message
    assert ["First"] == [row["title"] for row in folder.rows()]


def test_a_kind_that_its_source_does_not_allow_is_an_error(folder: Folder) -> None:
    folder.write("a.md", markdown(slug="a", kind="guide"))
    folder.write("b.md", markdown(slug="b", kind="blog"))
    folder.ingest()
    folder.write("config.yaml", "content_sources: {blog: {path: ., allowed_content_types: [guide]}}")

    assert (
        "0 written, 1 unchanged, 1 error: services/content/b.md:5:7: kind 'blog' is not for source 'blog' "
        "(allowed: guide)"
    ) == folder.ingest(delete_orphans=True).message
    assert ["a", "b"] == folder.slugs()


def test_a_changed_category_reaches_rows_whose_files_have_not_changed(folder: Folder) -> None:
    folder.write("a.md", markdown(slug="a"))
    folder.write("b.md", markdown(slug="b", category="own"))
    folder.ingest()
    folder.write("config.yaml", "content_sources: {blog: {path: ., category_id: new}}")

    assert "1 written, 1 unchanged" == folder.ingest().message
    assert [("a", "new"), ("b", "own")] == [(row["slug"], row["category_id"]) for row in folder.rows()]
    assert "0 written, 2 unchanged" == folder.ingest().message


def test_a_changed_language_of_the_site_reaches_files_that_do_not_say_theirs(folder: Folder) -> None:
    folder.write("a.md", markdown(slug="a"))
    folder.write("b.md", markdown(slug="b", locale="en"))
    folder.ingest()
    folder.write("config.yaml", "metadata: {language: de}")

    run = folder.ingest(delete_orphans=True)
    assert "1 written, 1 unchanged, 1 deleted because their files are gone" == run.message
    assert [("a", "de"), ("b", "en")] == [(row["slug"], row["locale"]) for row in folder.rows()]
    assert "0 written, 2 unchanged" == folder.ingest().message


def test_without_a_source_there_is_nothing_to_do(folder: Folder) -> None:
    run = folder.perform()

    assert ("succeeded", "skipped: there is no source of content") == (run.outcome, run.message)


def test_a_disabled_source_is_not_read(folder: Folder) -> None:
    folder.write("config.yaml", "content_sources: {blog: {path: ., enabled: false}}")
    folder.write("a.md", markdown())
    folder.ingest()

    assert [] == folder.rows()


def test_settings_that_are_wrong_fail_the_run_with_their_place(folder: Folder) -> None:
    folder.write("config.yaml", "content_sources: {blog: {pth: .}}")
    run = folder.perform()

    assert "failed" == run.outcome
    assert "services/content/config.yaml:1:26: error: content_sources.blog: unknown key 'pth'" in str(
        run.error
    )


def test_publish_content_does_the_same(folder: Folder) -> None:
    folder.write("a.md", markdown())

    assert "1 written, 0 unchanged" == folder.perform(PublishContent(), extension="core").message


# --- the database ---------------------------------------------------------------------------------------


def test_more_files_than_one_transaction_takes_are_all_written(folder: Folder) -> None:
    for number in range(MOST_ROWS + 1):
        folder.write(f"{number}.md", markdown(slug=str(number)))

    assert f"{MOST_ROWS + 1} written, 0 unchanged" == folder.ingest().message
    assert f"0 written, {MOST_ROWS + 1} unchanged" == folder.ingest().message


def test_a_row_that_the_database_refuses_is_one_error(folder: Folder) -> None:
    execute(folder, "CREATE UNIQUE INDEX one_title ON markdown_content (title)")
    for slug in ("a", "b", "c"):
        folder.write(f"{slug}.md", markdown(slug=slug, title="Same" if slug != "c" else "Other"))
    run = folder.ingest()

    assert (["a", "c"], 2, 1) == (folder.slugs(), run.items_processed, run.items_failed)
    assert "services/content/b.md:1:1: the database refuses the row: " in str(run.message)


def test_a_host_may_call_the_table_and_its_columns_otherwise(folder: Folder) -> None:
    execute(folder, "ALTER TABLE markdown_content RENAME TO articles")
    execute(folder, "ALTER TABLE articles RENAME COLUMN body TO words")
    columns: dict[str, Any] = {"name": "articles", "columns": {"body": "words"}}
    folder.application = {"tables": {"markdown_content": columns}}
    folder.write("a.md", markdown("One"))
    assert "1 written, 0 unchanged" == folder.ingest().message

    folder.write("a.md", markdown("Two"))
    assert "1 written, 0 unchanged" == folder.ingest().message
    assert folder.db is not None
    with folder.db.connect() as connection:
        assert ["Two"] == list(connection.execute(text("SELECT words FROM articles")).scalars())


def test_a_table_that_is_not_there_is_named(folder: Folder) -> None:
    execute(folder, "ALTER TABLE markdown_content RENAME TO articles")
    folder.write("a.md", markdown())

    assert "no table 'markdown_content': run `cronledger app-db upgrade`" in str(folder.perform().error)


def test_a_run_that_is_cancelled_keeps_what_it_has_and_deletes_nothing(folder: Folder) -> None:
    for slug in ("a", "b", "c"):
        folder.write(f"{slug}.md", markdown(slug=slug))
    folder.ingest()
    (folder.content / "c.md").unlink()
    folder.write("a.md", markdown("New text.", slug="a"))
    asked = count(1)
    ctx = folder.context(is_cancelled=lambda: next(asked) > 1)

    done = ingest(ctx, load_site(ctx), Rules(delete_orphans=True))

    assert "1 written, 0 unchanged, stopped before the end" == done.result().message
    assert ["a", "b", "c"] == folder.slugs()
    assert ["New text."] == [row["body"] for row in folder.rows() if row["slug"] == "a"]


def test_runs_at_the_same_time_write_every_file_and_fail_neither(folder: Folder) -> None:
    for number in range(300):
        folder.write(f"{number}.md", markdown(slug=str(number)))
    with ThreadPoolExecutor(3) as threads:
        done = [each.result() for each in [threads.submit(folder.ingest) for _ in range(3)]]

    assert [(True, 0)] * 3 == [(each.ok, each.items_failed) for each in done]
    assert 300 == len(folder.slugs())
    assert "0 written, 300 unchanged" == folder.ingest().message
