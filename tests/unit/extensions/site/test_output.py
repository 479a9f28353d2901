"""The only writer of a site's output: what it writes, what it refuses, what a reader may see."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from cronledger.extensions.site.folder import Folder, NotPlain, TooLarge
from cronledger.extensions.site.output import InUse, Output, PathRefused, checked
from cronledger.testing import ManualClock
from tests.unit.extensions.web.published_sites import PublishedSite, files, tree_hash

ESCAPES = [
    "../x", "../../x", "a/../../x", "..", ".", "a/..", "a/./b", "/x", "//x", "a//b", "", "a/", "%2e%2e/x",
    "..%2fx", "%2e%2e%2fx", "a\x00b", "a\\b", "..\\x", "C:x", "a\nb", "a b", "a/...", "~/../x", "ä",
    ".cronledger",
    ".cronledger/manifest.jsonl", "a" * 300, "\u2024\u2024/x", "\uff0e\uff0e/x", "..;/x", "a\u202eb",
]  # fmt: skip


@pytest.fixture
def output(tmp_path: Path) -> Iterator[Output]:
    with Output(tmp_path / "dist", "pages") as opened:
        yield opened


def written(root: Path, step: str = "pages", **paths: bytes | str) -> Output:
    """Write files as one step; a name's `__` stands for a dot."""
    with Output(root, step) as opened:
        for name, data in paths.items():
            opened.put(name.replace("__", "."), data.encode() if isinstance(data, str) else data)
        opened.finish()
    return opened


def state_of(root: Path) -> list[str]:
    """Return what the writer keeps for itself."""
    return sorted(path.name for path in (root / ".cronledger").iterdir())


@pytest.mark.parametrize("path", ESCAPES)
def test_a_path_that_might_leave_the_folder_is_refused(output: Output, path: str) -> None:
    with pytest.raises(PathRefused):
        output.put(path, b"x")


@given(
    st.text(max_size=40) | st.lists(st.sampled_from(["..", ".", "a", "", "%2e", "\\", "\0"])).map("/".join)
)
def test_a_path_that_is_taken_stays_below_the_folder_whatever_it_is(path: str) -> None:
    with suppress(PathRefused):
        parts = checked(path)

        assert Path("/srv/dist", *parts) == Path(os.path.normpath(f"/srv/dist/{path}"))
        assert ".." not in parts


def test_files_that_differ_in_case_alone_are_refused(output: Output) -> None:
    output.put("blog/Rye.html", b"1")
    with pytest.raises(PathRefused, match=r"'blog/rye.html' and 'blog/Rye.html' would be one file"):
        output.put("blog/rye.html", b"2")


def test_a_file_is_not_said_to_be_in_the_way_of_itself(tmp_path: Path, output: Output) -> None:
    """The refusal named one path twice, as if those were two."""
    output.put("blog/page/2/index.html", b"1")
    with pytest.raises(PathRefused, match=r"^'blog/page/2/index\.html' would be written twice: give one"):
        output.put("blog/page/2/index.html", b"2")
    written(tmp_path / "other", "asset_copy", robots__txt="theirs")
    with pytest.raises(PathRefused, match=r"^'robots\.txt' is there already, written by asset_copy: give"):
        written(tmp_path / "other", "robots_txt", robots__txt="ours")


def test_a_file_of_another_step_is_not_overwritten(tmp_path: Path) -> None:
    written(tmp_path, "assets", index__html="theirs")
    with pytest.raises(
        PathRefused, match=r"'Index\.html' is in the way of 'index\.html', which assets has written"
    ):
        written(tmp_path, "pages", Index__html="ours")

    assert {"index.html": b"theirs"} == files(tmp_path)


