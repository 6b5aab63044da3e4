"""An indexed binary max-heap on arrays: `heap` holds items, `place` their positions, `key` keys."""

from rlkit.core.jit import njit


@njit(cache=True, nogil=True)
def sift_up(heap, place, key, at):
    """Restore the heap after the key of the item at position `at` has grown."""
    s = heap[at]
    while at > 0:
        parent = (at - 1) // 2
        if key[heap[parent]] >= key[s]:
            break
        heap[at] = heap[parent]
        place[heap[at]] = at
        at = parent
    heap[at] = s
    place[s] = at


@njit(cache=True, nogil=True)
def sift_down(heap, place, key, at):
    """Restore the heap after the key of the item at position `at` has shrunk."""
    s, size = heap[at], heap.size
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and key[heap[child + 1]] > key[heap[child]]:
            child += 1
        if key[heap[child]] <= key[s]:
            break
        heap[at] = heap[child]
        place[heap[at]] = at
        at = child
    heap[at] = s
    place[s] = at
