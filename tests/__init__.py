"""The tests; they mirror the package, file by file."""

from hypothesis import HealthCheck, settings

# On a busy machine examples take long; that says nothing about the code.
settings.register_profile("relaykit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("relaykit")
