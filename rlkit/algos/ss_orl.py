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
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from rlkit.algos.behind.agents import Behind, Named
from rlkit.algos.behind.rows import Completed, apart
from rlkit.algos.imitation.inverse_dynamics import Labeller, Labels, hide
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
from rlkit.data.replay import Replay
from rlkit.data.stock import Stock

if TYPE_CHECKING:
    from rlkit.data.store import EpisodeStore

FITS = ("offline", "continuous")
TELLS_ACTIONS = True  # of steps that have none
_COLUMNS = ("action_known", "t")


@checked()
@dataclass(frozen=True)
class Config(Named):
    needs = frozenset(("offline", "continuous"))
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

    def outset(self, rows: int, longest: int, steps: int) -> str:
        """What is done before the first update, the agent's own preparations included."""
        after = super().outset(rows, longest, steps)
        models = "an inverse model" if self.members == 1 else f"{self.members} inverse models"
        first = f"the dataset is completed by {models}, of {self.steps_idm:,} updates"
        first += " (--config.steps-idm)"
        return f"{first}; {after}" if after else first


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


class Completion:
    """Tells the unknown actions of `rows`, by each lane's own inverse model."""

    labels: Labels | None = None

    def __init__(self, stock: Stock, rows: Replay, c: Config) -> None:
        self.rows, self.labeller = rows, Labeller(rows, stock.streams, c)
        missing = len(self.labeller.unknown)
        self.beginning = f"telling {missing:,} of {rows.size:,} actions by an inverse model"

    def fit(self) -> None:
        """Eq. (1), where there is something to tell."""
        if len(self.labeller.unknown):
            self.labeller.fit()

    def complete(self) -> None:
        """Eq. (2), and the next actions, where the agent reads them."""
        unknown = self.labeller.unknown
        self.labels = self.labeller.labels(unknown)
        actions = self.rows.rows("a")
        actions[:, torch.from_numpy(unknown).to(actions.device)] = self.labels.action
        if "next_action" in self.rows.columns:
            ends = self.rows.rows("last").unsqueeze(-1).bool()
            self.rows.rows("next_action").copy_(torch.where(ends, actions, actions.roll(-1, 1)))

    def state_dict(self) -> dict[str, Tensor]:
        """The inverse models, which tell the actions again."""
        return dict(self.labeller.model.state_dict())

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.labeller.model.load_state_dict(state)


def source(stock: Stock, agent: Behind, c: Config) -> Completed:
    """Complete the dataset's actions, then feed the agent."""
    assert stock.data is not None
    rows = apart(stock.data, stock.spec)
    return Completed(stock, rows, agent, c, Completion(stock, rows, c))
