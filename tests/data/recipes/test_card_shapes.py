"""A card that is something else names its file and the field."""

from __future__ import annotations

import dataclasses
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


def test_a_card_may_give_its_environment_arguments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dataset, task and exported policies have them from there."""
    from rlkit.data import datasets
    from rlkit.envs.make import make
    from rlkit.run.preparing import prepare
    from rlkit.run.settings.options import Options, resolve

    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    plain = cards.find("rlkit/pendulum/mixed-v0")
    card = {**plain.card, "env_kwargs": {"g": 8.0, "max_episode_steps": 40}}
    recipe = dataclasses.replace(plain, name="tests/light-v0", card=card, size=120)
    assert recipe.fingerprint() != dataclasses.replace(recipe, card=plain.card).fingerprint()
    monkeypatch.setattr(cards, "all_recipes", lambda: {recipe.name: recipe})
    datasets.build(recipe.name)
    assert set(datasets.read(recipe.name)[0].lengths) == {40}
    task, _ = prepare(resolve(Options("bc", dataset=recipe.name)))
    env = task.make_env()
    assert env.spec is not None
    assert (env.unwrapped.g, env.spec.max_episode_steps) == (8.0, 40)  # type: ignore[attr-defined]
    assert make("Pendulum-v1").unwrapped.g == 10.0  # type: ignore[attr-defined]


def test_a_card_with_bad_arguments_is_named(tmp_path: Path) -> None:
    shipped = json.loads((cards._folder() / "pendulum.json").read_text())
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(shipped | {"env_kwargs": 3}))
    with pytest.raises(FileError, match="env_kwargs is 3"):
        cards._card(path)
