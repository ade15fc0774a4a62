"""`python -m bench` is `distillbench`."""

from bench.cli import main

main()
