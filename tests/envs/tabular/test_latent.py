import numpy as np
import pytest

from rlkit.envs.tabular.latent import make, probe, random_latent


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
