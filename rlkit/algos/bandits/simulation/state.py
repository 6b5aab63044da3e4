"""The state block of one run, which the policies of the armed kernel share; choosing by score."""

from rlkit.envs.bandits.jit import inlined
from rlkit.envs.bandits.streams import below

# Rows of the state block [ROWS, K]. A row past MEAN is a cache that only its arm's pull changes.
PULLS, TOTAL, MEAN, CACHE, CACHE_2, CACHE_3, CACHE_4 = range(7)
ROWS = 7
SCALARS = 8


@inlined()
def argmax_random_tie(score, stream):
    """First the largest value, then one of the arms holding it, uniformly."""
    # Two maxima side by side, so that each step waits for fewer of those before it.
    half = score.size // 2
    best, other = score[score.size - 1], score[0]
    for a in range(half):
        best = max(best, score[a])
        other = max(other, score[a + half])
    best = max(best, other)
    arm, ties = 0, 0
    for a in range(score.size):
        if score[a] == best:
            ties += 1
            arm = a
    if ties > 1:
        skip = below(stream, ties)
        for a in range(score.size):
            if score[a] == best:
                if skip == 0:
                    return a
                skip -= 1
    return arm
