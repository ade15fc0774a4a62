"""`python -m bench` is `distillbench`."""

from bench.cli.main import main

main()
