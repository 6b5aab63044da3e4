"""Messages are one line each, whatever they quote."""

from __future__ import annotations

import pytest

from rlkit.core.errors import CheckpointError, FileError, MissingFileError, RlkitError, UsageError


@pytest.mark.parametrize(
    "kind", [RlkitError, UsageError, FileError, MissingFileError, CheckpointError]
)
def test_a_message_is_one_line(kind: type[RlkitError]) -> None:
    quoted = "malformed schema: create table runs (\n    id integer,\r\n    kind text\n)"
    assert str(kind(f"x.sqlite is damaged: {quoted}")) == (
        "x.sqlite is damaged: malformed schema: create table runs ( id integer, kind text )"
    )
    assert str(kind("two  blanks stay")) == "two  blanks stay"
