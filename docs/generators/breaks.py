"""Where long names in tables may go on in the next line."""

from __future__ import annotations

import re

_LONG = 18  # characters of a name that is broken: shorter ones fit a column on a phone
_CELL = re.compile(r"<td[ >].*?</td>", re.S)
_CODE = re.compile(r"<code>([^<]*)</code>")
_PLACE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[._/(,=])(?=\w{3})")  # no ".py" alone


def breakable(html: str) -> str:
    """The page with `<wbr>` in each long name of a table's code: after `_`, `.`, `/`, `(`, `,`, `=`
    and before a capital. What is copied from it stays as it was."""
    return _CELL.sub(lambda cell: _CODE.sub(_broken, cell[0]), html)


def _broken(code: re.Match[str]) -> str:
    whole = code[1]
    if len(whole) < _LONG:
        return code[0]
    # entities (&quot;) stay in one piece
    parts = re.split(r"(&\w+;)", whole)
    return (
        f"<code>{''.join(p if p.startswith('&') else _PLACE.sub('<wbr>', p) for p in parts)}</code>"
    )
