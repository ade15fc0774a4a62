"""Pure functions of arrays and tensors: no files, no suites, no cells.

In: numbers. Out: numbers, with the source of each formula.
"""
