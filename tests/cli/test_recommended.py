"""The recipe of a dataset may know settings that suit an algorithm: they are its defaults there."""

from __future__ import annotations

import pytest

from rlkit.cli import commands
from rlkit.data.recipes import cards
from rlkit.run.options import Options, resolve

NAME = "rlkit/hopper/medium-v0"


@pytest.mark.parametrize(("given", "beta"), [([], 0.3), (["--config.beta", "2"], 2.0)])
def test_settings_of_a_recipe_are_defaults(
    given: list[str],
    beta: float,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[Options] = []

    def stop(options: Options, **_: object) -> None:
        asked.append(options)
        raise KeyboardInterrupt

    monkeypatch.setattr("rlkit.run.train.train", stop)
    with pytest.raises(KeyboardInterrupt):
        commands.train(["iql", f"--dataset={NAME}", *given])
    assert asked[0].config.beta == beta
    assert asked[0].normalise_obs
    assert f"suits iql on {NAME}" in capsys.readouterr().out


def test_what_recipes_recommend_can_be_set() -> None:
    for name, recipe in cards.all_recipes().items():
        for algo, suited in recipe.recommended.items():
            assert suited.keys() <= {"config", "run"}
            resolve(
                Options(algo, dataset=name, config=suited.get("config"), **suited.get("run", {}))
            )
