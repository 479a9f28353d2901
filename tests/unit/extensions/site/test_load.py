"""The files that describe a site: each is optional, and what is wrong with them is told all at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from cronledger.extensions.site.settings import Branding, ParentRoute, Sitemap, Source
from tests.unit.extensions.site.site_files import Folder

CONTENT = "services/content/config.yaml"
BLOG = "services/config/blog.yaml"
FOLDER = "services/web/templates"
TEMPLATES = f"{FOLDER}/templates.yaml"


def test_without_a_file_the_blog_is_what_is_in_the_content(files: Folder) -> None:
    files.content.mkdir(parents=True)
    site = files.site()

    sitemap = Sitemap(url_pattern="/blog/{slug}", parent_route=ParentRoute(url="/blog"))
    assert (Source(source_id="blog", path=files.content, sitemap=sitemap),) == site.sources
    assert ("https://example.com", "example.com", "en", ("en",), {}) == (
        site.base_url, site.name, site.language, site.locales, site.kinds
    )  # fmt: skip
    assert (
        files.root / "services/content",
        files.root / "services/web/templates",
        files.root / "services/web/assets",
        files.root / "web/dist",
    ) == (site.content, site.templates, site.assets, site.output)


def test_without_content_there_is_no_source(files: Folder) -> None:
    assert () == files.site().sources


def test_a_source_says_all_there_is_to_say(files: Folder) -> None:
    (files.content / "guides").mkdir(parents=True)
    files.write(
        "config.yaml",
        """
content_sources:
  guides:
    source_id: handbook
    category_id: how
    path: guides
    enabled: true
    description: How things are done
    allowed_content_types: [guide, page, article]
    branding: {name: Handbook, image: /handbook.png, keywords: "how, to"}
    indexing: {clear_before: true, recursive: false, override_existing: false}
    sitemap:
      enabled: true
      url_pattern: /how/{slug}
      priority: 0.8
      changefreq: daily
      fetch_from: database
      parent_route: {enabled: true, url: /how, priority: 1, changefreq: monthly}
categories:
  how: {name: How to, description: Instructions}
