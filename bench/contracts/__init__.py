"""What the author of a plug-in reads: one contract per kind, and what each kind declares.

In: nothing but `bench.maths`. Out: the classes that plug-ins derive from. Kinds of plug-ins are
listed in `kinds.py`; nothing here knows a plug-in by name, a file, a suite or a cell.
"""
