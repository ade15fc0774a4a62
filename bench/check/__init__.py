"""Does a plug-in keep its contract? What is asked of each kind, a question at a time.

In: a plug-in with its parameters. Out: questions, each of which passes, fails with a reason, or
says why it cannot be asked. `distillbench check` asks them of a user's own, the tests of ours.
"""
