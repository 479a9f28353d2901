"""Jinja2 templates of a site, and those that come with this package for what it has not.

Templates are sandboxed and escape what they print; a name that they use and nobody has given is an error. No
template is read from outside the two folders.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from traceback import extract_tb
from typing import Any, Self

from cronledger.extensions.site.extras import extra
from cronledger.extensions.site.folder import Folder
from cronledger.extensions.site.output import PathRefused, checked

DEFAULT = "default/"
"""What stands before a name to mean the last folder's template, also where the site has one of that name."""
MOST_BYTES = 1 << 20
"""The largest template that is read."""


_MISTAKES = (TypeError, ValueError, LookupError, ArithmeticError, AttributeError, RuntimeError, MemoryError)
"""What an expression in a template may come to."""


class TemplateFailed(Exception):
    """A template cannot be read, does not parse, or cannot be filled in."""


class Templates:
    """The templates below some folders, the first one first; leave the block to close them."""

    def __init__(self, folders: Iterable[Path]) -> None:
        with extra("site"):
            from jinja2 import FunctionLoader, StrictUndefined  # noqa: PLC0415 - an extra
            from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: PLC0415

        self._closing = ExitStack()
        self._folders: list[Folder] = []
        self._loaded: dict[str, Any] = {}
        for folder in folders:
            with suppress(FileNotFoundError):
                self._folders.append(self._closing.enter_context(Folder(folder)))
        self._environment = ImmutableSandboxedEnvironment(
            loader=FunctionLoader(self._source),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            auto_reload=False,
            cache_size=-1,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def has(self, name: str) -> bool:
        """Whether there is a template of this name; what cannot be read is told where it is filled in."""
        try:
            return self._read(name) is not None
        except OSError:
            return True

    def first_of(self, *names: str) -> str:
        """Return the first of several names that there is a template of, else the last one."""
        return next((name for name in names if self.has(name)), names[-1])

    def fill_in(self, name: str, variables: Mapping[str, Any]) -> bytes:
        """Return a page. Raises TemplateFailed, naming the template and the line."""
        from jinja2 import TemplateError  # noqa: PLC0415 - an extra, and there: the environment is made of it

        template = self._template(name)
        try:
            return str(template.render(variables)).encode()
        except (TemplateError, *_MISTAKES) as error:
            raise _failed(name, error) from error

    def _template(self, name: str) -> Any:
        """Return a template that is ready; one that is not stays so, and is told each time."""
        from jinja2 import TemplateError  # noqa: PLC0415 - as above

        if name not in self._loaded:
            try:
                self._loaded[name] = self._environment.get_template(name)
            except (TemplateError, OSError, *_MISTAKES) as error:
                self._loaded[name] = _failed(name, error)
        if isinstance(self._loaded[name], TemplateFailed):
            raise TemplateFailed(*self._loaded[name].args)
        return self._loaded[name]

    def _source(self, name: str) -> tuple[str, str, Any] | None:
        data = self._read(name)
        if data is None:
            return None
        try:
            # The name stands for the file in what Jinja2 says of errors: it is the same on every machine.
            return data.decode(), name, None
        except UnicodeDecodeError as error:
            line = data[: error.start].count(b"\n") + 1
            raise TemplateFailed(f"template {name}, line {line}: this is not UTF-8") from error

    def _read(self, name: str) -> bytes | None:
        is_default = name.startswith(DEFAULT)
        with suppress(PathRefused):
            parts = checked(name.removeprefix(DEFAULT))
            for folder in self._folders[-1:] if is_default else self._folders:
                if (data := folder.read(parts, MOST_BYTES)) is not None:
                    return data
        return None


def _failed(name: str, error: Exception) -> TemplateFailed:
    """Say what is wrong with which line: of the template, or of one that it includes or extends."""
    from jinja2 import TemplateNotFound, TemplateSyntaxError  # noqa: PLC0415 - an extra

    if isinstance(error, TemplateFailed):
        return error
    said = (
        f"there is no template '{error}'"
        if isinstance(error, TemplateNotFound)
        else str(error) or type(error).__name__
    )
    if isinstance(error, TemplateSyntaxError):
        return TemplateFailed(f"template {error.name or name}, line {error.lineno}: {said}")
    # Jinja2 gives the frames of a traceback the names and lines of templates.
    frames = [each for each in extract_tb(error.__traceback__) if each.filename.endswith(".html")]
    where = f"{frames[-1].filename}, line {frames[-1].lineno}" if frames else name
    return TemplateFailed(f"template {where}: {said}")
