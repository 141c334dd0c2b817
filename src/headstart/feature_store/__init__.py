"""Feature cache on disk: records of arrays by content digest, in stores that explain themselves, within a size cap."""

from __future__ import annotations

from headstart.feature_store.evict import cap_bytes, clear, evict
from headstart.feature_store.listing import StoreInfo, list_stores
from headstart.feature_store.store import FeatureStore, stack
from headstart.feature_store.write_shard import Record

__all__ = ["FeatureStore", "Record", "StoreInfo", "cap_bytes", "clear", "evict", "list_stores", "stack"]