metadata:
  default_author: Ada
  language: de
  locales: [de, en]
  structured_data:
    organization: {name: House, url: https://house.example}
    blog: {description: All about it}
    article: {type: Article}
""",
    )
    site = files.site()

    assert ("House", "All about it", "Ada", "de", ("de", "en")) == (
        site.name, site.description, site.author, site.language, site.locales
    )  # fmt: skip
    branding = Branding(
        name="Handbook", description="How things are done", image="/handbook.png", keywords="how, to"
    )
    route = ParentRoute(url="/how", priority=1.0, changefreq="monthly")
    assert (
        Source(
            source_id="handbook",
            category_id="how",
            path=files.content / "guides",
            allowed_content_types=("guide", "legal", "blog"),
            override_existing=False,
            recursive=False,
            clear_before=True,
            branding=branding,
            sitemap=Sitemap(url_pattern="/how/{slug}", priority=0.8, changefreq="daily", parent_route=route),
        ),
    ) == site.sources


def test_two_files_may_each_say_a_part_of_a_source(files: Folder) -> None:
    (files.content / "posts").mkdir(parents=True)
    files.write("config.yaml", "content_sources: {posts: {sitemap: {url_pattern: '/{slug}'}}}")
    files.write_elsewhere(
        BLOG,
        "base_url: https://house.example/blog/\n"
        "enable_link_tracking: true\n"
        "content_sources: [{source_id: posts, path: ../content/posts, category_id: news}]\n",
    )
    site = files.site()

    assert "https://house.example/blog" == site.base_url
    (source,) = site.sources
    assert ("posts", "news", files.content / "posts", Sitemap(url_pattern="/{slug}")) == (
        source.source_id, source.category_id, source.path, source.sitemap
    )  # fmt: skip


@pytest.mark.parametrize("path", ["services/content/posts", "./services/content/posts", "../content/posts"])
def test_a_path_is_relative_to_its_file_or_begins_with_services(files: Folder, path: str) -> None:
    (files.content / "posts").mkdir(parents=True)
    files.write_elsewhere(BLOG, f"content_sources: [{{source_id: posts, path: {path}}}]")

    assert [files.content / "posts"] == [source.path for source in files.site().sources]


def test_an_absolute_path_may_lie_outside(files: Folder, tmp_path: Path) -> None:
    (tmp_path / "posts").mkdir()
    files.write("config.yaml", f"content_sources: {{posts: {{path: {tmp_path / 'posts'}}}}}")

    assert [tmp_path / "posts"] == [source.path for source in files.site().sources]


def test_another_place_for_the_blog_may_be_said_in_the_environment(
    files: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.write_elsewhere("elsewhere/blog.yaml", "base_url: http://house.example")
    monkeypatch.setenv("BLOG_CONFIG", "elsewhere/blog.yaml")
    assert "http://house.example" == files.site().base_url

    monkeypatch.setenv("BLOG_CONFIG", "elsewhere/bolg.yaml")
    assert (None, ["BLOG_CONFIG: there is no file 'elsewhere/bolg.yaml'"]) == files.load()


def test_the_application_has_the_last_word_on_address_and_folders(files: Folder) -> None:
    files.write_elsewhere(BLOG, "base_url: https://other.example")
    files.application = {
        "base_url": "https://house.example/",
        "site": {"output": "public", "templates": "../shared"},
    }
    site = files.site()

    assert ("https://house.example", files.root / "public", files.root.parent / "shared") == (
        site.base_url, site.output, site.templates
    )  # fmt: skip


def test_templates_say_which_kinds_they_are_for(files: Folder) -> None:
    files.write_elsewhere(
        TEMPLATES, "templates: {post: {content_types: [blog, guide]}, list: {content_types: [blog-list]}}"
    )

    assert {"blog": "post", "guide": "post", "blog-list": "list"} == files.site().kinds


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("content_source: {}", "1:1: error: unknown key 'content_source', did you mean 'content_sources'?"),
        (
            "a: [",
            "1:5: error: not valid YAML: did not find expected node content (while parsing a flow node)",
        ),
        ("- a", "1:1: error: must be a mapping of keys to values, not a list"),
        (
            "content_sources: [a]",
            "1:18: error: content_sources: must be a mapping of keys to values, not a list",
        ),
        (
            "content_sources: {blog: {path: posts, pth: 1}}",
            "1:39: error: content_sources.blog: unknown key 'pth', did you mean 'path'?",
        ),
        ("content_sources: {blog: {}}", None),
        ("content_sources: {blog: {path: nowhere}}", None),
        ("content_sources: {blog: {path: config.yaml}}", None),
        ("content_sources: {blog: {path: ../../..}}", None),
        ("content_sources: {blog: {path: services/../../x}}", None),
        ("content_sources: {blog: {path: link}}", None),
        ("content_sources: {Blog!: {path: posts}}", None),
        ("content_sources: {a: {path: posts, source_id: x}, b: {path: posts, source_id: x}}", None),
        ("content_sources: {blog: {path: posts, enabled: maybe}}", None),
        (
            "content_sources: {blog: {path: posts, sitemap: {url_pattern: /blog}}}",
            "1:62: error: content_sources.blog.sitemap.url_pattern: '/blog' must contain {slug} once",
        ),
        ("content_sources: {blog: {path: posts, sitemap: {url_pattern: '/../{slug}'}}}", None),
        ("content_sources: {blog: {path: posts, sitemap: {url_pattern: '{slug}'}}}", None),
        ("content_sources: {blog: {path: posts, sitemap: {url_pattern: '/{slug}/{slug}'}}}", None),
        ("content_sources: {blog: {path: posts, sitemap: {url_pattern: '/%2e%2e/{slug}'}}}", None),
        ("content_sources: {blog: {path: posts, sitemap: {url_pattern: '//evil/{slug}'}}}", None),
        ("content_sources: {blog: {path: posts, sitemap: {parent_route: {url: /.git}}}}", None),
        ("content_sources: {blog: {path: posts, sitemap: {priority: 2}}}", None),
        (
            "content_sources: {blog: {path: posts, sitemap: {changefreq: dayly}}}",
            None,
        ),
        (
            "categories: {news: {}}\ncontent_sources: {blog: {path: posts, category_id: new}}",
            "2:52: error: content_sources.blog.category_id: unknown category 'new'; did you mean 'news'?",
        ),
        ("metadata: {language: english}", None),
        ("metadata: {locales: [en, '../de']}", None),
    ],
)
def test_what_is_wrong_is_told_with_its_place(files: Folder, text: str, problem: str | None) -> None:
    (files.content / "posts").mkdir(parents=True)
    (files.content / "link").symlink_to("posts")
    files.write("config.yaml", text)
    site, problems = files.load()

    assert site is None
    assert 1 == len(problems)
    assert problems[0].startswith(f"{CONTENT}:")
    assert problem is None or f"{CONTENT}:{problem}" == problems[0]


@pytest.mark.parametrize(
    "address",
    ["ftp://house.example", "house.example", "https://", "https://a b", "http://u@a", "http://a/?q", "http://[",
     "http://a:x", "https://b\u00fccher.example", "https://a.example/\u00fc"],
)  # fmt: skip
def test_an_address_must_be_one_of_the_web(files: Folder, address: str) -> None:
    files.write_elsewhere(BLOG, f"base_url: '{address}'")
    files.application = {"base_url": address}
    site, problems = files.load()

    assert site is None
    assert ["application.base_url", f"{BLOG}:1:11"] == [each.partition(": ")[0] for each in problems]


def test_all_problems_of_all_files_are_told_at_once(files: Folder) -> None:
    (files.content / "posts").mkdir(parents=True)
    files.write("config.yaml", "content_sources: {posts: {path: posts}}\nmetdata: {}")
    files.write_elsewhere(
        BLOG,
        "content_sources:\n"
        "- {source_id: posts, path: .}\n"
        "- {path: services/content/posts}\n"
        "- {source_id: posts}\n",
    )
    files.write_elsewhere(
        TEMPLATES, "templates: {../x: {content_types: [blog]}, post: {content_types: [blog]}}"
    )
    files.application = {"site": {"outptu": "public", "assets": 3}}
    site, problems = files.load()

    assert site is None
    assert [
        "application.site: unknown key 'outptu'; did you mean 'output'?",
        "application.site.assets: must be the path of a folder",
        f"{CONTENT}:2:1: error: unknown key 'metdata', did you mean 'metadata'?",
        f"{BLOG}:2:28: error: content_sources[0].path: source 'posts' says something else at {CONTENT}:1",
        f"{BLOG}:3:3: error: content_sources[1].source_id: is missing",
        f"{BLOG}:4:15: error: content_sources[2].source_id: source 'posts' is already defined",
        f"{TEMPLATES}:1:13: error: templates.../x: '../x' is not the name of a file in {FOLDER}",
        f"{TEMPLATES}:1:66: error: templates.post.content_types: 'blog' already has the template '../x'",
    ] == problems


def test_a_disabled_source_need_not_be_there(files: Folder) -> None:
    files.write("config.yaml", "content_sources: {posts: {path: nowhere, enabled: false}}")

    assert [False] == [source.enabled for source in files.site().sources]


def test_a_file_of_settings_that_is_a_folder_is_told(files: Folder) -> None:
    (files.content / "config.yaml").mkdir(parents=True)

    assert (None, [f"{CONTENT}:1:1: error: cannot be read: Is a directory"]) == files.load()


def test_content_behind_a_symbolic_link_is_not_read(files: Folder, tmp_path: Path) -> None:
    files.content.parent.mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    files.content.symlink_to(tmp_path / "elsewhere")

    assert (
        None,
        ["services/content leads through a symbolic link, which is not followed"],
    ) == files.load()


@pytest.mark.parametrize(
    ("link", "problems"),
    [
        ("web", ["web/dist"]),
        ("web/dist", ["web/dist"]),
        ("services/web", ["services/web/templates", "services/web/assets"]),
        ("services/web/assets", ["services/web/assets"]),
    ],
)
def test_no_folder_of_the_site_lies_behind_a_symbolic_link(
    files: Folder, tmp_path: Path, link: str, problems: list[str]
) -> None:
    (tmp_path / "outside").mkdir()
    (files.root / link).parent.mkdir(parents=True, exist_ok=True)
    (files.root / link).symlink_to(tmp_path / "outside")

    assert (
        None,
        [f"{each} leads through a symbolic link, which is not followed" for each in problems],
    ) == files.load()


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ({"assets": "web"}, "web/dist overlaps the folder of assets, web"),
        ({"output": "x", "assets": "x"}, "x overlaps the folder of assets, x"),
        ({"output": "services"}, "services overlaps the folder of assets, services/web/assets"),
        ({"output": "x/dist", "content": "x"}, "x/dist overlaps the folder of content, x"),
        ({"templates": "web/dist/a"}, "web/dist overlaps the folder of templates, web/dist/a"),
    ],
)
def test_the_output_lies_apart_from_what_it_is_made_of(
    files: Folder, said: dict[str, str], shown: str
) -> None:
    files.application = {"site": said}

    assert (None, [f"application.site.output: {shown}: choose a folder apart from it"]) == files.load()


def test_a_kind_in_the_templates_is_one_that_items_can_have(files: Folder) -> None:
    files.write_elsewhere(TEMPLATES, "templates: {plain: {content_types: [page, docs-list]}}")
    assert {"legal": "plain", "docs-list": "plain"} == files.site().kinds

    files.write_elsewhere(TEMPLATES, "templates: {plain: {content_types: [giude]}}")
    told = "templates.plain.content_types: unknown kind 'giude'; did you mean 'guide'?"
    assert (None, [f"{TEMPLATES}:1:36: error: {told}"]) == files.load()


def test_the_language_is_the_first_locale_unless_it_is_said(files: Folder) -> None:
    files.write("config.yaml", "metadata: {locales: [de, en]}")
    assert "de" == files.site().language

    files.write("config.yaml", "metadata: {locales: [de, en], language: en}")
    assert "en" == files.site().language
