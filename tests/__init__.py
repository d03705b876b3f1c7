"""The tests; they mirror the package, file by file."""

import os

from hypothesis import HealthCheck, settings

__all__ = ["LONG_TESTS"]

LONG_TESTS = "RELAYKIT_LONG_TESTS"
"""The environment variable with which the tests that take minutes run, too, and others than ever before."""

# Examples are the same in every run, for a change must not fail because of what it has not touched; where
# there is time, others are drawn.  That they take long on a busy machine says nothing about the code.
settings.register_profile(
    "relaykit",
    deadline=None,
    derandomize=LONG_TESTS not in os.environ,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("relaykit")
