"""SS-ORL, Zheng et al. 2023, "Semi-Supervised Offline Reinforcement Learning with Action-Free
Trajectories" (arXiv 2210.06518): actions that the data lack are told by an inverse model, and any
offline agent learns from the completed data.

    (1)  P(a_t | s_{t-k}, ..., s_t, s_{t+1}), squashed Gaussian, fitted by likelihood to known rows
    (2)  where the column `action_known` is 0:  a_t = tanh μ,  the rewards being the true ones
    (3)  the updates of `agent` on all rows

Each lane fits a model of its own before the first update (`imitation.inverse_dynamics`); known
actions stay as they are, so that with all of them known this is `agent`. With `labelled` below 1
actions are hidden first, as in the paper's experiments: known ones stay in a random draw of
`labelled` of the episodes among the `threshold` of lowest return, so that the better episodes have
no actions.

Differs from the released code: the weights of the best held-out loss are kept (theirs are the
last), padding is 0 after normalisation, and the last step of an episode is told from its true next
observation. The length of the fit is not published; that of the preset is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from rlkit.algos.behind.agents import Behind, agent_module, own_config
from rlkit.algos.imitation.inverse_dynamics import Labeller, Labels, apart, hide
from rlkit.core.errors import UsageError
from rlkit.core.spec import Spec
from rlkit.core.words.ranges import (
    Count,
    Natural,
    Positive,
    PositiveShare,
    ProperShare,
    Widths,
    checked,
)
from rlkit.data.sampling.samplers import Uniform
from rlkit.data.stock import Stock

if TYPE_CHECKING:
    from rlkit.data.store import EpisodeStore

FITS = ("offline", "continuous")
_COLUMNS = ("action_known", "t")


@checked()
@dataclass(frozen=True)
class Config:
    agent: str = "td3_bc"  # offline algorithm that learns from the completed data
    given: str = ""  # fields of its Config, as "alpha=1.0 hidden=256,256"; the rest by default
    labelled: PositiveShare = 1.0  # share of episodes whose actions stay known; 1 hides none
    threshold: PositiveShare = 0.5  # share of episodes, of lowest return, these are drawn from
    hide_seed: Natural = 0  # of the draw, the same for all lanes
    past: Natural = 1  # k, observations before s_t that the inverse model sees
    members: Count = 1  # inverse models, of which the mean counts
    hidden_idm: Widths = (256, 256)  # widths of each
    dropout_idm: ProperShare = 0.1  # share of its hidden units dropped
    lr_idm: Positive = 3e-4  # its learning rate
    steps_idm: Count = 5_000  # updates of its fit
    batch_idm: Count = 256  # rows an update of its fit
    holdout: ProperShare = 0.1  # share of the known episodes held out, at least one

    def __post_init__(self) -> None:
        _ = self.own  # whatever is wrong with it is said now

    @property
    def module(self) -> ModuleType:
        """The file of `agent`."""
        found = agent_module(self.agent)
        if not {"offline", "continuous"} <= set(found.FITS) or self.agent == "ss_orl":
            raise UsageError(f"agent {self.agent!r} learns no continuous actions from a dataset")
        return found

    @property
    def own(self) -> Any:
        """The Config of `agent`."""
        return own_config(self.module, self.given)

    @property
    def gamma(self) -> float | None:
        """Discount of `agent`, where it has one."""
        return getattr(self.own, "gamma", None)


# name -> fields of Config, options of the run
PRESETS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "published": (
        {
            "labelled": 0.1,
            "hidden_idm": (1024, 1024),
            "lr_idm": 1e-4,
            "batch_idm": 1024,
            "steps_idm": 10_000,
        },
        {"normalise_obs": True},
    ),
}


def Agent(spec: Spec, c: Config) -> Behind:
    """The agent named by the config, with the columns that tell which actions are known."""
    return Behind(spec, c, _COLUMNS)


def select(store: EpisodeStore, c: Config) -> EpisodeStore:
    """The episodes to learn from, with `action_known`. Raises UsageError where no action is."""
    if c.labelled < 1:
        store = hide(store, c.labelled, c.threshold, c.hide_seed)
    elif "action_known" not in store.extra:
        store = store.with_columns(action_known=np.ones(len(store), bool))
    if not store.extra["action_known"].any():
        raise UsageError("no action of the dataset is known: there is nothing to tell others from")
    choose = getattr(c.module, "select", None)
    return store if choose is None else choose(store, c.own)


class Source:
    """The agent's own minibatches of the completed rows, which every lane completes itself."""

    def __init__(self, stock: Stock, agent: Behind, c: Config) -> None:
        assert stock.data is not None
        self.rows = apart(stock.data, stock.spec)
        self.labeller = Labeller(self.rows, stock.streams, c)
        own = getattr(c.module, "source", None)
        completed = stock._replace(data=self.rows)
        batch = getattr(c.own, "batch_size", 256)
        self.inner: Any = Uniform(self.rows, batch, stock.streams)
        if own is not None:
            self.inner = own(completed, agent.inner, c.own)
        self.batch_size = self.inner.batch_size
        self.indices, self.batch = self.inner.indices, self.inner.batch
        self.labels: Labels | None = None
        for name in ("every", "advance", "learned"):
            if hasattr(self.inner, name):
                setattr(self, name, getattr(self.inner, name))
        missing = len(self.labeller.unknown)
        self.beginning = f"telling {missing:,} of {self.rows.size:,} actions by an inverse model"

    def begin(self) -> None:
        if len(self.labeller.unknown):
            self.labeller.fit()
        self._complete()
        if hasattr(self.inner, "begin"):
            self.inner.begin()

    def _complete(self) -> None:
        """Eq. (2), and the next actions, where the agent reads them."""
        unknown = self.labeller.unknown
        self.labels = self.labeller.labels(unknown)
        actions = self.rows.rows("a")
        actions[:, torch.from_numpy(unknown).to(actions.device)] = self.labels.action
        if "next_action" in self.rows.columns:
            ends = self.rows.rows("last").unsqueeze(-1).bool()
            self.rows.rows("next_action").copy_(torch.where(ends, actions, actions.roll(-1, 1)))

    def state_dict(self) -> dict[str, Tensor]:
        """The inverse models, which tell the actions again, and what the agent's source keeps."""
        own: dict[str, Tensor] = getattr(self.inner, "state_dict", dict)()
        model = {f"idm.{name}": x for name, x in self.labeller.model.state_dict().items()}
        return model | {f"own.{name}": x for name, x in own.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        parts: dict[str, dict[str, Tensor]] = {"idm": {}, "own": {}}
        for name, x in state.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = x
        self.labeller.model.load_state_dict(parts["idm"])
        self._complete()
        if parts["own"]:
            self.inner.load_state_dict(parts["own"])


def source(stock: Stock, agent: Behind, c: Config) -> Source:
    """Complete the dataset's actions, then feed the agent."""
    return Source(stock, agent, c)
