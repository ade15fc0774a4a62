"""Losses and adapters that several tasks or distillers share.

In: tensors, and pretrained networks from `bench.fetch`. Out: scalar terms.
"""
