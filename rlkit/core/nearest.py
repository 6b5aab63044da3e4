"""The nearest valid name, for errors that help."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


def nearest(name: str, valid: Iterable[str]) -> str | None:
    """The entry of `valid` most like `name`, whatever its case; of equally like ones the highest
    version (`-v5` before `-v4`). None when nothing is close."""

    def key(candidate: str) -> tuple[float, int]:
        version = re.search(r"-v(\d+)$", candidate)
        stem = candidate if re.search(r"-v\d+$", name) else re.sub(r"-v\d+$", "", candidate)
        ratio = difflib.SequenceMatcher(None, name.casefold(), stem.casefold()).ratio()
        return ratio, int(version.group(1)) if version else 0

    best = max(valid, key=key, default=None)
    return best if best is not None and key(best)[0] >= 0.5 else None


def suggestion(name: str, valid: Iterable[str]) -> str:
    """`; did you mean 'X'?` or nothing, to end an error message with."""
    best = nearest(name, valid)
    return f"; did you mean {best!r}?" if best is not None else ""