@pytest.mark.parametrize(
    ("place", "said"),
    [("file/dist", "file/dist cannot be made: Not a directory"), ("file", "file is no folder: put a plain")],
)
def test_an_output_that_cannot_be_is_told_in_words(tmp_path: Path, place: str, said: str) -> None:
    """It was told as "[Errno 20] Not a directory"."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match=said) as raised:
        Output(tmp_path / place, "pages").__enter__()

    assert "Errno" not in str(raised.value)


def test_a_linked_folder_is_neither_followed_nor_replaced(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "dist"
    outside.mkdir()
    root.mkdir()
    (root / "blog").symlink_to(outside)
    with Output(root, "pages") as output, pytest.raises(NotPlain, match="blog is a link"):
        output.put("blog/index.html", b"x")

    assert [] == list(outside.iterdir())


def test_a_linked_file_is_neither_followed_nor_replaced(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside.html", tmp_path / "dist"
    outside.write_text("theirs")
    root.mkdir()
    (root / "index.html").symlink_to(outside)
    with Output(root, "pages") as output, pytest.raises(NotPlain, match=r"index.html is a link"):
        output.put("index.html", b"ours")

    assert "theirs" == outside.read_text()
    assert (root / "index.html").is_symlink()


@pytest.mark.parametrize("linked", [".", ".cronledger"])
def test_an_output_that_is_a_link_itself_is_refused(tmp_path: Path, linked: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "dist").mkdir(exist_ok=linked != ".")
    place = tmp_path / "dist" / linked if linked != "." else tmp_path / "dist"
    if linked == ".":
        place.rmdir()
    place.symlink_to(outside)

    with pytest.raises(NotPlain, match="is a link"):
        written(tmp_path / "dist", index__html="x")
    assert [] == list(outside.iterdir())


def test_a_pipe_in_the_way_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "index.html")
    with pytest.raises(NotPlain, match="neither a file nor a folder"):
        written(tmp_path, index__html="x")


def test_a_folder_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "index.html").mkdir()
    with pytest.raises(NotPlain, match="is a folder"):
        written(tmp_path, index__html="x")


def test_a_reader_has_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    written(tmp_path, index__html="old")
    with Output(tmp_path, "pages") as output, (tmp_path / "index.html").open() as reader:
        output.put("index.html", b"new")
        between = (tmp_path / "index.html").read_text()
        output.finish()

        assert "old" == between
        assert "old" == reader.read()
    assert "new" == (tmp_path / "index.html").read_text()


def test_what_fails_before_its_end_leaves_nothing_behind(tmp_path: Path) -> None:
    with Output(tmp_path, "pages") as output:
        output.put("index.html", b"new")

    assert {} == files(tmp_path)
    assert ["lock"] == state_of(tmp_path)


def test_what_a_killed_run_left_behind_is_removed_by_the_next(tmp_path: Path) -> None:
    written(tmp_path, index__html="x")
    for name in ("tmp-1", "tmp-manifest"):
        (tmp_path / ".cronledger" / name).write_text("half")
    with (tmp_path / ".cronledger" / "manifest.jsonl").open("a") as manifest:
        manifest.write('{"path":"half')
    output = written(tmp_path, index__html="x", other__html="y")

    assert ["lock", "manifest.jsonl"] == state_of(tmp_path)
    assert (1, 1, 0) == (output.counts.written, output.counts.unchanged, output.counts.removed)


def test_a_file_that_was_noted_and_not_yet_moved_is_still_removed_later(tmp_path: Path) -> None:
    """A killed run has noted the next bytes of a page that still has the bytes before."""
    written(tmp_path, a__html="old", b__html="b")
    with (tmp_path / ".cronledger" / "manifest.jsonl").open("a") as manifest:
        manifest.write('{"path":"a.html","step":"pages","sha256":"00"}\n')
    output = written(tmp_path, b__html="b")

    assert ({"b.html": b"b"}, 1, []) == (files(tmp_path), output.counts.removed, output.failed)


def test_files_are_adopted_where_the_manifest_is_lost(tmp_path: Path) -> None:
    written(tmp_path, a__html="a", b__html="b")
    (tmp_path / ".cronledger" / "manifest.jsonl").unlink()
    again = written(tmp_path, a__html="a", b__html="b")
    written(tmp_path, a__html="a")

    assert (0, 2) == (again.counts.written, again.counts.unchanged)
    assert {"a.html": b"a"} == files(tmp_path)


def test_two_writers_take_turns(tmp_path: Path) -> None:
    with Output(tmp_path, "pages"), pytest.raises(InUse, match="another run is writing to"):
        Output(tmp_path, "sitemap")
    Output(tmp_path, "sitemap").__exit__()


def test_the_lock_of_a_process_that_is_gone_is_free(tmp_path: Path) -> None:
    written(tmp_path, index__html="x")
    child = os.fork()
    if child == 0:
        file = os.open(tmp_path / ".cronledger" / "lock", os.O_RDWR)
        fcntl.flock(file, fcntl.LOCK_EX)
        os._exit(0)
    os.waitpid(child, 0)

    assert 1 == written(tmp_path, index__html="x").counts.unchanged


def test_more_files_than_one_batch_holds_are_written(tmp_path: Path) -> None:
    written(tmp_path, **{f"p{number}__html": str(number) for number in range(1201)})

    assert 1201 == len(files(tmp_path))


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"12345")
    with (
        Folder(tmp_path) as folder,
        pytest.raises(TooLarge, match=r"has 5 bytes, more than the 4 that are read"),
    ):
        folder.read(("large",), 4)


def test_a_linked_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "top").mkdir()
    (tmp_path / "top" / "link").symlink_to(tmp_path / "secret")
    with Folder(tmp_path / "top") as folder, pytest.raises(NotPlain, match="link is a link"):
        folder.read(("link",), 100)


def test_a_linked_template_is_not_read(tmp_path: Path, app_db: Engine, clock: ManualClock) -> None:
    site = PublishedSite.bare(tmp_path / "site", app_db, clock)
    (tmp_path / "secret.html").write_text("secret")
    path = site.write("web/templates/item.html", "")
    path.unlink()
    path.symlink_to(tmp_path / "secret.html")
    site.add("rye")

    assert "item.html is a link" in site.errors()["page_prerender"]
    assert b"secret" not in b"".join(files(site.output).values())


def test_links_and_pipes_among_assets_are_told_and_the_others_copied(
    tmp_path: Path, app_db: Engine, clock: ManualClock
) -> None:
    site = PublishedSite.bare(tmp_path / "site", app_db, clock)
    secret = tmp_path / "secret"
    secret.write_text("secret")
    assets = site.write("web/assets/a.txt", "a").parent
    (assets / "link.txt").symlink_to(secret)
    (assets / "folder").symlink_to(tmp_path)
    os.mkfifo(assets / "pipe")
    site.write("web/assets/with blank.txt", "b")
    error = site.errors()["asset_copy"]

    assert "folder is a link" in error
    assert "link.txt is a link" in error
    assert "pipe is neither a file nor a folder" in error
    assert "4 failed" in error
    assert ["a.txt", "css/site.css"] == [
        name for name in files(site.output) if name.endswith(("txt", "css"))
    ][:2]
    assert "secret" not in str(files(site.output))


@pytest.mark.parametrize(
    "slug", ["../../x", "/etc/x", "%2e%2e/x", "a\x01b", "a\\b", "..", "RYE", "x/../../y"]
)
def test_a_row_with_a_slug_that_leads_out_changes_nothing_outside(
    tmp_path: Path, app_db: Engine, clock: ManualClock, slug: str
) -> None:
    """Rows may be written by others than our ingestion, which refuses such slugs."""
    home = tmp_path / "home"
    site = PublishedSite.bare(home / "site", app_db, clock)
    site.add("rye", published_at="2026-02-01")
    site.add("wheat")
    site.publish()
    (site.root / "services/content/wheat.md").unlink()
    with site.db.begin() as connection:
        connection.execute(
            text("UPDATE markdown_content SET slug = :slug WHERE slug = 'wheat'"), {"slug": slug}
        )
    before = tree_hash(home, site.output)
    error = site.errors()["page_prerender"]

    assert before == tree_hash(home, site.output)
    assert "is no path for the output" in error or "would be one file" in error
    assert (site.output / "blog/rye/index.html").exists()
    assert slug not in site.text("sitemap.xml") + site.text("feed.xml") + site.text("llms.txt")


def test_a_file_that_could_not_be_written_is_still_ours_to_remove(tmp_path: Path) -> None:
    """A page whose new bytes found no room on the disk stayed for ever once it was not wanted any more."""
    written(tmp_path, a__html="old", b__html="b")
    state = tmp_path / ".cronledger"
    with Output(tmp_path, "pages") as output:
        state.rename(tmp_path / "away")
        state.write_text("in the way")
        with pytest.raises(OSError, match="cronledger"):
            output.put("a.html", b"new")
        state.unlink()
        (tmp_path / "away").rename(state)
        output.keep("a.html")
        output.put("b.html", b"b")
        output.finish()
    last = written(tmp_path, b__html="b")

    assert ({"b.html": b"b"}, []) == (files(tmp_path), last.failed)


def test_what_is_in_the_way_of_a_new_file_is_told_and_the_others_are_written(tmp_path: Path) -> None:
    """The step failed with the KeyError of a path that was never noted."""
    (tmp_path / "a.html").mkdir()
    with Output(tmp_path, "pages") as output:
        with pytest.raises(NotPlain, match="is a folder"):
            output.put("a.html", b"a")
        output.keep("a.html")
        output.put("b.html", b"b")
        output.finish()

    assert {"b.html": b"b"} == files(tmp_path)


def test_a_file_in_the_way_of_a_folder_of_the_same_run_is_told_alone(tmp_path: Path) -> None:
    with Output(tmp_path, "pages") as output:
        for path in ("x", "x/y", "z"):
            output.put(path, b"1")
        output.finish()

    assert {"x": b"1", "z": b"1"} == files(tmp_path)
    assert 1 == len(output.failed)
    assert "x/y cannot be written" in output.failed[0]
    assert [] == written(tmp_path, z="1").failed


def test_what_is_below_a_kept_folder_stays(tmp_path: Path) -> None:
    with Output(tmp_path, "pages") as output:
        for path in ("img/a", "img/b/c", "image"):
            output.put(path, b"1")
        output.finish()
    with Output(tmp_path, "pages") as output:
        output.keep("img")
        output.finish()

    assert {"img/a", "img/b/c"} == files(tmp_path).keys()


def test_an_heir_takes_over_a_file_and_nobody_else_does(tmp_path: Path) -> None:
    written(tmp_path, "first", a="1")
    with pytest.raises(PathRefused, match="written by first"):
        written(tmp_path, "second", a="1")
    with Output(tmp_path, "second", heir_of="first") as output:
        output.put("a", b"1")
        output.finish()
    written(tmp_path, "first")

    assert {"a": b"1"} == files(tmp_path)


def test_a_folder_that_vanishes_during_a_walk_is_told_and_the_walk_goes_on(tmp_path: Path) -> None:
    """Whatever came behind it was taken for gone."""
    for path in ("a", "b/x", "c"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("1")
    told: list[tuple[str, ...]] = []
    with Folder(tmp_path) as folder:
        walk = folder.files(lambda parts, _: told.append(parts))
        found = [next(walk)]
        (tmp_path / "b").rename(tmp_path / "elsewhere")
        found += walk

    assert ([("a",), ("c",)], [("b",)]) == (found, told)


def test_a_file_that_vanishes_while_a_folder_is_read_is_passed_over(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).write_text("1")

    def hidden(name: str) -> bool:
        if name == "b":
            (tmp_path / name).unlink()
        return False

    told: list[tuple[str, ...]] = []
    with Folder(tmp_path) as folder:
        found = list(folder.files(lambda parts, _: told.append(parts), hidden=hidden))

    assert ([("a",), ("c",)], []) == (found, told)
