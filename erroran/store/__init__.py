"""The artifact store, the ledger, the environment that runs are recorded with, and evidence read from them."""

from erroran.store.artifacts import Predictions, Store
from erroran.store.records import Group, Intervention, RunRecord

__all__ = ["Group", "Intervention", "Predictions", "RunRecord", "Store"]
