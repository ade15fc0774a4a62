"""MLflow's copy of a store, and a store from MLflow's copy.

In: a plan and a store. Out: runs on a tracking server, which training never waits for.
"""
