"""Results on disk, whole or not at all.

In: JSON values and bytes by key. Out: the same, or a clear error. Knows nothing of torch, and
nothing of what a cell means.
"""
