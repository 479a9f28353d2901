"""The kinds of content there are."""

from __future__ import annotations

KINDS = (
    "blog", "guide", "tutorial", "reference", "docs-index", "docs", "docs-list", "feature",
    "playbook", "legal",
)  # fmt: skip


def kind_of(word: str) -> str:
    """Return the kind that a word stands for: `page` is legal, and what nobody knows is blog.

    >>> kind_of("guide"), kind_of("page"), kind_of("article")
    ('guide', 'legal', 'blog')
    """
    if word == "page":
        return "legal"
    return word if word in KINDS else "blog"
