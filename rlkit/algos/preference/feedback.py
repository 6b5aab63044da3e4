"""Asking: pairs of segments drawn for every lane, the true gains of their steps, the answers.

Which pairs lane k is asked about, and what it is told, depends on its seed and the round alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rlkit.algos.preference.teachers.synthetic import Answers, Teacher, parse
from rlkit.core.errors import UsageError
from rlkit.core.spec import Spec
from rlkit.core.streams import Streams
from rlkit.data.preferences import PairDataset
from rlkit.data.replay import Replay
from rlkit.data.sampling.segments import (
    Segments,
    by_time,
    choose,
    cut_from_replay,
    cut_from_store,
    places_in_replay,
    places_in_store,
)
from rlkit.data.store import EpisodeStore
from rlkit.data.transforms import Transforms


class Preferences(NamedTuple):
    """Labelled pairs in agent units: what learners may know of them. `S` is 1 where all lanes
    have the same."""

    s: Tensor  # [S, n, 2, H, *obs]
    a: Tensor  # [S, n, 2, H, A], or [S, n, 2, H] int64
    mask: Tensor  # [S, n, 2, H] bool
    y: Tensor  # [S, n], P(second preferred)
    w: Tensor  # [S, n], weight in a loss; 0: no answer


def draw_pairs(
    replay: Replay,
    streams: Streams,
    length: int,
    count: int,
    round_: int = 0,
    newest: int | None = None,
) -> Segments:
    """`count` pairs `[S, count, 2, H, ...]`, each segment drawn from all that fit."""
    places = places_in_replay(replay, length, newest=newest)
    u = streams.draw("segments", "uniform", round_, (count, 2))[0]
    return cut_from_replay(replay, choose(places, u), length)


def answer(
    teacher: Teacher,
    gain: Tensor,
    mask: Tensor,
    mean_return: Tensor,
    streams: Streams,
    round_: int = 0,
    most: int | None = None,
) -> Answers:
    """What the teacher says, `[S, n]`, of pairs with `gain`, `mask [S, n, 2, H]`; `mean_return [S]`
    is the mean sum of H rewards, `most` the pairs of the largest round (n where all are alike)."""
    n = gain.shape[1]
    u = streams.draw("answers", "uniform", round_, (most or n, teacher.uniforms))[0]
    numbers = torch.from_numpy(u[:, :n]).to(gain.device)
    return teacher.answers(gain.double(), mask, numbers, mean_return.double().unsqueeze(-1))


def true_reward(r: Tensor, mask: Tensor, transforms: Transforms) -> Tensor:
    """Rewards `[..., H]` as the environment gave them, float64, 0 on absorbing steps."""
    given = (r.double() - transforms.reward_bias) / transforms.reward_scale
    return given * mask.double()


def in_env(obs: Tensor, transforms: Transforms) -> Tensor:
    """Observations `[..., *obs]` as the environment gave them, float64."""
    if transforms.obs_mean is None or transforms.obs_std is None:
        return obs.double()
    mean, std = (
        torch.from_numpy(np.asarray(x)).to(obs.device)
        for x in (transforms.obs_mean, transforms.obs_std)
    )
    return obs.double() * std + mean


def action_in_env(a: Tensor, transforms: Transforms) -> Tensor:
    """Continuous actions `[..., A]` within the environment's bounds, float64."""
    wide = transforms.to_env(a.double().cpu().numpy())
    return torch.from_numpy(np.asarray(wide)).to(a.device)


def mean_return(
    replay: Replay, transforms: Transforms, length: int, episodes: int | None = None
) -> Tensor:
    """Mean true return of `length` steps `[S]`, over the last finished `episodes`, or all rows.

    It is the mean reward a step: episodes of any length count for what they last. Rows of an
    episode that has not ended, or whose beginning the ring has overwritten, do not count, unless
    there is nothing else.
    """
    _, r, last = by_time(replay, "r", "last")  # [E, S, T]
    means = [
        _of_last(r[:, k], last[:, k], episodes) if episodes else r[:, k].mean(dtype=np.float64)
        for k in range(r.shape[1])
    ]
    mean = torch.tensor(means, dtype=torch.float64, device=replay.spec.device)
    mean = (mean - transforms.reward_bias) / transforms.reward_scale * length
    return mean.expand(replay.spec.lanes)


