"""The nearest valid name, for errors that help."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from rlkit.core.words.synonyms import OURS


def nearest(name: str, valid: Iterable[str]) -> str | None:
    """The entry of `valid` that means the same (see `meant`), else the one most like `name`,
    whatever its case; of equally like ones the highest version (`-v5` before `-v4`). None when
    nothing is close."""
    valid = list(valid)
    if (same := meant(name, valid)) is not None:
        return same

    def key(candidate: str) -> tuple[float, int]:
        version = re.search(r"-v(\d+)$", candidate)
        stem = candidate if re.search(r"-v\d+$", name) else re.sub(r"-v\d+$", "", candidate)
        # the dashes of options are no likeness
        asked, there = (word.lstrip("-").casefold() for word in (name, stem))
        ratio = difflib.SequenceMatcher(None, asked, there).ratio()
        return ratio, int(version.group(1)) if version else 0

    best = max(valid, key=key, default=None)
    return best if best is not None and key(best)[0] >= 0.55 else None


def meant(name: str, valid: Iterable[str]) -> str | None:
    """The entry of `valid` that is `name` but for case, dashes and the group before a dot
    (`--lr` is `--config.lr`), or that is our word for what another library calls so."""
    there = {_plain(candidate): candidate for candidate in reversed(list(valid))}
    word = _plain(name)
    return next((there[w] for w in (word, *OURS.get(word, ())) if w in there), None)


def suggestion(name: str, valid: Iterable[str]) -> str:
    """`; did you mean 'X'?` or nothing, to end an error message with."""
    best = nearest(name, valid)
    return f"; did you mean {best!r}?" if best is not None else ""


def _plain(name: str) -> str:
    return name.lstrip("-").rpartition(".")[2].replace("-", "_").casefold()
