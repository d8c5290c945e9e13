"""What all tests share: no property is judged by how long a busy machine takes for an example."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("kato", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("kato")
