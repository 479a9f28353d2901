"""Markdown files to rows: a file that has not changed is not written, one that is broken keeps its row.

Two files with one slug and locale are an error of the second; the first, in the order of the sources and then
of paths, stands. Rows whose files are gone are deleted only if the run or their source says so, only once all
sources were read, and never while a file of theirs could not be read: its row cannot be told from theirs.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Any

import msgspec
from sqlalchemy import Table, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, IntegrityError

from cronledger import JobContext, JobResult
from cronledger.extensions.site.content_files import Found, files_of
from cronledger.extensions.site.front_matter import BadFile, Item, read_item
from cronledger.extensions.site.settings import Site, Source
from cronledger.extensions.site.tally import counted
from cronledger.extensions.tables import tables
from cronledger.strict_yaml.problem import printable

DELETE_ORPHANS = "CONTENT_INGESTION_DELETE_ORPHANS"
MOST_ROWS = 500
MOST_BYTES = 4_000_000
"""How many rows, or bytes of text, are written in one transaction."""

_ERRORS_IN_MESSAGE = 3
_FILES_BETWEEN_WORDS = 100

Key = tuple[str, str]
"""A slug and a locale: what identifies an item."""


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may be said of one run of ingestion.

    Attributes:
        delete_orphans: Delete rows whose files are gone; unset: CONTENT_INGESTION_DELETE_ORPHANS says it.
        max_file_bytes: A larger file is an error.
    """

    delete_orphans: bool | None = None
    max_file_bytes: Annotated[int, msgspec.Meta(ge=1)] = 5_000_000


class Ingested(msgspec.Struct, kw_only=True):
    """What has become of the files.

    Attributes:
        processed: Written, because they are new or have changed.
        skipped: Changed, but their source says `override_existing: false`.
        deleted: Rows whose files are gone; with `enforce: false`, `orphans` counts them and nothing goes.
    """

    sources: int = 0
    processed: int = 0
    unchanged: int = 0
    skipped: int = 0
    deleted: int = 0
    orphans: int = 0
    errors: list[str] = []
    is_complete: bool = True

    def result(self) -> JobResult:
        """Return it as the result of a job or step: a failure if every file failed."""
        if not self.sources:
            return JobResult.success().with_stats(0, 0).with_message("skipped: there is no source of content")
        counts = [f"{self.processed} written", f"{self.unchanged} unchanged"]
        counts += [f"{self.skipped} changed but not to be overridden"] if self.skipped else []
        counts += [f"{self.deleted} deleted because their files are gone"] if self.deleted else []
        counts += [f"{self.orphans} would be deleted because their files are gone"] if self.orphans else []
        counts += [] if self.is_complete else ["stopped before the end"]
        told = "; ".join(self.errors[:_ERRORS_IN_MESSAGE])
        more = "; ..." if len(self.errors) > _ERRORS_IN_MESSAGE else ""
        message = ", ".join(counts) + (
            f", {counted(len(self.errors), 'error')}: {told}{more}" if self.errors else ""
        )
        some = self.processed + self.unchanged + self.skipped
        result = JobResult.failure(message) if self.errors and not some else JobResult.success()
        return result.with_stats(self.processed, len(self.errors)).with_message(message)


class _Row(msgspec.Struct, frozen=True, gc=False):
    """What is known of an item's row without its text."""

    id: str
    source_id: str
    version_hash: str
    kind: str
    category_id: str | None


class _OfSource(msgspec.Struct):
    """How far one source is."""

    source: Source
    fine: int = 0
    unreadable: int = 0


def ingest(ctx: JobContext, site: Site, rules: Rules | None = None) -> Ingested:
    """Bring the rows of `markdown_content` to what the files of every enabled source say.

    Raises TableMissing if the table is not there. Whatever is wrong with a file is one error, and the others
    go on.
    """
    ingestion = _Ingestion(ctx, site.locales[0], rules or Rules())
    for source in site.sources:
        if source.enabled:
            ingestion.read(source)
    ingestion.finish()
    return ingestion.done


