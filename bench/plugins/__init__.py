"""Plug-ins are found by their file's name, and what they declare is read without running them.

In: a name. Out: a `Part` with its declaration, or one line that says what is close. Knows no kind
of plug-in; `bench.contracts.kinds` lists them.
"""
