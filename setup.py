"""What is installed: our packages, and `suites/` within `bench`, for its own name is anybody's."""

from setuptools import find_packages, setup

setup(
    packages=[
        *find_packages(include=["bench", "bench.*", "baselines", "reports"]),
        "bench.suites",
        "reports.templates",
    ],
    package_dir={"bench.suites": "suites"},
)
