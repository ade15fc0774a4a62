"""What comes from elsewhere, checked: data sets, archives, pretrained weights.

In: addresses with their sha256. Out: files under `$DISTILLBENCH_HOME` that are what they should
be, or an error that says how to bring them.
"""
