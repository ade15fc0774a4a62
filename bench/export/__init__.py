"""Students leave: a folder that others can use without this project's training code.

In: a trained student of a suite. Out: weights, ONNX, a card; and later, images made by them.
"""
