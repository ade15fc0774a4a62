"""The one training loop and what it advances: cohorts, learners, players, batches.

In: cells and the store. Out: checkpoints, losses, and how each cell ended. Never sees a suite.
"""
