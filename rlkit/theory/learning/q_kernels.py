"""The stepping kernel behind `q_learning.learn_control`."""

import math

import numpy as np

from rlkit.core.jit import njit
from rlkit.theory.learning.sampling import draw
from rlkit.theory.planning.heap import sift_down, sift_up
from rlkit.theory.streams import integer, normal, stream, uniform
from rlkit.theory.trajectories import first_above

Q, DOUBLE, SARSA, EXPECTED, NSTEP, DYNA, PRIORITISED = range(7)
METHODS = {
    "q": Q, "double": DOUBLE, "sarsa": SARSA, "expected-sarsa": EXPECTED, "nstep-sarsa": NSTEP,
    "dyna": DYNA, "prioritised": PRIORITISED,
}  # fmt: skip


@njit(cache=True, nogil=True)
def greedy_row(q, other, start, end, rng):
    """A row of the largest q + other, ties broken uniformly."""
    best, ties, found = -np.inf, 0, start
    for i in range(start, end):
        value = q[i] + other[i]
        if value > best:
            best, ties, found = value, 1, i
        elif value == best:
            ties += 1
            if uniform(rng) * ties < 1.0:
                found = i
    return found


@njit(cache=True, nogil=True)
def choose(q, other, start, end, epsilon, rng):
    """An epsilon-greedy row."""
    if uniform(rng) < epsilon:
        return start + integer(rng, end - start)
    return greedy_row(q, other, start, end, rng)


@njit(cache=True, nogil=True)
def state_value(q, start, end, epsilon):
    """(1 - epsilon) max q + epsilon mean q: epsilon 0 is the max."""
    best, total = -np.inf, 0.0
    for i in range(start, end):
        best = max(best, q[i])
        total += q[i]
    return (1.0 - epsilon) * best + epsilon * total / (end - start)


@njit(cache=True, nogil=True)
def step_size(alpha, omega, count):
    """The constant step, or count**-omega when alpha is negative."""
    return alpha if alpha >= 0.0 else count**-omega


@njit(cache=True, nogil=True)
def _plan_dyna(
    q, sa_ptr, row_ptr, col, owner, seen, ended, total, reward_sum, last_try, now, visited, known,
    gamma, alpha, omega, planning, kappa, rng,
):  # fmt: skip
    """Dyna-Q: sampled updates of tried rows; Dyna-Q+ also of untried rows of visited states."""
    for _ in range(planning):
        i = visited[integer(rng, known)]
        s = owner[i]
        bonus = 0.0
        if kappa > 0.0:
            # Any action of a state seen before may be imagined, tried or not.
            i = sa_ptr[s] + integer(rng, sa_ptr[s + 1] - sa_ptr[s])
            bonus = kappa * math.sqrt(now - last_try[i])
        n = total[i]
        if n == 0.0:
            # An untried action is thought to lead back with no reward (Sutton & Barto, 8.3).
            ahead = state_value(q, sa_ptr[s], sa_ptr[s + 1], 0.0)
            q[i] += step_size(alpha, omega, 1.0) * (bonus + gamma * ahead - q[i])
            continue
        u = uniform(rng) * n
        ahead = 0.0
        if u >= ended[i]:
            u -= ended[i]
            for k in range(row_ptr[i], row_ptr[i + 1]):
                u -= seen[k]
                if u < 0.0:
                    t = col[k]
                    ahead = state_value(q, sa_ptr[t], sa_ptr[t + 1], 0.0)
                    break
        target = reward_sum[i] / n + bonus + gamma * ahead
        q[i] += step_size(alpha, omega, n) * (target - q[i])


@njit(cache=True, nogil=True)
def _model_backup(i, q, sa_ptr, row_ptr, col, seen, total, reward_sum, gamma):
    """Expected backup of a tried row under the count model."""
    value = reward_sum[i] / total[i]
    for k in range(row_ptr[i], row_ptr[i + 1]):
        if seen[k] > 0.0:
            t = col[k]
            value += gamma * seen[k] / total[i] * state_value(q, sa_ptr[t], sa_ptr[t + 1], 0.0)
    return value


