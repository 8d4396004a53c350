import type { Cluster, Redis } from 'ioredis';

export type Key = string | Uint8Array;

/** How values become bytes and flags; one of your own goes as well. */
export interface Serializer {
  serialize(value: unknown, key: Key): { data: string | Uint8Array; flags: number };
  deserialize(data: Buffer, flags: number, key: Key): unknown;
}

export interface ClientOptions {
  /** What the application used before; a MemcachedSerializer unless told otherwise. */
  serializer?: Serializer;
  /** What stands before every key, as diglot.key-prefix. ioredis must have none of its own. */
  keyPrefix?: Key;
  /** Keys of more than 250 characters become their MD5 in hexadecimal digits, as with the package memcached. Otherwise they are errors. */
  hashLongKeys?: boolean;
}

/**
 * memcached's operations on plain Redis or Valkey keys.
 *
 * It reads what memcached clients wrote through Diglot, flags included, and writes what they read. While the module is loaded it
 * uses the module's own commands; when it is gone, the flags that it left behind. Both are found out by the client itself.
 *
 * Expiry times are memcached's: seconds, 0 is never, more than 30 days is a unix time, negative is at once. A key that is not there
 * gives undefined. Errors of the connection and the server are those of ioredis. Keys have 1 to 250 bytes, the prefix not counted: RangeError.
 */
export class Client {
  /** @param redis a Redis or Cluster of ioredis, or a URL; redis://127.0.0.1:6379/0 unless told otherwise */
  constructor(redis?: Redis | Cluster | string, options?: ClientOptions);
  readonly redis: Redis | Cluster;

  get<T = any>(key: Key): Promise<T | undefined>;
  /** The value and its token, for cas. */
  gets<T = any>(key: Key): Promise<{ value: T; cas: string } | undefined>;
  /** The values of those keys that are there. */
  getMulti<T = any, K extends Key = Key>(keys: Iterable<K>): Promise<Map<K, T>>;
  getsMulti<T = any, K extends Key = Key>(keys: Iterable<K>): Promise<Map<K, { value: T; cas: string }>>;
  /** The value, and a new expiry for it. */
  gat<T = any>(key: Key, expire?: number): Promise<T | undefined>;

  /** Always true. */
  set(key: Key, value: unknown, expire?: number): Promise<true>;
  /** False when the key is there. */
  add(key: Key, value: unknown, expire?: number): Promise<boolean>;
  /** False when the key is not there. */
  replace(key: Key, value: unknown, expire?: number): Promise<boolean>;
  /** True when it is stored, false when the item has changed since the token was read, undefined when it is gone. */
  cas(key: Key, value: unknown, cas: string, expire?: number): Promise<boolean | undefined>;
  /** Always true. */
  setMulti(values: Map<Key, unknown> | Record<string, unknown>, expire?: number): Promise<true>;

  /** False when the key is not there. Flags stay. */
  append(key: Key, value: Key): Promise<boolean>;
  prepend(key: Key, value: Key): Promise<boolean>;
  /** The new number, a bigint where it is beyond 2^53; undefined when the key is not there. Numbers are Redis' here: up to 2^63 - 1. */
  incr(key: Key, amount?: number | bigint): Promise<number | bigint | undefined>;
  /** The same; it stops at 0. */
  decr(key: Key, amount?: number | bigint): Promise<number | bigint | undefined>;
  /** False when the key is not there. */
  touch(key: Key, expire?: number): Promise<boolean>;
  /** False when the key is not there. */
  delete(key: Key): Promise<boolean>;
  /** Always true. */
  deleteMulti(keys: Iterable<Key>): Promise<true>;

  /** Empties the database, in a cluster all nodes. With a key prefix it holds other keys, too: a TypeError. */
  flush(): Promise<true>;
  /** Closes the connection, also one that was given. */
  quit(): Promise<void>;
}

/** memjs, and libraries that write bytes alone: flags are 0, and those of others are not looked at. Values are Buffers, or text with asText. */
export class RawSerializer implements Serializer {
  constructor(options?: { asText?: boolean });
  serialize(value: unknown): { data: Uint8Array; flags: number };
  deserialize(data: Buffer): Buffer | string;
}

/** The npm package memcached: strings, numbers, Buffers, and JSON for the rest. */
export class MemcachedSerializer implements Serializer {
  serialize(value: unknown): { data: Buffer; flags: number };
  deserialize(data: Buffer, flags: number, key: Key): any;
}

/** php-memcached: strings, integers, floats, booleans and JSON. */
export class PhpSerializer implements Serializer {
  serialize(value: unknown): { data: Uint8Array; flags: number };
  deserialize(data: Buffer, flags: number, key: Key): any;
}

/** Dalli with a serializer that others can read (`serializer: JSON`), or raw strings, which are Buffers here. */
export class DalliSerializer implements Serializer {
  /** @param options compressFrom: values of so many bytes or more are compressed with zlib; none unless told */
  constructor(options?: { compressFrom?: number });
  serialize(value: unknown): { data: Uint8Array; flags: number };
  deserialize(data: Buffer, flags: number, key: Key): any;
}

/** The flags say that the value was serialized in a way that the serializer does not know. */
export class UnknownFlags extends Error {}