class _Ingestion:
    """One pass over all sources."""

    def __init__(self, ctx: JobContext, locale: str, rules: Rules) -> None:
        self.done = Ingested()
        self._ctx = ctx
        self._root = os.path.realpath(ctx.root)
        self._locale = locale
        self._rules = rules
        self._table: Table = tables(ctx, "markdown_content").markdown_content
        self._rows = self._known_rows()
        self._unchanged = {(row.source_id, row.version_hash): key for key, row in self._rows.items()}
        self._claimed: dict[Key, str] = {}
        self._seen: set[Key] = set()
        self._sources: list[_OfSource] = []
        self._batch: list[tuple[str, dict[str, Any]]] = []
        self._batch_bytes = 0
        self._remarks: Counter[str] = Counter()
        self._files = 0

    def read(self, source: Source) -> None:
        """Read every file of a source."""
        state = _OfSource(source)
        self._sources.append(state)
        self.done.sources += 1
        files = files_of(source.path, recursive=source.recursive, most_bytes=self._rules.max_file_bytes)
        for found in files:
            if self._ctx.cancelled:
                self.done.is_complete = False
                break
            self._files += 1
            if self._files % _FILES_BETWEEN_WORDS == 0:
                self._ctx.progress(self._files, None, source.source_id)
            self._file(state, found)
        self._write()

    def finish(self) -> None:
        """Delete what is to be deleted, and say what a writer may want to better."""
        for state in self._sources:
            if self._deletes_orphans(state.source):
                self._delete_orphans(state)
        if self._remarks:
            counted = ", ".join(f"{count} with {remark}" for remark, count in sorted(self._remarks.items()))
            self._ctx.log.warning("of the files that were new or changed: %s", counted)

    # --- one file ---------------------------------------------------------------------------------------

    def _file(self, state: _OfSource, found: Found) -> None:
        shown = self._shown(state.source, found.name)
        if found.error:
            state.unreadable += 1
            self._refuse(f"{shown}:1:1: {found.error}")
            return
        digest = hashlib.sha256(found.data).hexdigest()
        key = self._unchanged.get((state.source.source_id, digest))
        if key is not None and key not in self._claimed and self._is_as_configured(key, state.source):
            self._claim(key, shown)
            state.fine += 1
            self.done.unchanged += 1
            return
        try:
            item = read_item(found.data, shown, self._locale)
        except BadFile as error:
            state.unreadable += 1
            self._refuse(str(error))
            return
        self._item(state, item, digest, shown)

    def _item(self, state: _OfSource, item: Item, digest: str, shown: str) -> None:
        key, source = (item.slug, item.locale), state.source
        self._seen.add(key)
        if source.allowed_content_types and item.kind not in source.allowed_content_types:
            allowed = ", ".join(source.allowed_content_types)
            self._refuse(
                f"{shown}:{item.kind_at}: kind '{item.kind}' is not for source '{source.source_id}' "
                f"(allowed: {allowed})"
            )
            return
        if key in self._claimed:
            self._refuse(
                f"{shown}:{item.slug_at}: slug '{item.slug}' ({item.locale}) is already that of "
                f"{self._claimed[key]}"
            )
            return
        self._claim(key, shown)
        state.fine += 1
        row = self._rows.get(key)
        values = self._values(source, item, digest, row)
        if row is not None and row == _Row(*(values[name] for name in _Row.__struct_fields__)):
            self.done.unchanged += 1
        elif row is not None and not source.override_existing:
            self.done.skipped += 1
        else:
            self._remarks.update(item.remarks)
            self._batch.append((shown, values))
            self._batch_bytes += len(item.body)
            if len(self._batch) >= MOST_ROWS or self._batch_bytes >= MOST_BYTES:
                self._write()

    def _is_as_configured(self, key: Key, source: Source) -> bool:
        """Whether the same bytes still give this row, as far as the settings have a say in it."""
        row, (_, locale) = self._rows[key], key
        allowed = not source.allowed_content_types or row.kind in source.allowed_content_types
        return allowed and locale == self._locale and (row.category_id or "") == source.category_id

    def _claim(self, key: Key, shown: str) -> None:
        """Note which file has a slug."""
        self._seen.add(key)
        self._claimed[key] = shown

    def _values(self, source: Source, item: Item, digest: str, row: _Row | None) -> dict[str, Any]:
        identity = f"{source.source_id}\n{item.slug}\n{item.locale}"
        return {
            "id": row.id if row else hashlib.sha256(identity.encode()).hexdigest()[:32],
            "slug": item.slug,
            "locale": item.locale,
            "title": item.title,
            "description": item.description,
            "body": item.body,
            "author": item.author,
            "published_at": item.published_at,
            "keywords": item.keywords,
            "kind": item.kind,
            "image": item.image,
            "category_id": item.category or source.category_id or None,
            "source_id": source.source_id,
            "version_hash": digest,
            "public": item.public,
            "links": item.links,
            "updated_at": self._ctx.now(),
        }

    def _refuse(self, error: str) -> None:
        error = printable(error)
        self.done.errors.append(error)
        self._ctx.log.error("%s", error)

    def _shown(self, source: Source, name: str) -> str:
        path = os.path.join(source.path, name) if name else str(source.path)  # noqa: PTH118 - may be no path
        return path.removeprefix(f"{self._root}/")

    # --- the database -----------------------------------------------------------------------------------

    def _known_rows(self) -> dict[Key, _Row]:
        c = self._table.c
        asked = select(c.slug, c.locale, c.id, c.source_id, c.version_hash, c.kind, c.category_id)
        with self._ctx.db.connect() as connection:
            return {(slug, locale): _Row(*rest) for slug, locale, *rest in connection.execute(asked)}

    def _write(self) -> None:
        """Write the rows that wait, in the order of their keys, so that two runs never wait for each other.

        What the database refuses is tried row by row: only the row that it refuses is lost, and told.
        """
        batch = sorted(self._batch, key=lambda each: (each[1]["slug"], each[1]["locale"]))
        self._batch, self._batch_bytes = [], 0
        if not batch:
            return
        try:
            self._upsert([values for _, values in batch])
        except (DataError, IntegrityError):
            for shown, values in batch:
                try:
                    self._upsert([values])
                except (DataError, IntegrityError) as error:
                    reason = str(error.orig).partition("\n")[0]
                    self._refuse(f"{shown}:1:1: the database refuses the row: {reason}")

    def _upsert(self, rows: list[dict[str, Any]]) -> None:
        kind = postgresql if self._ctx.db.dialect.name == "postgresql" else sqlite
        statement = kind.insert(self._table)
        key = (self._table.c.slug, self._table.c.locale)
        kept = (*key, self._table.c.id)
        new = {column: statement.excluded[column.key] for column in self._table.c if column not in kept}
        with self._ctx.db.begin() as connection:
            connection.execute(statement.on_conflict_do_update(index_elements=key, set_=new), rows)
        self.done.processed += len(rows)

    # --- orphans ----------------------------------------------------------------------------------------

    def _deletes_orphans(self, source: Source) -> bool:
        said = self._rules.delete_orphans
        if said is None:
            said = os.environ.get(DELETE_ORPHANS, "").strip().lower() in {"true", "1"}
        return said or source.clear_before

    def _delete_orphans(self, state: _OfSource) -> None:
        source_id = state.source.source_id
        orphans = [
            row.id for key, row in self._rows.items() if row.source_id == source_id and key not in self._seen
        ]
        if not orphans or not state.fine or not self.done.is_complete:
            return
        if state.unreadable:
            self._ctx.log.warning(
                "source '%s' keeps %s without a file, because %s could not be read",
                source_id, counted(len(orphans), "row"), counted(state.unreadable, "file"),
            )  # fmt: skip
        elif not self._ctx.enforce:
            self.done.orphans += len(orphans)
        else:
            self.done.deleted += sum(self._delete(source_id, some) for some in _in_batches(orphans))

    def _delete(self, source_id: str, ids: list[str]) -> int:
        c = self._table.c
        with self._ctx.db.begin() as connection:
            gone = connection.execute(delete(self._table).where(c.source_id == source_id, c.id.in_(ids)))
            return int(gone.rowcount)


def _in_batches(ids: list[str]) -> Iterable[list[str]]:
    return (ids[start : start + MOST_ROWS] for start in range(0, len(ids), MOST_ROWS))
