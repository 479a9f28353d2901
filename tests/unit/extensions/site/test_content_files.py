"""Only regular files inside the folder are read, and what is not read is told."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from cronledger.extensions.site.content_files import Found, files_of


def found_in(folder: Path, *, recursive: bool = True, most_bytes: int = 100) -> dict[str, str]:
    """Return what each file holds, or why it is not read."""
    found = files_of(folder, recursive=recursive, most_bytes=most_bytes)
    return {each.name: each.error or each.data.decode() for each in found}


def test_every_markdown_file_is_found_in_the_order_of_names(tmp_path: Path) -> None:
    for name in ("b.md", "a/c.md", "a/d/e.md", "z.md", "a.txt", ".hidden.md", ".git/x.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)

    assert ["a/c.md", "a/d/e.md", "b.md", "z.md"] == list(found_in(tmp_path))
    assert {"b.md": "b.md", "z.md": "z.md"} == found_in(tmp_path, recursive=False)


def test_a_link_is_not_followed_wherever_it_leads(tmp_path: Path) -> None:
    secret, content = tmp_path / "secret", tmp_path / "content"
    secret.mkdir()
    (secret / "key.md").write_text("secret")
    content.mkdir()
    (content / "file.md").symlink_to(secret / "key.md")
    (content / "folder").symlink_to(secret)
    (content / "nowhere.md").symlink_to("nothing")
    (content / "circle").symlink_to("circle")
    (content / "picture.png").symlink_to(secret / "key.md")

    assert dict.fromkeys(
        ["file.md", "folder", "nowhere.md"], "a symbolic link, which is not followed"
    ) == found_in(content)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.md")
    (tmp_path / "a.md").write_text("a")

    assert {"a.md": "a", "pipe.md": "not a regular file: pipes and devices are not read"} == found_in(
        tmp_path
    )


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "fits.md").write_bytes(b"x" * 100)
    with (tmp_path / "large.md").open("wb") as stream:
        stream.truncate(20_000_000)

    assert {"fits.md": "x" * 100, "large.md": "20000000 bytes, more than max_file_bytes (100)"} == found_in(
        tmp_path
    )


def test_folders_are_entered_to_a_limit(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d"] * 42)
    deep.mkdir(parents=True)
    (deep / "a.md").write_text("a")

    assert {"/".join(["d"] * 41): "folders may be nested 40 deep"} == found_in(tmp_path)


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert [Found("", error="the folder cannot be read: No such file or directory")] == list(
        files_of(tmp_path / "none", recursive=True, most_bytes=1)
    )


def test_a_folder_that_becomes_a_link_in_the_middle_is_not_entered(tmp_path: Path) -> None:
    content, secret = tmp_path / "content", tmp_path / "secret"
    for folder in (content / "b", secret):
        folder.mkdir(parents=True)
        (folder / "key.md").write_text(folder.name)
    (content / "a.md").write_text("a")
    found = files_of(content, recursive=True, most_bytes=100)
    first = next(found)
    (content / "b").rename(tmp_path / "before")
    (content / "b").symlink_to(secret)

    assert [Found("a.md", b"a"), Found("b", error="a symbolic link, which is not followed")] == [
        first,
        *found,
    ]


def test_a_file_that_becomes_a_link_in_the_middle_is_not_opened(tmp_path: Path) -> None:
    content = tmp_path / "content"
    content.mkdir()
    for name in ("a.md", "b.md"):
        (content / name).write_text(name)
    (tmp_path / "secret").write_text("secret")
    found = files_of(content, recursive=True, most_bytes=100)
    next(found)
    (content / "b.md").unlink()
    (content / "b.md").symlink_to(tmp_path / "secret")

    assert ["not a regular file: pipes and devices are not read"] == [each.error for each in found]


def test_the_folder_itself_may_not_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "content").symlink_to(tmp_path)

    assert {"": "a symbolic link, which is not followed"} == found_in(tmp_path / "content")


def test_what_the_user_may_not_read_is_told() -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "a.md").write_text("a")
        (folder / "secret.md").write_text("secret")
        (folder / "secret.md").chmod(0)
        (folder / "sealed").mkdir(mode=0)
        with somebody_else():
            found = found_in(folder)

    assert {
        "a.md": "a",
        "sealed": "the folder cannot be read: Permission denied",
        "secret.md": "cannot be read: Permission denied",
    } == found


@contextmanager
def somebody_else() -> Iterator[None]:
    """Be a user who may not read everything, where tests are run by the one who may."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)
