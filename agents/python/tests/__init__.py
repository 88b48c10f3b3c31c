"""Tests of the package, on real NATS servers."""
