"""Formats that datasets are read from, one module per format."""
