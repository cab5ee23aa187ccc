"""Measurements that anyone can repeat: ``python -m erroran.benchmarks.NAME`` prints a Markdown table."""
