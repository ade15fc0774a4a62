"""What the author of a plug-in reads: one contract per kind, and what each kind declares.

In: nothing but `bench.maths`, `bench.plugins` and `bench.errors`. Out: the classes that plug-ins
derive from. Kinds of plug-ins are listed in `kinds.py`; nothing here knows a suite or a cell, and
plug-ins by name only where a declaration has a default.
"""
