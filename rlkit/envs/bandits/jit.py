"""The compile options shared by every bandit kernel, in one place.

Kernels take their work arrays as arguments and never allocate, so numba's reference counting is
switched off: its atomic increments at every inlined call cost three times the bandit step itself.
"""

from functools import partial

from rlkit.core.jit import njit

kernel = partial(njit, error_model="numpy", cache=True, nogil=True, _nrt=False)
inlined = partial(njit, error_model="numpy", cache=True, _nrt=False, forceinline=True)
# For dense loops whose summation order is free, so that they vectorise.
dense = partial(
    njit, error_model="numpy", cache=True, _nrt=False, fastmath={"reassoc", "contract", "nsz"}
)
