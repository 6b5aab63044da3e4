"""stable-baselines3's agents as algorithms: `sb3:ppo`, `sb3:sac`, ... with a Config and an Agent.

`Config` holds the numbers their constructors take, under their names, with their defaults. `Agent`
only acts: the layers between an observation and the most likely action, for S lanes, which
`rlkit.run.sb3.loop` fills from the models it trains. So a run of theirs is evaluated, exported and
compared like one of ours, and nothing of theirs is unpickled for it.
"""

from __future__ import annotations

import dataclasses
import inspect
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlkit.core.errors import UsageError
from rlkit.core.spec import Spec
from rlkit.core.words.nearest import suggestion
from rlkit.core.words.ranges import (
    Count,
    Natural,
    NonNegative,
    Positive,
    PositiveShare,
    Range,
    Share,
    Widths,
    checked,
)
from rlkit.envs.minigrid import KINDS
from rlkit.run.settings.fits import SB3

PREFIX = "sb3:"
IMITATING = ("sb3:a2c", "sb3:ppo")  # whose policies can be told what an expert did
_OR_ALL = Annotated[int, Range("be at least -1", -1)]
_TYPES: dict[str, Any] = {  # numbers of their constructors
    "learning_rate": Positive,
    "gamma": Share,
    "gae_lambda": Share,
    "tau": PositiveShare,
    "batch_size": Count,
    "n_steps": Count,
    "n_epochs": Count,
    "clip_range": Positive,
    "vf_coef": NonNegative,
    "max_grad_norm": Positive,
    "rms_prop_eps": Positive,
    "buffer_size": Count,
    "learning_starts": Natural,
    "train_freq": Count,
    "gradient_steps": _OR_ALL,
    "target_update_interval": Count,
    "exploration_fraction": Share,
    "exploration_initial_eps": Share,
    "exploration_final_eps": Share,
    "policy_delay": Count,
    "target_policy_noise": NonNegative,
    "target_noise_clip": NonNegative,
    "target_kl": Positive | None,
    "normalize_advantage": bool,
    "use_rms_prop": bool,
    "target_entropy": str,  # "auto" or a number
}


@cache
def module(name: str) -> ModuleType:
    """What an algorithm file defines, for `sb3:NAME`. Raises UsageError for an unknown one."""
    if name not in SB3:
        raise UsageError(f"unknown agent {name!r}{suggestion(name, SB3)} (one of {', '.join(SB3)})")
    made: Any = ModuleType(name)
    made.FITS, made.Config = SB3[name], _config(name)

    class Agent(Acting):
        def __init__(self, spec: Spec, c: Any) -> None:
            super().__init__(name, spec, c)

    made.Agent = Agent
    return made


def agent_class(name: str) -> Any:
    """stable-baselines3's class."""
    import stable_baselines3

    return getattr(stable_baselines3, name.removeprefix(PREFIX).upper())


def arguments(name: str, c: Any) -> dict[str, Any]:
    """Keyword arguments of their class that a Config of one lane stands for."""
    given = dataclasses.asdict(c)
    hidden, explore = given.pop("hidden"), given.pop("explore", 0.0)
    for key in ("cloning", "imitation", "batch_imitation"):  # of `imitation`, not theirs
        given.pop(key, None)
    given = {key: x[0] if isinstance(x, tuple | list) else x for key, x in given.items()}
    for key in ("ent_coef", "target_entropy"):
        if isinstance(given.get(key), str) and not given[key].startswith("auto"):
            given[key] = float(given[key])
    if hidden:
        given["policy_kwargs"] = {"net_arch": list(hidden)}
    if explore:
        given["action_noise"] = explore  # the loop makes the noise: it knows the actions
    return given


def _config(name: str) -> type:
    parameters = inspect.signature(agent_class(name)).parameters
    fields: list[Any] = []
    for key, parameter in parameters.items():
        kind = _TYPES.get(key)
        if key == "ent_coef":
            kind = str if isinstance(parameter.default, str) else NonNegative
        if kind is not None:
            fields.append((key, kind, dataclasses.field(default=parameter.default)))
    fields.append(("hidden", Widths, dataclasses.field(default=())))
    if name in IMITATING:
        fields += [
            ("cloning", Natural, dataclasses.field(default=0)),  # updates on a dataset before
            ("imitation", NonNegative, dataclasses.field(default=0.0)),  # λ, beside all later ones
            ("batch_imitation", Count, dataclasses.field(default=256)),  # rows of the dataset
        ]
    if "action_noise" in parameters:  # deviation of Gaussian noise on actions, in their box's units
        fields.append(("explore", NonNegative, dataclasses.field(default=0.0)))
    made = dataclasses.make_dataclass("Config", fields, frozen=True)
    return checked()(made)


