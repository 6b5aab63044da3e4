"""Follow-the-regularised-leader on importance-weighted losses: Exp3, Exp3-IX, Tsallis-INF.

Loss l = 1 - reward in [0, 1], L_a the sum of loss estimates, p the played distribution:
  Exp3          p ∝ exp(-eta L),  L_A += l / p_A                            Auer et al. 2002
                eta = sqrt(2 ln K / (K T)), or anytime sqrt(ln K / (t K))
  batched Exp3  Exp3 on batches of rounds: an arm is held for B of them and their mean loss counts
                as one, with the anytime eta by batches; against adversaries with memory
                                                                 Arora, Dekel & Tewari 2012
  Exp3-IX       L_A += l / (p_A + eta / 2), anytime eta                     Neu 2015
  Tsallis-INF   p_a = 4 / (eta (L_a - x))², x < min L with sum p = 1        Zimmert & Seldin 2021
                eta = 2/sqrt(t); with `reduced_variance` eta = 4/sqrt(t) and the estimate
                b_a + 1{A=a} (l - b_a) / p_a,  b_a = 1/2 · 1{p_a >= eta²}
The update uses the probability at selection time, which the state block keeps.
"""

import math

from rlkit.algos.bandits.simulation.state import CACHE, CACHE_2
from rlkit.envs.bandits.jit import kernel
from rlkit.envs.bandits.streams import uniform

EXP3, EXP3_IX, TSALLIS_INF, EXP3_BATCHED = range(20, 24)
LOSS, PROBABILITY = CACHE, CACHE_2  # rows of the state block
ROOT, ETA, HELD, SUM, PLAYS = range(1, 6)  # places in the scalars


@kernel()
def exponential_weights(losses, eta, probability):
    """Write p ∝ exp(-eta losses) [K] into `probability`."""
    low = losses[0]
    for a in range(1, losses.size):
        low = min(low, losses[a])
    total = 0.0
    for a in range(losses.size):
        probability[a] = math.exp(-eta * (losses[a] - low))
        total += probability[a]
    for a in range(losses.size):
        probability[a] /= total


@kernel()
def tsallis_weights(losses, eta, root, probability):
    """Write the 1/2-Tsallis leader into `probability` [K]; returns its root x.

    Newton's method on sum p(x) - 1, convex and increasing on x < min(losses). p is even in
    losses - x, so there is a false root above: every iterate stays in
    [min L - 2 sqrt(K) / eta, min L - 2 / eta], which holds the true one. `root` is a first guess.
    """
    arms = losses.size
    low = losses[0]
    for a in range(1, arms):
        low = min(low, losses[a])
    left, right = low - 2.0 * math.sqrt(arms) / eta, low - 2.0 / eta
    x = min(max(root, left), right)
    total = 1.0
    for _ in range(60):
        total, slope = 0.0, 0.0
        for a in range(arms):
            w = 2.0 / (eta * (losses[a] - x))
            probability[a] = w * w
            total += w * w
            slope += w * w * w
        step = (total - 1.0) / (eta * slope)
        x = min(max(x - step, left), right)
        if abs(total - 1.0) < 1e-12:
            break
    for a in range(arms):
        probability[a] /= total
    return x


@kernel()
def draw(probability, stream):
    """An arm drawn from `probability` [K]."""
    u = uniform(stream)
    for a in range(probability.size - 1):
        u -= probability[a]
        if u < 0.0:
            return a
    return probability.size - 1


@kernel()
def select_adversarial(policy, par, t, st, sc, stream):
    """The arm drawn in round t (1-based); stores probabilities, step size and root."""
    arms = st.shape[1]
    if policy == EXP3_BATCHED:
        if sc[PLAYS] > 0.0:
            return int(sc[HELD])
        t = (t - 1) // int(par[0]) + 1  # the number of the batch
    if policy == TSALLIS_INF:
        eta = (4.0 if par[0] == 1.0 else 2.0) / math.sqrt(t)
        sc[ROOT] = tsallis_weights(st[LOSS], eta, sc[ROOT], st[PROBABILITY])
    else:
        eta = par[0]
        if eta == 0.0 or policy == EXP3_BATCHED:
            eta = math.sqrt(math.log(arms) / (t * arms))
        exponential_weights(st[LOSS], eta, st[PROBABILITY])
    sc[ETA] = eta
    arm = draw(st[PROBABILITY], stream)
    sc[HELD] = arm
    return arm


@kernel()
def update_adversarial(policy, par, arm, reward, st, sc):
    """Add the loss estimates of the played round."""
    loss, p, eta = 1.0 - reward, st[PROBABILITY, arm], sc[ETA]
    if policy == EXP3:
        st[LOSS, arm] += loss / p
    elif policy == EXP3_IX:
        st[LOSS, arm] += loss / (p + 0.5 * eta)
    elif policy == EXP3_BATCHED:
        sc[SUM] += loss
        sc[PLAYS] += 1.0
        if sc[PLAYS] == par[0]:
            st[LOSS, arm] += sc[SUM] / par[0] / p
            sc[SUM], sc[PLAYS] = 0.0, 0.0
    elif par[0] == 0.0:
        st[LOSS, arm] += loss / p
    else:
        for a in range(st.shape[1]):
            baseline = 0.5 if st[PROBABILITY, a] >= eta * eta else 0.0
            st[LOSS, a] += baseline
            if a == arm:
                st[LOSS, a] += (loss - baseline) / p
