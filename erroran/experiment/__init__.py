"""What is declared before anything runs: pairs, changes, hypotheses, recipes, run specs, studies. Pure pydantic."""
