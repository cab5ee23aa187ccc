"""The commands: each parses, calls one function, prints. Heavy imports happen inside them."""
