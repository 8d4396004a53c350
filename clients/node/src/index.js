// A memcached-like client over Redis or Valkey, for the last step of a migration: see Client.
export { Client } from './client.js';
export { DalliSerializer, MemcachedSerializer, PhpSerializer, RawSerializer, UnknownFlags } from './serializers.js';
