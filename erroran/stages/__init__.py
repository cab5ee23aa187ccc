"""The pipeline: one module per command. Stages never import each other; they meet in the store."""
