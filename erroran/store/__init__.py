"""The artifact store, the ledger, the environment that runs are recorded with, and evidence read from them."""

from erroran.store.artifacts import Intervention, Predictions, Store

__all__ = ["Intervention", "Predictions", "Store"]
