"""Metrics for Prometheus: what each role has, and how it is told."""
