"""Only regular files inside the folder are read, and what is not read is told."""

from __future__ import annotations

import os
from pathlib import Path

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


def test_a_folder_that_became_a_link_is_not_entered(tmp_path: Path) -> None:
    (tmp_path / "content").symlink_to(tmp_path)

    assert {"": "the folder cannot be read: Not a directory"} == found_in(tmp_path / "content")
