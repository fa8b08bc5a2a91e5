"""Sorts with a heap."""


def sift_down(heap, start, end):
    """Moves the value at start down until no child is larger."""
    root = start
    while 2 * root + 1 <= end:
        child = 2 * root + 1
        if child + 1 <= end and heap[child] < heap[child + 1]:
            child += 1
        if heap[root] >= heap[child]:
            return
        heap[root], heap[child] = heap[child], heap[root]
        root = child


def heap_sort(values):
    """A sorted copy."""
    heap = list(values)
    end = len(heap) - 1
    for start in range(len(heap) // 2, -1, -1):
        sift_down(heap, start, end)
    while end > 0:
        heap[end], heap[0] = heap[0], heap[end]
        end -= 1
        sift_down(heap, 0, end)
    return heap
