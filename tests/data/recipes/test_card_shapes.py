"""A card that is something else names its file and the field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rlkit.core.errors import FileError
from rlkit.data.recipes import cards


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"env": 3}, "env is 3; a text is expected"),
        ({"datasets": {"a-v0": {"seed": 0}}}, "datasets.a-v0 has no entry 'description'"),
        ({"reference": {"random": "low"}}, "reference has no entry 'expert'"),
        ({"weights": "../../secret.safetensors"}, "leads out of the folder"),
        ({"policies": {}}, "there is no policy"),
    ],
)
def test_a_bad_card_is_named(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    shipped = json.loads((cards._folder() / "pendulum.json").read_text())
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(shipped | change))
    with pytest.raises(FileError) as caught:
        cards._card(path)
    assert words in str(caught.value)
    assert str(tmp_path) in str(caught.value)
