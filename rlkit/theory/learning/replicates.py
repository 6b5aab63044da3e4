"""Replicates of a learner on threads: kernels release the interpreter lock meanwhile."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


def each(one: Callable[[int], None], replicates: int, threads: int) -> None:
    """`one(k)` of every replicate, in order where there is one thread; raises what the first of
    them that fails raises."""
    if threads > 1:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(one, range(replicates)))
    else:
        for k in range(replicates):
            one(k)
