"""Writers, and others who come and go, in any order: a model of the folder."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Coroutine
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from unittest import mock

import attrs
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
)

from wxmedia_async._files.part import Part, open_part

NOREPLACE = "wxmedia_async._files.publish.rename_exclusively"


def now(work: Coroutine[None, None, object]) -> None:
    """Run what never waits."""
    with pytest.raises(StopIteration):
        work.send(None)


def refuse(*_: object, **__: object) -> None:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


@attrs.define(eq=False)
class Writer:
    """One download on its way, and what it has written."""

    stack: AsyncExitStack
    part: Part
    content: bytes = b""


class Folder(RuleBasedStateMachine):
    """One name in one folder, and all who want it."""

    writers = Bundle("writers")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.final = self.folder / "cat"
        self.expected: bytes | None = None
        self.open: list[Writer] = []
        self.patches = ExitStack()

    @initialize(links=st.booleans(), renames=st.booleans(), unnamed=st.booleans())
    def choose_filesystem(self, links: bool, renames: bool, unnamed: bool) -> None:
        """Some filesystems have no hard links, and no renames that only add."""
        if not links:
            self.patches.enter_context(mock.patch("os.link", refuse))
        if not renames:
            self.patches.enter_context(mock.patch(NOREPLACE, return_value=False))
        if not unnamed:
            self.patches.enter_context(mock.patch("os.O_TMPFILE", None, create=True))

    @rule(target=writers)
    def begin(self) -> Writer:
        now(self.enter())
        return self.open[-1]

    async def enter(self) -> None:
        stack = AsyncExitStack()
        opening = open_part(str(self.final), file_io="inline")
        self.open.append(Writer(stack, await stack.enter_async_context(opening)))

    @rule(writer=writers, chunk=st.binary(max_size=3))
    def write(self, writer: Writer, chunk: bytes) -> None:
        now(writer.part.write(chunk))
        writer.content += chunk

    @rule(writer=writers)
    def restart(self, writer: Writer) -> None:
        now(writer.part.restart())
        writer.content = b""

    @rule(writer=consumes(writers))
    def give_up(self, writer: Writer) -> None:
        self.leave(writer)

    @rule(writer=consumes(writers))
    def publish_over(self, writer: Writer) -> None:
        now(writer.part.publish(overwrite=True))
        self.leave(writer)
        self.expected = writer.content

    @rule(writer=consumes(writers))
    def publish(self, writer: Writer) -> None:
        if self.expected is None:
            now(writer.part.publish(overwrite=False))
            self.expected = writer.content
        else:
            with pytest.raises(FileExistsError):
                writer.part.publish(overwrite=False).send(None)
        self.leave(writer)

    @rule(content=st.binary(max_size=3))
    def somebody_writes(self, content: bytes) -> None:
        self.final.write_bytes(content)
        self.expected = content

    @rule()
    def somebody_removes(self) -> None:
        self.final.unlink(missing_ok=True)
        self.expected = None

    def leave(self, writer: Writer) -> None:
        self.open.remove(writer)
        now(writer.stack.aclose())

    @invariant()
    def the_file_is_whole(self) -> None:
        found = self.final.read_bytes() if self.final.exists() else None
        assert found == self.expected

    @invariant()
    def nothing_else_is_there(self) -> None:
        names = {path.name for path in self.folder.iterdir()} - {"cat"}
        assert len(names) in (0, len(self.open))

    def teardown(self) -> None:
        self.patches.close()
        for writer in list(self.open):
            self.leave(writer)
        self.final.unlink(missing_ok=True)
        self.folder.rmdir()


class TestFolder(Folder.TestCase):  # type: ignore[misc, valid-type]
    """
    Fault 31: whoever comes and goes, the file is whole and nobody's is lost.

    Without overwrite a name that is taken stays taken; with it the last file
    stays; and a folder that everybody has left is empty.
    """