def _of_last(r: np.ndarray, last: np.ndarray, episodes: int) -> float:
    """Mean reward a step of the last `episodes` finished ones in `[E, T]` rows in order of time."""
    spans = []
    for end, env in np.argwhere(last.T > 0)[::-1].tolist():
        before = np.flatnonzero(last[env, :end])
        if len(before):  # where nothing ended before, the beginning may be gone
            spans.append(r[env, before[-1] + 1 : end + 1])
        if len(spans) == episodes:
            break
    return float((np.concatenate(spans) if spans else r).mean(dtype=np.float64))


def pair_dataset(
    store: EpisodeStore,
    pairs: int,
    length: int,
    teacher: str = "rational",
    seed: int = 0,
    gain: np.ndarray | None = None,
) -> PairDataset:
    """`pairs` pairs of a store, answered by a synthetic `teacher`; the skipped ones are left out.

    They are those that the lane of `seed` would be asked about. `gain [N]` is what the teacher
    sums, a row each: the rewards by default, advantages for a teacher by regret, which needs them.
    """
    asked = parse(teacher)
    if asked.regret and gain is None:
        raise ValueError("a teacher by regret needs advantages: give gain [N], one a row")
    if gain is not None and np.shape(gain) != (len(store),):
        raise ValueError(f"gain has shape {np.shape(gain)}; ({len(store)},) is expected")
    streams = Streams((seed,))
    u = streams.draw("segments", "uniform", 0, (pairs, 2))[0]
    places = choose([places_in_store(store, length)], u)
    cut = cut_from_store(store, places, length)
    rewards = np.asarray(store.reward if gain is None else gain, np.float64)
    known = torch.from_numpy(rewards[cut.rows] * cut.mask)
    mean = torch.tensor([store.reward.astype(np.float64).mean() * length])
    said = answer(asked, known, torch.from_numpy(cut.mask), mean, streams)
    given = said.given[0].numpy()
    if not given.any():
        raise ValueError(f"teacher {teacher!r} skipped all {pairs} pairs; lower what it skips")
    kept = Segments(*(x[0][given] for x in cut))
    origin = f"synthetic teacher {teacher}, seed {seed}"
    return PairDataset(kept, said.y[0].numpy()[given], origin=origin)


def from_dataset(pairs: PairDataset, spec: Spec, transforms: Transforms) -> Preferences:
    """The pairs in agent units, one lane of them for all. Raises ValueError if they do not fit."""
    segments = pairs.segments
    if segments.s.shape[3:] != spec.obs or pairs.discrete != spec.discrete:
        kind = "discrete" if pairs.discrete else "continuous"
        raise ValueError(
            f"pairs have observations of shape {segments.s.shape[3:]} and {kind} actions; the task "
            f"has {spec.obs} and {spec.act}"
        )
    if pairs.discrete:
        size = int(segments.a.max()) + 1
        if size > spec.act_size or segments.a.min() < 0:
            raise ValueError(f"pairs have actions outside 0..{spec.act_size - 1}")
    elif segments.a.shape[-1] != spec.act_size:
        raise ValueError(f"pairs have actions of {segments.a.shape[-1]} numbers, not {spec.act}")
    mask = torch.from_numpy(segments.mask)

    def lane(x: np.ndarray) -> Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(x)).to(spec.device)
        return (tensor.to(spec.dtype) if tensor.is_floating_point() else tensor).unsqueeze(0)

    return Preferences(
        s=lane(transforms.obs(segments.s) * _wide(segments.mask, segments.s)),
        a=lane(transforms.to_agent(segments.a) * _wide(segments.mask, segments.a)),
        mask=lane(mask.numpy()),
        y=lane(pairs.y),
        w=lane(np.asarray(pairs.weight)),
    )


def read_pairs(path: str, spec: Spec, transforms: Transforms) -> tuple[PairDataset, Preferences]:
    """The pairs of a file, as they are and in agent units. Raises FileError for a file that holds
    none, UsageError naming the file for pairs of another task."""
    pairs = PairDataset.load(path)
    try:
        return pairs, from_dataset(pairs, spec, transforms)
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from error


def of_scaling(transforms: Transforms) -> str:
    """How a line begins that says what is about to happen, where the true rewards are scaled and
    nothing is learnt of them: that it changes nothing. Otherwise ""."""
    plain = (transforms.reward_scale, transforms.reward_bias) == (1, 0)
    return "" if plain else "rewards are scaled, which changes nothing where none is learnt from; "


def _wide(mask: np.ndarray, x: np.ndarray) -> np.ndarray:
    return mask.reshape(*mask.shape, *[1] * (x.ndim - mask.ndim)).astype(x.dtype)
