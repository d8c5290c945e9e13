"""Transports with one planted fault each, for the tests of the kit; `base.Healthy` has none."""
