"""The benchmark a reader can run: `make bench` (docs/performance.md)."""
