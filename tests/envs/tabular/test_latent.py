import numpy as np
import pytest

from rlkit.envs.tabular.latent import make, probe, random_latent
from rlkit.theory.learning.latent import optimal_value
from rlkit.theory.planning.finite_horizon import backward_induction


def test_environment_agrees_with_the_model_and_tells_the_context_at_the_end():
    model = probe()
    env = make(model)
    env.reset(seed=0)
    hits, contexts = np.zeros((2, 4)), np.zeros(2)
    for _ in range(2000):
        assert env.reset()[0] == 0
        s, reward, over, _, info = env.step(0)
        assert (reward, over, info) == (0.0, False, {})
        _, reward, over, _, info = env.step(1)
        m = info["context"]
        assert over
        assert reward == float(m == 1)
        hits[m, s] += 1
        contexts[m] += 1
    np.testing.assert_allclose(contexts / 2000, model.w, atol=0.05)
    np.testing.assert_allclose(hits / contexts[:, None], model.P[:, 0, 0], atol=0.05)
    with pytest.raises(RuntimeError, match="reset"):
        env.step(0)


def test_random_latent_is_seeded():
    one, two = random_latent(2, 3, 2, 4, seed=1), random_latent(2, 3, 2, 4, seed=1)
    np.testing.assert_array_equal(one.P, two.P)
    assert one.largest_return() <= 1.0
    still = random_latent(2, 3, 2, 4, deterministic=True)
    assert set(np.unique(still.P)) == {0.0, 1.0}


@pytest.mark.parametrize(
    "model", [probe(0.8), random_latent(2, 3, 2, 4, seed=3), random_latent(3, 2, 2, 3, seed=4)]
)
def test_the_process_of_beliefs_has_the_optimal_value(model):
    mdp = model.mdp
    assert mdp.mu0 @ backward_induction(mdp, model.horizon).value[0] == pytest.approx(
        optimal_value(model), abs=1e-12
    )


def test_the_process_of_beliefs_agrees_with_the_environment():
    model, rng = random_latent(2, 3, 2, 3, seed=5), np.random.default_rng(6)
    env, returns = make(model), np.zeros(4000)
    env.reset(seed=7)
    for k in range(returns.size):
        env.reset()
        over = False
        while not over:
            _, reward, over, _, _ = env.step(int(rng.integers(2)))
            returns[k] += reward
    p, r = model.mdp.dense()
    value = np.zeros(len(p))
    for _ in range(model.horizon):
        value = (r + p @ value).mean(1)
    error = returns.std() / np.sqrt(returns.size)
    assert returns.mean() == pytest.approx(model.mdp.mu0 @ value, abs=4 * error)
