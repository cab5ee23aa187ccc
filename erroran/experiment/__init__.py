"""Declarations of experiments: pairs, changes, hypotheses, recipes, run specs, studies."""
