"""The door: one command per verb, errors as one line, progress on stderr.

In: words. Out: exit codes, text and JSON.
"""
