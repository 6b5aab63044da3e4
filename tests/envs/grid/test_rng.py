"""The kernels' generator is numpy's."""

import numpy as np
import pytest

from rlkit.envs.grid import rng


@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1, 2**32 - 1, 2**32, 2**40 + 7, 2**64 - 1])
def test_the_same_seed_gives_numpys_numbers(seed: int) -> None:
    ours, theirs = np.zeros(rng.SIZE, np.uint64), np.random.default_rng(seed)
    rng.seed(ours, np.uint64(seed))
    for _ in range(50):
        # 1: no number is drawn; 3 * 2**30: a quarter of the draws is thrown away
        for high in (2, 1, 3, 7, 19, 100, 3 << 30, 2**32 - 1):
            assert rng.below(ours, -5, high - 5) == theirs.integers(-5, high - 5)
        listed, array = [(k,) for k in range(13)], np.arange(13)
        theirs.shuffle(listed)
        rng.shuffle(ours, array)
        assert [k for (k,) in listed] == array.tolist()
        assert rng.below(ours, 3, 9) == theirs.choice(range(3, 9))
    state = theirs.bit_generator.state
    assert (int(ours[0]) << 64) + int(ours[1]) == state["state"]["state"]
    assert (int(ours[2]) << 64) + int(ours[3]) == state["state"]["inc"]
    assert ours[4] == state["has_uint32"]
