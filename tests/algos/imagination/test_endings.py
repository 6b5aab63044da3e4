"""When an episode ends in a model: rules by name, trust in them, and what is learnt of ends."""

import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from rlkit.algos import mbpo
from rlkit.algos.imagination.endings import Known, Learnt, ending, own_rule
from rlkit.algos.imagination.proposals import Proposal
from rlkit.algos.imagination.rollout import Step
from rlkit.core.errors import UsageError
from rlkit.core.files import trust
from rlkit.core.lanes import resolve
from rlkit.core.spec import Spec
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.stock import Stock
from rlkit.data.transforms import Transforms
from rlkit.run.settings.options import Options

SPEC = Spec(2, 1, (3, 0), torch.float64)


def beyond(x: Tensor) -> Tensor:
    return x[..., 0].abs() > 1


@pytest.fixture
def rules(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module of rules, which nobody has named yet."""
    module: Any = types.ModuleType("my_rules")
    module.beyond = beyond
    module.numbers = lambda x: x[..., 0]
    module.one = lambda x: torch.tensor(True)
    module.broken = lambda x: x[..., 7]
    monkeypatch.setitem(sys.modules, "my_rules", module)
    monkeypatch.setattr(trust, "_named", dict(trust._named))
    return "my_rules"


def step(s2: Tensor) -> Step:
    zeros = torch.zeros_like(s2[..., 0])
    one = s2[..., :1]
    return Step(s2, one, zeros, s2, None, Proposal(s2, one, s2.unsqueeze(1), zeros.unsqueeze(1)))


def states(count: int, seed: int = 0) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return 1.5 * torch.randn(2, count, 2, generator=rng).double()


def replay(s2: Tensor, ended: Tensor) -> Replay:
    """One row for every state."""
    rows = Replay(SPEC, s2.shape[1], envs=s2.shape[1])
    zeros, no = torch.zeros_like(s2[..., 0]), torch.zeros_like(ended)
    rows.add(s2, zeros.unsqueeze(-1), zeros, ended, no, s2)
    return rows


def stock(rows: Replay | None, env_id: str | None = "Pendulum-v1", **units: Any) -> Stock:
    return Stock(SPEC, Streams(SPEC.seeds), Transforms(**units), None, rows, env_id)


# --- rules by name ----------------------------------------------------------------------------


def test_a_rule_of_ones_own_is_asked_in_the_environments_units(rules: str) -> None:
    mean, std = torch.tensor([0.5, 0.0]).numpy(), torch.tensor([2.0, 1.0]).numpy()
    given = stock(None, None, obs_mean=mean, obs_std=std)
    end = ending(given, "my_rules:beyond", 1)
    x = states(50)
    terminated, stopped = end(step(x))
    assert torch.equal(terminated, (2 * x[..., 0] + 0.5).abs() > 1)
    assert not stopped.any()
    assert isinstance(end, Known)
    assert end.fit(replay(x, terminated), 0) == end.state_dict() == {}
    assert not ending(given, "never", 1)(step(x))[0].any()
    with pytest.raises(ValueError, match="set termination to learnt"):
        ending(given, "task", 1)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("lernt", "none of task, never, learnt; did you mean 'learnt'"),
        ("my_rules:none", "has no attribute 'none'"),
        ("no_such_module:rule", "cannot import 'no_such_module'"),
        ("my_rules:numbers", r"must answer with bool \[2, 3\].*float32"),
        ("my_rules:one", r"not with torch.bool \(\)"),
        ("my_rules:broken", "IndexError"),
    ],
)
def test_a_rule_that_cannot_be_used_is_refused(rules: str, name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        own_rule(name, 2)


def test_a_file_may_not_name_a_rule_that_no_person_has(rules: str) -> None:
    values = {"algo": "mbpo", "env": "Pendulum-v1", "config": {"termination": "my_rules:beyond"}}
    with pytest.raises(UsageError, match=r"config.termination names .* --trust"):
        Options.from_json(dict(values))
    with trust.trusting():
        Options.from_json(dict(values))
    trust.name("my_rules")
    assert Options.from_json(dict(values)).config.termination == "my_rules:beyond"


def test_what_names_code() -> None:
    assert trust.module_of("my.rules:beyond") == "my.rules"
    for value in ("learnt", "a=8,8", "noisy:0.1", "C:/x", 3, None, "x:y:z"):
        assert trust.module_of(value) is None


# --- a learnt one -----------------------------------------------------------------------------


def test_ends_are_learnt_where_they_are_rare() -> None:
    x = states(3000)
    ended = x[..., 0] > 2.5  # 5 of 100
    assert 0.02 < ended.double().mean() < 0.08
    end = Learnt(SPEC, 400)
    metrics = end.fit(replay(x, ended), 0)
    assert (metrics["end_recall"] > 0.97).all()
    assert (metrics["end_false"] < 0.03).all()
    new = states(2000, 1)
    told, stopped = end(step(new))
    assert (told == (new[..., 0] > 2.5)).double().mean() > 0.96
    assert not stopped.any()


def test_a_lane_that_saw_no_end_ends_none_and_lanes_do_not_mix() -> None:
    x = states(300)
    ended = x[..., 0] > 1
    ended[0] = False
    both = Learnt(SPEC, 50)
    metrics = both.fit(replay(x, ended), 4)
    assert not both(step(x))[0][0].any()
    assert metrics["end_recall"][0].isnan()
    alone = Learnt(Spec(2, 1, (0,), torch.float64), 50)
    rows = Replay(alone.spec, 300, envs=300)
    zeros = torch.zeros(1, 300).double()
    rows.add(x[1:], zeros.unsqueeze(-1), zeros, ended[1:], zeros > 0, x[1:])
    alone.fit(rows, 4)
    torch.testing.assert_close(alone.logit(x[1:]), both.logit(x)[1:])


def test_it_goes_on_where_it_was_saved() -> None:
    x = states(300)
    rows = replay(x, beyond(x))
    first, second = Learnt(SPEC, 20), Learnt(SPEC, 20)
    first.fit(rows, 0)
    second.load_state_dict({n: t.clone() for n, t in first.state_dict().items()})
    for each in (first, second):
        each.fit(rows, 1)
    assert torch.equal(first.logit(x), second.logit(x))


# --- in a source ------------------------------------------------------------------------------

SMALL: dict[str, Any] = {
    **{"hidden": (8, 8), "batch_size": 16, "rollout_schedule": (0, 1, 2, 2), "rollouts": 60},
    **{"model_every": 20, "hidden_model": (8, 8), "decay_model": (1e-5,), "n_models": 2},
    **{"n_elites": 1, "max_epochs": 2},
}


def advanced(**given: Any) -> tuple[Any, dict[str, Tensor]]:
    x = states(300)
    rows = replay(x, beyond(x))
    config = resolve(mbpo.Config(**SMALL, **given), SPEC)
    source: Any = mbpo.source(stock(rows, None), mbpo.Agent(SPEC, config), config)
    return source, source.advance(0)


def test_imagined_episodes_end_as_was_asked(rules: str) -> None:
    ends = {}
    for name in ("never", "my_rules:beyond", "learnt"):
        source, metrics = advanced(termination=name)
        rows = source.imagined.replay
        kept = rows.rows("kept") > 0
        ends[name] = (rows.rows("cont") == 0)[kept]
        if name == "my_rules:beyond":
            assert torch.equal(ends[name], beyond(rows.rows("s2"))[kept])
        assert ("end_recall" in metrics) == (name == "learnt")
    assert not ends["never"].any()
    assert 0 < ends["learnt"].double().mean() < 1


def test_updates_of_a_learnt_rule_matter_and_its_state_is_saved() -> None:
    first, _ = advanced(termination="learnt", end_updates=5)
    other, _ = advanced(termination="learnt", end_updates=6)
    x = states(40)
    assert not torch.equal(first.ending.logit(x), other.ending.logit(x))
    other.load_state_dict({n: t.clone() for n, t in first.state_dict().items()})
    assert torch.equal(first.ending.logit(x), other.ending.logit(x))


def test_a_run_with_a_learnt_rule_in_an_environment_of_ones_own(tmp_path: Path) -> None:
    import rlkit

    (tmp_path / "my_walk.py").write_text(
        "import gymnasium, numpy as np\n"
        "class Walk(gymnasium.Env):\n"
        "    observation_space = gymnasium.spaces.Box(-9, 9, (1,), np.float32)\n"
        "    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)\n"
        "    def reset(self, seed=None, options=None):\n"
        "        super().reset(seed=seed)\n"
        "        self.x = 0.0\n"
        "        return np.zeros(1, np.float32), {}\n"
        "    def step(self, action):\n"
        "        self.x = float(np.clip(self.x + action[0], -9, 9))\n"
        "        return np.array([self.x], np.float32), 1.0, abs(self.x) > 2, False, {}\n"
        "def ended(x):\n"
        "    return x[..., 0].abs() > 2\n"
        "gymnasium.register('MyWalk-v0', entry_point='my_walk:Walk', max_episode_steps=20)\n"
    )
    sys.path.insert(0, str(tmp_path))
    try:
        for name in ("my_walk:ended", "learnt"):
            result = rlkit.train(
                "mbpo",
                env="my_walk:MyWalk-v0",
                seeds=(0,),
                steps=60,
                config={**SMALL, "termination": name, "end_updates": 5},
                out=str(tmp_path / name.replace(":", "-")),
                **{"warmup": 20, "utd": 1, "eval_every": 60, "eval_episodes": 1},
                **{"engine": "eager", "quiet": True},
            )
            assert len(result.returns)
    finally:
        sys.path.remove(str(tmp_path))