@njit(cache=True, nogil=True)
def _plan_prioritised(
    first, q, sa_ptr, row_ptr, col, owner, seen, total, reward_sum, in_ptr, in_entry, in_row,
    heap, place, key, gamma, planning, threshold,
):  # fmt: skip
    """Prioritised sweeping on the count model, starting from the row just tried."""
    error = _model_backup(first, q, sa_ptr, row_ptr, col, seen, total, reward_sum, gamma)
    if abs(error - q[first]) > max(threshold, key[first]):
        key[first] = abs(error - q[first])
        sift_up(heap, place, key, place[first])
    for _ in range(planning):
        i = heap[0]
        if key[i] <= threshold:
            break
        key[i] = 0.0
        sift_down(heap, place, key, 0)
        s = owner[i]
        before = state_value(q, sa_ptr[s], sa_ptr[s + 1], 0.0)
        q[i] = _model_backup(i, q, sa_ptr, row_ptr, col, seen, total, reward_sum, gamma)
        change = abs(state_value(q, sa_ptr[s], sa_ptr[s + 1], 0.0) - before)
        if change == 0.0:
            continue
        for m in range(in_ptr[s], in_ptr[s + 1]):
            k, j = in_entry[m], in_row[m]
            if seen[k] > 0.0:
                raised = gamma * seen[k] / total[j] * change
                if raised > max(threshold, key[j]):
                    key[j] = raised
                    sift_up(heap, place, key, place[j])


@njit(cache=True, nogil=True)
def _transpose(row_ptr, col, states):
    """For every state, the CSR entries that lead to it and their rows."""
    in_ptr = np.zeros(states + 1, np.int64)
    for k in range(col.size):
        in_ptr[col[k] + 1] += 1
    for s in range(states):
        in_ptr[s + 1] += in_ptr[s]
    at = in_ptr[:-1].copy()
    entry, row = np.empty(col.size, np.int64), np.empty(col.size, np.int64)
    for i in range(row_ptr.size - 1):
        for k in range(row_ptr[i], row_ptr[i + 1]):
            entry[at[col[k]]], row[at[col[k]]] = k, i
            at[col[k]] += 1
    return in_ptr, entry, row


@njit(cache=True, nogil=True)
def _n_step_target(rows, rewards, first, count, size, gamma, ahead):
    """Discounted sum of the stored rewards from `first` on, plus gamma^count times ahead."""
    total, weight = 0.0, 1.0
    for j in range(count):
        total += weight * rewards[(first + j) % size]
        weight *= gamma
    return rows[first % size], total + weight * ahead


