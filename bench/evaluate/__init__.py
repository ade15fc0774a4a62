"""A trained cell's test outputs are made once and fed to every metric.

In: a checkpoint and the scores that are wanted. Out: scores with their protocol. Never sees a
distiller.
"""
