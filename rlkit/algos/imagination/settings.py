"""The fields that the configurations of all model-based agents share."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rlkit.core.words.ranges import Count, Natural, NonNegatives, OpenShare, Positive, Share, Widths


@dataclass(frozen=True)
class ModelConfig:
    batch_size: Count = 256  # B, transitions an update
    real_ratio: Share = 0.05  # share of real rows in a minibatch; 1 is model-free
    model_every: Count = 250  # steps between fits of the model; offline: between rounds
    rollouts: Count = 10_000  # states rolled out in a round
    retain: Count = 4  # rounds whose rows are kept
    n_models: Count = 7  # ensemble size of the model
    n_elites: Count = 5  # members that predict
    termination: str = "task"  # task, never, learnt, or package.module:function, see `endings`
    end_updates: Count = 500  # of a learnt rule of termination, in each fit
    deterministic: bool = False  # squared error instead of a Gaussian's likelihood
    hidden_model: Widths = (200, 200, 200, 200)  # widths of the model
    lr_model: Positive = 1e-3  # learning rate of the model
    decay_model: NonNegatives = (2.5e-5, 5e-5, 7.5e-5, 7.5e-5, 1e-4)  # of each layer's weights
    batch_model: Count = 256  # rows of a model update, for each member
    holdout: OpenShare = 0.2  # share of the rows kept for validation
    max_holdout: Count = 1000  # most rows kept for validation
    patience: Natural = 5  # epochs without progress before a fit ends
    max_epochs: Count = 200  # of one fit

    def outset(self, rows: int, longest: int, steps: int) -> str:
        """What is done before the first update from a dataset of so many rows, in a run of so many
        updates; empty where it is nothing."""
        if self.real_ratio == 1:
            return ""
        epoch = math.ceil(rows / self.batch_model)
        least = min(self.patience + 2, self.max_epochs)  # the first has made progress
        beyond = f"; the run has {steps:,}" if epoch * least > steps else ""
        return (
            f"before the first update a model of {self.n_models} members is fitted to the dataset: "
            f"{least} to {self.max_epochs} epochs (--config.max-epochs) of {epoch:,} updates"
            f"{beyond}"
        )
