"""One method, or one night, held against another.

In: the rows that reports read. Out: differences with their intervals, and a verdict.
"""
