"""Random minibatches of agents that learn from more than rows."""

import dataclasses

import numpy as np
import torch

from rlkit.algos import cpl, decision_transformer, history_cql, vpl
from rlkit.core.batch import Batch
from rlkit.core.spec import Spec
from rlkit.core.streams import generator
from rlkit.testing.cases import BATCH, make_batch


def pairs(spec: Spec, agent: object, step: int) -> cpl.Pairs:
    """A random batch of pairs of segments, of which some are short; both phases of CPL in it."""
    lanes = []
    for seed in spec.seeds:
        rng = generator(seed, "pairs", step)
        lead = (BATCH, 2, 4)
        action = rng.integers(3, size=lead) if spec.discrete else rng.uniform(-0.9, 0.9, (*lead, 3))
        real = np.arange(4) < rng.integers(1, 5, (BATCH, 2, 1))
        y, w = rng.choice([0.0, 0.5, 1.0], BATCH), rng.uniform(0.5, 1.5, BATCH)
        contrast = (rng.random(BATCH) < 0.5).astype(float)
        lanes.append((rng.standard_normal((*lead, *spec.obs)), action, real, y, w, contrast))
    fields = (torch.from_numpy(np.stack(x)).to(spec.device) for x in zip(*lanes, strict=True))
    return cpl.Pairs(*(x.to(spec.dtype) if x.is_floating_point() else x for x in fields))  # type: ignore[arg-type]


def steps(spec: Spec, agent: object, step: int) -> decision_transformer.Steps:
    """A random batch of windows of 4 steps, of which some are padded."""
    s, a, to_go, t, mask = [], [], [], [], []
    for seed in spec.seeds:
        rng = generator(seed, "steps", step)
        real = np.arange(4) >= rng.integers(0, 4, (BATCH, 1))
        drawn = (
            rng.integers(3, size=real.shape)
            if spec.discrete
            else rng.uniform(-0.9, 0.9, (*real.shape, 3))
        )
        s.append(rng.standard_normal((*real.shape, *spec.obs)))
        a.append(drawn)
        to_go.append(rng.standard_normal(real.shape))
        t.append(np.maximum(0, rng.integers(6, size=(BATCH, 1)) + np.arange(4)))
        mask.append(real)
    fields = (torch.from_numpy(np.stack(x)).to(spec.device) for x in (s, a, to_go, t, mask))
    return decision_transformer.Steps(
        *(x.to(spec.dtype) if x.is_floating_point() else x for x in fields)
    )


def latent_rows(spec: Spec, agent: vpl.Agent, step: int) -> Batch:
    """A random batch whose observations have latents behind them."""
    size = agent.served.z.shape[-1]
    return make_batch(dataclasses.replace(spec, obs=(spec.obs_size + size,)), agent, step)


def histories(spec: Spec, agent: object, step: int) -> history_cql.History:
    """A random batch of rows, some with a step before them."""
    b = steps(spec, agent, step)
    b = b._replace(s=b.s[:, :, 2:], a=b.a[:, :, 2:], mask=b.mask[:, :, 2:])
    lanes = [generator(seed, "rows", step) for seed in spec.seeds]
    r = torch.from_numpy(np.stack([rng.standard_normal(BATCH) for rng in lanes])).to(b.s)
    cont = torch.from_numpy(np.stack([rng.random(BATCH) > 0.2 for rng in lanes])).to(b.s)
    s2 = torch.from_numpy(np.stack([rng.standard_normal((BATCH, *spec.obs)) for rng in lanes]))
    return history_cql.History(b.s, b.a, b.mask, r, cont, s2.to(b.s))
