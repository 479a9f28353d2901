"""What stays published while something of a site is missing or broken, and what must not stay."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from cronledger import Pipeline
from cronledger.extensions.web.steps.page_prerender import page_prerender
from cronledger.testing import ManualClock, perform_with_steps
from tests.unit.extensions.web.published_sites import PublishedSite, files


class PagesAlone(Pipeline):
    """The pages as they are built behind a failed content_prerender."""

    name = "pages_alone"
    description = "Build the pages"

    def __init__(self) -> None:
        super().__init__([page_prerender])


@pytest.fixture
def bare(tmp_path: Path, app_db: Engine, clock: ManualClock) -> PublishedSite:
    """Return a site without templates on either database."""
    return PublishedSite.bare(tmp_path / "site", app_db, clock)


def assets_of(site: PublishedSite) -> Path:
    return site.root / "services" / "web" / "assets"


def test_a_missing_assets_folder_removes_nothing(bare: PublishedSite) -> None:
    for name in ("site.css", "extra.css", "img/a.svg"):
        bare.write(f"web/assets/{name}", "1")
    bare.publish()
    before = files(bare.output)
    shutil.rmtree(assets_of(bare))
    errors = bare.errors()

    assert ["asset_copy", "asset_organization"] == list(errors)
    assert all("put it back" in error for error in errors.values())
    assert before == files(bare.output)


def test_an_empty_assets_folder_removes_all_that_was_in_it(bare: PublishedSite) -> None:
    for name in ("site.css", "extra.css", "img/a.svg"):
        bare.write(f"web/assets/{name}", "1")
    bare.publish()
    shutil.rmtree(assets_of(bare))
    assets_of(bare).mkdir()

    assert {} == bare.errors()
    assert ["css/site.css"] == [name for name in files(bare.output) if name.endswith(("css", "svg"))]


def test_an_asset_that_becomes_a_link_keeps_its_published_file(bare: PublishedSite) -> None:
    names = ("app.css", "site.css", "img/a.svg", "docs/one.txt")
    for name in names:
        bare.write(f"web/assets/{name}", "1")
    bare.publish()
    before = files(bare.output)
    for name in ("app.css", "site.css", "img/a.svg", "docs"):
        path = assets_of(bare) / name
        path.rename(bare.root / path.name)
        path.symlink_to(bare.root / path.name)
    errors = bare.errors()

    assert ["asset_copy"] == list(errors)
    assert before == files(bare.output)


def test_a_style_of_the_site_in_its_final_folder_replaces_the_default_one(bare: PublishedSite) -> None:
    bare.publish()
    bare.write("web/assets/css/site.css", "mine")

    assert ({}, "mine") == (bare.errors(), bare.text("css/site.css"))
    assert ({}, "mine") == (bare.errors(), bare.text("css/site.css"))


@pytest.mark.parametrize(("old", "new"), [("app.js", "js/app.js"), ("js/app.js", "app.js")])
def test_a_script_that_changes_its_folder_stays_published(bare: PublishedSite, old: str, new: str) -> None:
    path = bare.write(f"web/assets/{old}", "1")
    bare.publish()
    path.unlink()
    bare.write(f"web/assets/{new}", "1")

    for _ in range(2):
        assert {} == bare.errors()
        assert ["js/app.js"] == [name for name in files(bare.output) if name.endswith(".js")]
    (assets_of(bare) / new).unlink()
    bare.publish()
    assert not (bare.output / "js").exists()


def test_hidden_files_are_no_assets_but_for_the_well_known_ones(bare: PublishedSite) -> None:
    for name in (".env", ".git/config", "img/.a.svg.swp", ".well-known/security.txt"):
        bare.write(f"web/assets/{name}", "1")

    assert {} == bare.errors()
    assert [".well-known/security.txt"] == [
        name for name in files(bare.output) if name.startswith((".", "img/"))
    ]


def test_pages_whose_text_is_not_rendered_stay_as_they_were(bare: PublishedSite) -> None:
    bare.add("rye")
    bare.add("", "Welcome.", title="All posts")
    bare.publish()
    before = files(bare.output)
    with bare.db.begin() as connection:
        connection.execute(text("DELETE FROM content_fragments"))
    done = asyncio.run(perform_with_steps(PagesAlone(), db=bare.db, config=bare.config, clock=bare.clock))

    assert "content 'rye' is not rendered" in str(done.steps[0].error)
    assert "content '' is not rendered" in str(done.steps[0].error)
    assert before == files(bare.output)


@pytest.mark.parametrize("template", ["list.html", "home.html", "base.html"])
def test_a_title_that_is_no_longer_public_is_gone_though_a_template_is_broken(
    bare: PublishedSite, template: str
) -> None:
    bare.add("rye", title="Secret")
    bare.add("wheat")
    bare.publish()
    bare.write(f"web/templates/{template}", "{% if %}")
    bare.add("rye", title="Secret", public="false")
    error = bare.errors()["page_prerender"]

    assert f"template {template}, line 1" in error
    assert [] == [name for name, data in files(bare.output).items() if b"Secret" in data]
    assert "Wheat" in bare.text("blog/index.html") + bare.text("index.html")


def test_a_linked_list_template_costs_the_step_nothing_else(bare: PublishedSite) -> None:
    bare.add("rye")
    link = bare.write("web/templates/blog-list.html", "")
    link.unlink()
    link.symlink_to(bare.config)

    assert "blog-list.html is a link" in bare.errors()["page_prerender"]
    assert {"blog/rye/index.html", "blog/index.html", "404.html"} <= files(bare.output).keys()
