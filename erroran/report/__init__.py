"""Figures (data in, Figure out) and the Markdown templates."""
