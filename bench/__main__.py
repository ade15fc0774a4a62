"""`python -m bench` is `distillbench`."""

import sys
from pathlib import Path

# Python puts the present folder first, where a user's `reports.py` or `random.py` may lie
if not sys.flags.safe_path and Path(sys.path[0]).resolve() != Path(__file__).resolve().parents[1]:
    del sys.path[0]

from bench.cli.main import main

main()
