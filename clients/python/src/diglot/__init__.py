"""A memcached-like client over Redis or Valkey, for the last step of a migration: see Client."""
from diglot.client import Client
from diglot.serde import DalliSerde, PhpSerde, PickleSerde, PylibmcSerde, RawSerde

__all__ = ["Client", "DalliSerde", "PhpSerde", "PickleSerde", "PylibmcSerde", "RawSerde"]
__version__ = "0.1.0"