@njit(cache=True, nogil=True)
def run_control(
    method, world, sa_ptr, mu0, owner, gamma, epsilon, alpha, omega, n, planning, kappa, threshold,
    q0, max_length, noise, seed, replicate, marks, out, first_rows,
):  # fmt: skip
    """One replicate; Q at the marks into `out` (the mean of both tables for double Q)."""
    luck, mind = stream(seed, replicate, 0), stream(seed, replicate, 1)
    row_ptr, col = world.row_ptr, world.col
    rows, states = world.r.size, sa_ptr.size - 1
    q, twin, zero = np.full(rows, q0), np.full(rows, q0), np.zeros(rows)
    count, twin_count = np.zeros(rows), np.zeros(rows)
    model = method in (DYNA, PRIORITISED)
    seen, ended = np.zeros(col.size if model else 1), np.zeros(rows)
    total, reward_sum = np.zeros(rows), np.zeros(rows)
    last_try = np.zeros(rows)
    visited, known = np.empty(rows, np.int64), 0
    heap, place, key = np.arange(rows), np.arange(rows), np.zeros(rows)
    in_ptr, in_entry, in_row = _transpose(row_ptr, col, states)
    kept_rows, kept_rewards = np.empty(n, np.int64), np.empty(n)
    s, i, length, mark, episode = np.int64(-1), np.int64(-1), 0, 0, 0
    other = twin if method == DOUBLE else zero
    for t in range(1, marks[-1] + 1):
        if s < 0:
            s, length = first_above(mu0, 0, mu0.size, uniform(luck)), 0
            i = np.int64(-1)
        if i < 0:
            i = choose(q, other, sa_ptr[s], sa_ptr[s + 1], epsilon, mind)
        if length == 0:
            if episode < first_rows.size:
                first_rows[episode] = i
            episode += 1
        target, reward = draw(luck, world, i)
        if noise[i] > 0.0:
            reward += noise[i] * normal(luck)
        length += 1
        over = target < 0 or length == max_length
        count[i] += 1.0
        # The next action is chosen before the update; SARSA then really takes it.
        following = np.int64(-1)
        if target >= 0:
            following = choose(q, other, sa_ptr[target], sa_ptr[target + 1], epsilon, mind)
        if method == DOUBLE:
            flip = uniform(mind) < 0.5  # one coin: which table learns, the other values
            learner, judge = (q, twin) if flip else (twin, q)
            if flip:
                visits = count[i] - twin_count[i]
            else:
                twin_count[i] += 1.0
                visits = twin_count[i]
            ahead = 0.0
            if target >= 0:
                ahead = judge[greedy_row(learner, zero, sa_ptr[target], sa_ptr[target + 1], mind)]
            step = step_size(alpha, omega, max(visits, 1.0))
            learner[i] += step * (reward + gamma * ahead - learner[i])
        elif method == NSTEP:
            slot = (length - 1) % n
            kept_rows[slot], kept_rewards[slot] = i, reward
            ahead = q[following] if target >= 0 else 0.0
            first = max(0, length - n)
            if length >= n or over:
                last = length - 1 if over else first
                for j in range(first, last + 1):
                    row, goal = _n_step_target(
                        kept_rows, kept_rewards, j, length - j, n, gamma, ahead
                    )
                    q[row] += step_size(alpha, omega, count[row]) * (goal - q[row])
        elif method != PRIORITISED:
            ahead = 0.0
            if target >= 0:
                if method == SARSA:
                    ahead = q[following]
                else:
                    soft = epsilon if method == EXPECTED else 0.0
                    ahead = state_value(q, sa_ptr[target], sa_ptr[target + 1], soft)
            q[i] += step_size(alpha, omega, count[i]) * (reward + gamma * ahead - q[i])
        if model:
            if total[i] == 0.0:
                visited[known] = i
                known += 1
            total[i] += 1.0
            reward_sum[i] += reward
            last_try[i] = t
            if target < 0:
                ended[i] += 1.0
            else:
                for k in range(row_ptr[i], row_ptr[i + 1]):
                    if col[k] == target:
                        seen[k] += 1.0
            if method == DYNA:
                _plan_dyna(
                    q, sa_ptr, row_ptr, col, owner, seen, ended, total, reward_sum, last_try, t,
                    visited, known, gamma, alpha, omega, planning, kappa, mind,
                )  # fmt: skip
            else:
                _plan_prioritised(
                    i, q, sa_ptr, row_ptr, col, owner, seen, total, reward_sum, in_ptr, in_entry,
                    in_row, heap, place, key, gamma, planning, threshold,
                )  # fmt: skip
        s = np.int64(-1) if over else target
        # Only SARSA's update promises the next action; the others choose with the new Q.
        i = following if method in (SARSA, NSTEP) and not over else np.int64(-1)
        if t == marks[mark]:
            for j in range(rows):
                out[mark, j] = 0.5 * (q[j] + twin[j]) if method == DOUBLE else q[j]
            mark += 1
