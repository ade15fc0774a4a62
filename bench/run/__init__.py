"""Who computes what, when and where: the walk over a plan, and its workers.

In: a plan, a store, a machine. Out: a store in which every cell has ended.
"""
