import numpy as np
import pytest

from rlkit.envs.tabular.garnet import garnet
from rlkit.theory import FiniteMDP, solve
from rlkit.theory.objectives.automata import (
    buchi_satisfaction,
    eventually,
    eventually_always,
    infinitely_often,
    learn_counterfactual,
    product,
    reach_probability,
    reward_machine,
    satisfaction,
    sequence,
    until,
)
from rlkit.theory.planning.finite_horizon import backward_induction


def line(n=4, slip=0.0, mu0=0):
    """Walk on a line, action 0 left and 1 right; a slip stays. Label of a transition: where to."""
    p = np.zeros((n, 2, n))
    for s in range(n):
        for a, d in ((0, -1), (1, 1)):
            p[s, a, s] += slip
            p[s, a, min(max(s + d, 0), n - 1)] += 1 - slip
    labels = np.broadcast_to(np.arange(n), (n, 2, n))
    return FiniteMDP.from_dense(p, np.zeros((n, 2)), np.eye(n)[mu0]), labels


def random_machine(seed, states=3, labels=4):
    rng = np.random.default_rng(seed)
    return reward_machine(
        rng.integers(states, size=(states, labels)), rng.normal(size=(states, labels))
    )


@pytest.mark.parametrize("seed", range(3))
def test_product_equals_the_enumeration_of_histories(seed):
    """Best expected sum over 4 steps, by expanding every history, against the product MDP."""
    mdp = garnet(3, 2, 2, seed=seed)
    labels = np.random.default_rng(seed).integers(4, size=(3, 2, 3))
    machine = random_machine(seed)
    p = mdp.dense()[0]

    def best(s, read, left):
        if left == 0:
            return 0.0
        values = []
        for a in (0, 1):
            total = 0.0
            for s2 in np.flatnonzero(p[s, a]):
                history = [*read, labels[s, a, s2]]
                u, reward = 0, 0.0
                for x in history:  # replay all that was read
                    reward, u = machine.rewards[u, x], machine.moves[u, x]
                total += p[s, a, s2] * (reward + best(s2, history, left - 1))
            values.append(total)
        return max(values)

    both = product(mdp, machine, labels)
    value = backward_induction(both, 4).value[0].reshape(3, 3)[:, 0]
    np.testing.assert_allclose(value, [best(s, [], 4) for s in range(3)])


def test_product_keeps_termination():
    p = np.array([[[0.5, 0.25], [0, 0]], [[0, 0], [0, 0]]])[:, :1]
    mdp = FiniteMDP.from_dense(p, np.zeros((2, 1)), stop="deficit")
    both = product(mdp, random_machine(0, labels=1), np.zeros((2, 1, 2), int))
    np.testing.assert_allclose(both.stop, [0.25] * 3 + [1] * 3)


@pytest.mark.parametrize("counterfactual", [True, False])
def test_learning_reaches_the_product_optimum(counterfactual):
    mdp, labels = line(3)
    machine = sequence([2, 0], 3)
    q = learn_counterfactual(
        mdp, machine, labels, 0.8, 6000, seed=0, alpha=0.3, epsilon=0.3, max_length=20,
        counterfactual=counterfactual,
    )  # fmt: skip
    exact = solve(product(mdp, machine, labels), 0.8, "pi").value.reshape(3, 3)
    np.testing.assert_allclose(q[0, 0].max(), exact[0, 0], atol=0.02)


def test_counterfactual_updates_need_fewer_steps():
    mdp, labels = line(4)
    machine = sequence([3, 0, 3], 4)
    exact = solve(product(mdp, machine, labels), 0.9, "pi").value.reshape(4, 4)[0, 0]
    error = [
        abs(learn_counterfactual(mdp, machine, labels, 0.9, 2500, seed=1, alpha=0.3, epsilon=0.4,
                                 counterfactual=flag)[0, 0].max() - exact)
        for flag in (True, False)
    ]  # fmt: skip
    assert error[0] < error[1]
    assert error[0] < 0.1


def test_reaching_in_order_avoiding_and_terminating():
    mdp, labels = line(4, slip=0.3, mu0=1)
    for task, sure in ((eventually(3, 4), 1.0), (sequence([3, 0], 4), 1.0)):
        chance, both = satisfaction(mdp, task, labels)
        assert both.initial_law() @ chance == pytest.approx(sure)
    # from 1, "stay in {1, 2} until 3": one must not slip back to 0, which never happens going right
    chance, both = satisfaction(mdp, until([1, 2], 3, 4), labels)
    assert both.initial_law() @ chance == pytest.approx(1.0)
    chance, both = satisfaction(mdp, until([1], 3, 4), labels)
    assert both.initial_law() @ chance == pytest.approx(0.0)


def test_reach_probability_of_a_gamble():
    """From 1, action 0 wins with .3, action 1 moves to 2, which wins with .6."""
    mdp = FiniteMDP.from_coo(
        [0, 1, 1, 1, 2, 2, 3], [0, 0, 0, 1, 0, 0, 0], [0, 3, 0, 2, 3, 0, 3],
        [1, 0.3, 0.7, 1, 0.6, 0.4, 1], np.zeros(7),
    )  # fmt: skip
    chance, policy = reach_probability(mdp, np.array([False, False, False, True]))
    np.testing.assert_allclose(chance, [0, 0.6, 0.6, 1])
    assert policy[1] == 1
    leaking = FiniteMDP.from_coo([0, 0, 1], [0, 0, 0], [1, -1, 1], [0.4, 0.6, 1], np.zeros(3))
    np.testing.assert_allclose(reach_probability(leaking, np.array([False, True]))[0], [0.4, 1])


def fork():
    """From 0: action 0 goes to the loop {1, 2}; action 1 to the trap 3 (.5) or the rest 4 (.5)."""
    mdp = FiniteMDP.from_coo(
        [0, 0, 0, 1, 2, 3, 4], [0, 1, 1, 0, 0, 0, 0], [1, 3, 4, 2, 1, 3, 4],
        [1, 0.5, 0.5, 1, 1, 1, 1], np.zeros(7), mu0=np.eye(5)[0],
    )  # fmt: skip
    return mdp, np.broadcast_to(np.arange(5), (5, 2, 5))


def test_infinitely_often_and_eventually_always_differ():
    mdp, labels = fork()
    for make, label, value in (
        (infinitely_often, 1, 1.0), (eventually_always, 1, 0.0), (infinitely_often, 4, 0.5),
        (eventually_always, 4, 0.5), (infinitely_often, 0, 0.0),
    ):  # fmt: skip
        chance, both = buchi_satisfaction(mdp, make(label, 5), labels)
        assert both.initial_law() @ chance == pytest.approx(value, abs=1e-9)


def test_termination_satisfies_nothing_for_ever():
    mdp = FiniteMDP.from_coo([0, 0], [0, 0], [0, -1], [0.9, 0.1], np.zeros(2))
    chance, _ = buchi_satisfaction(mdp, infinitely_often(0, 1), np.zeros((1, 1, 1), int))
    np.testing.assert_allclose(chance, 0)


def test_errors():
    mdp, labels = line()
    with pytest.raises(ValueError, match="state 1 moves to 5 on label 0"):
        reward_machine(np.array([[0], [5]]), np.zeros((2, 1)))
    with pytest.raises(ValueError, match="labels must lie"):
        product(mdp, eventually(0, 2), labels)
    with pytest.raises(ValueError, match="labels must be"):
        product(mdp, eventually(0, 4), labels[0])
    with pytest.raises(ValueError, match="jumps"):
        learn_counterfactual(mdp, eventually_always(0, 4), labels, 0.9, 10, seed=0)
