"""Formats that datasets are read from, one module a format."""
