"""Benchmarks: ``python -m bench`` writes RESULTS.md; the other scripts here run by themselves."""
