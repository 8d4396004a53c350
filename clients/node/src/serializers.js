// How memcached clients put values into bytes and flags. Each serializer reads what the library of its name wrote and writes what
// that library reads: serialize(value, key) gives { data, flags }, deserialize(data, flags, key) the value.
import { deflateSync, inflateSync } from 'node:zlib';
import { decompress } from './fastlz.js';

/** The flags say that the value was serialized in a way that this serializer does not know. */
export class UnknownFlags extends Error {}

function rawBytes(value) {
  if (value instanceof Uint8Array) return value;
  if (['string', 'number', 'bigint'].includes(typeof value)) return Buffer.from(String(value));
  throw new TypeError('a value is a string, a number or bytes here');
}

function jsonOf(value) {
  const text = JSON.stringify(value);
  if (text === undefined) throw new TypeError('JSON has no form for this value');
  return text;
}

/** memjs, and libraries that write bytes alone. Flags are 0, and those of others are not looked at. */
export class RawSerializer {
  constructor({ asText = false } = {}) {
    this.asText = asText;
  }

  serialize(value) {
    return { data: rawBytes(value), flags: 0 };
  }

  deserialize(data) {
    return this.asText ? data.toString() : data;
  }
}

/** The npm package memcached. What it writes is text: a byte of a Buffer is a character, a backslash stands before each end of line. */
export class MemcachedSerializer {
  static #TEXT = 0;
  static #JSON = 1 << 1;
  static #BINARY = 1 << 2;
  static #NUMERIC = 1 << 3;

  static #DECODERS = new Map([
    [this.#TEXT, (text) => text],
    [this.#JSON, JSON.parse],
    [this.#BINARY, (text) => Buffer.from(text, 'latin1')],
    [this.#NUMERIC, Number],
  ]);

  serialize(value) {
    const [text, flags] = this.#encode(value);
    return { data: Buffer.from(text.replace(/[\r\n]/g, '\\$&')), flags };
  }

  #encode(value) {
    if (typeof value === 'string') return [value, MemcachedSerializer.#TEXT];
    if (typeof value === 'number') return [String(value), MemcachedSerializer.#NUMERIC];
    if (value instanceof Uint8Array) return [Buffer.from(value).toString('latin1'), MemcachedSerializer.#BINARY];
    return [jsonOf(value), MemcachedSerializer.#JSON];
  }

  deserialize(data, flags, key) {
    const decode = MemcachedSerializer.#DECODERS.get(flags);
    if (!decode) throw new UnknownFlags(`flags ${flags} of ${key} are none of memcached's`);
    return decode(data.toString().replace(/\\([\r\n])/g, '$1'));
  }
}

/** php-memcached: strings, integers, floats, booleans and JSON, compressed with zlib or FastLZ; igbinary, msgpack and PHP's own
 * serialization are PHP's alone. */
export class PhpSerializer {
  static #STRING = 0;
  static #LONG = 1;
  static #DOUBLE = 2;
  static #BOOL = 3;
  static #JSON = 6;
  static #TYPES = 0x0f;
  static #COMPRESSED = 1 << 4;
  static #ZLIB = 1 << 5;
  static #FASTLZ = 1 << 6;
  static #LENGTH_SIZE = 4; // bytes of the number before what is compressed

  static #DECODERS = new Map([
    [this.#STRING, (data) => data.toString()],
    [this.#LONG, (data) => (Number.isSafeInteger(Number(data)) ? Number(data) : BigInt(data))],
    [this.#DOUBLE, (data) => Number(data)],
    [this.#BOOL, (data) => data.toString() === '1'],
    [this.#JSON, (data) => JSON.parse(data)],
  ]);

  serialize(value) {
    const [data, flags] = this.#encode(value);
    return { data, flags };
  }

  #encode(value) {
    if (typeof value === 'string' || value instanceof Uint8Array) return [rawBytes(value), PhpSerializer.#STRING];
    if (typeof value === 'bigint' || Number.isSafeInteger(value)) return [rawBytes(value), PhpSerializer.#LONG];
    if (Number.isFinite(value)) return [rawBytes(value), PhpSerializer.#DOUBLE];
    if (typeof value === 'boolean') return [Buffer.from(value ? '1' : ''), PhpSerializer.#BOOL];
    return [Buffer.from(jsonOf(value)), PhpSerializer.#JSON];
  }

  deserialize(data, flags, key) {
    const decode = PhpSerializer.#DECODERS.get(flags & PhpSerializer.#TYPES);
    if (!decode) throw new UnknownFlags(`flags ${flags} of ${key} say a serialization that is PHP's alone`);
    return decode(flags & PhpSerializer.#COMPRESSED ? this.#unpack(data, flags, key) : data);
  }

  #unpack(data, flags, key) {
    const packed = data.subarray(PhpSerializer.#LENGTH_SIZE);
    if (flags & PhpSerializer.#ZLIB) return inflateSync(packed);
    if (flags & PhpSerializer.#FASTLZ) return decompress(packed);
    throw new UnknownFlags(`flags ${flags} of ${key} say a compression other than zlib and FastLZ`);
  }
}

/** Dalli with a serializer that others can read (`serializer: JSON`), or raw strings, which are Buffers here. Ruby's Marshal, its
 * default, is Ruby's alone. With compressFrom, values of so many bytes or more are compressed. */
export class DalliSerializer {
  static #SERIALIZED = 1;
  static #COMPRESSED = 2;

  constructor({ compressFrom = Infinity } = {}) {
    this.compressFrom = compressFrom;
  }

  serialize(value) {
    const isRaw = value instanceof Uint8Array;
    const data = isRaw ? value : Buffer.from(jsonOf(value));
    const flags = isRaw ? 0 : DalliSerializer.#SERIALIZED;
    return data.length < this.compressFrom ? { data, flags } : { data: deflateSync(data), flags: flags | DalliSerializer.#COMPRESSED };
  }

  deserialize(data, flags, key) {
    if (flags & ~(DalliSerializer.#SERIALIZED | DalliSerializer.#COMPRESSED)) throw new UnknownFlags(`flags ${flags} of ${key} are none of Dalli's`);
    const bytes = flags & DalliSerializer.#COMPRESSED ? inflateSync(data) : data;
    if (!(flags & DalliSerializer.#SERIALIZED)) return bytes;
    if (bytes[0] === 4 && bytes[1] === 8) throw new UnknownFlags(`the value of ${key} is in Ruby's Marshal format`);
    return JSON.parse(bytes);
  }
}