@dataclass
class _Layers:
    """What lies between flat observations and actions in a policy of theirs."""

    net: nn.Sequential
    end: str  # "index", "tanh" or "box"


def layers(name: str, policy: Any) -> _Layers:
    """The layers of an MLP policy; raises UsageError for one that is made of other things."""
    kind = name.removeprefix(PREFIX)
    if kind in ("ppo", "a2c"):
        net = nn.Sequential(*policy.mlp_extractor.policy_net, policy.action_net)
        return _Layers(net, "index" if "Categorical" in repr(policy.action_dist) else "box")
    if kind == "dqn":
        return _Layers(nn.Sequential(*policy.q_net.q_net), "index")
    if kind == "sac":
        return _Layers(nn.Sequential(*policy.actor.latent_pi, policy.actor.mu, nn.Tanh()), "tanh")
    return _Layers(nn.Sequential(*policy.actor.mu), "tanh")  # ends in a tanh of its own


def _one_hot(s: Tensor) -> Tensor:
    """As `rlkit.envs.minigrid.one_hot`, by operations that exported policies have."""
    kind = s.dtype if s.is_floating_point() else torch.float32
    tables = [torch.eye(n, dtype=kind, device=s.device) for n in KINDS]
    parts = [F.embedding(s[..., k].long(), table) for k, table in enumerate(tables)]
    return torch.cat(parts, -1).flatten(2)


class Acting:
    """Acts for S lanes: `act(s [S, B, *obs]) -> [S, B, A]` in [-1, 1], or `[S, B]`."""

    def __init__(self, name: str, spec: Spec, c: Any) -> None:
        from gymnasium import spaces

        self.view = len(spec.obs) == 3 and spec.obs[-1] == len(KINDS) and not spec.image
        if len(spec.obs) != 1 and not self.view:
            raise UsageError(f"{name} takes vectors and MiniGrid's views, not {spec.obs}")
        seen = (spec.obs[0] * spec.obs[1] * sum(KINDS),) if self.view else spec.obs
        actions = (
            spaces.Discrete(spec.act_size)
            if spec.discrete
            else spaces.Box(-1.0, 1.0, (spec.act_size,))
        )
        arch = {"net_arch": list(c.hidden)} if c.hidden else {}
        with torch.random.fork_rng(devices=[]):
            policy = agent_class(name).policy_aliases["MlpPolicy"](
                spaces.Box(-float("inf"), float("inf"), seen), actions, lambda _: 0.0, **arch
            )
        one = layers(name, policy)
        self.end = one.end
        self.net: Any = nn.Module()
        self.kinds = [layer for layer in one.net if not list(layer.parameters())]
        self.order: list[str] = []  # of each layer: the name of its weights, or ""
        for number, layer in enumerate(one.net):
            known = isinstance(layer, nn.Linear)
            self.order.append(str(number) if known else "")
            if known:
                for part, value in layer.named_parameters():
                    shape = (spec.lanes, *value.shape)
                    stacked = torch.zeros(shape, dtype=spec.dtype, device=spec.device)
                    self.net.register_buffer(f"{part}_{number}", stacked)
        for part in ("low", "high"):  # box of the actions, which PPO's and A2C's means lie in
            box = torch.ones(spec.lanes, spec.act_size, dtype=spec.dtype, device=spec.device)
            self.net.register_buffer(part, -box if part == "low" else box)

    def fill(self, lane: int, name: str, policy: Any, low: Any, high: Any) -> None:
        """Take over a trained policy of theirs; `low`, `high` bound its actions (or None)."""
        for number, layer in enumerate(layers(name, policy).net):
            for part, value in layer.named_parameters():
                getattr(self.net, f"{part}_{number}")[lane] = value.detach()
        if low is not None:
            self.net.low[lane], self.net.high[lane] = torch.as_tensor(low), torch.as_tensor(high)

    def act(self, s: Tensor, noise: Tensor | None = None) -> Tensor:
        x, plain = _one_hot(s) if self.view else s, iter(self.kinds)
        for number in self.order:
            if number:
                weight = getattr(self.net, f"weight_{number}")
                x = x @ weight.transpose(1, 2) + getattr(self.net, f"bias_{number}").unsqueeze(1)
            else:
                x = next(plain)(x)
        if self.end == "index":
            return x.argmax(-1)
        if self.end == "tanh":
            return x
        low, high = self.net.low.unsqueeze(1), self.net.high.unsqueeze(1)
        return (2 * (x - low) / (high - low) - 1).clamp(-1, 1)
