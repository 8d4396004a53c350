// The client.
import { createHash } from 'node:crypto';
import { Redis } from 'ioredis';
import { ModuleItems, isModuleMissing } from './module-items.js';
import { ModuleIsThere, NativeItems } from './native-items.js';
import { APPEND, COUNT, PREPEND } from './scripts.js';
import { MemcachedSerializer } from './serializers.js';

const KEY_SIZE = 250; // bytes, as with memcached
const MONTH = 30 * 24 * 3600; // seconds; a longer expiry is a unix time, as with memcached

function bytesOf(text) {
  if (Buffer.isBuffer(text)) return text;
  if (text instanceof Uint8Array) return Buffer.from(text.buffer, text.byteOffset, text.byteLength);
  if (typeof text === 'string') return Buffer.from(text);
  throw new TypeError('a string or bytes are wanted here');
}

// Milliseconds since the epoch; 0: never.
function expiresMsOf(expire) {
  if (!Number.isFinite(expire)) throw new TypeError('an expiry is a number of seconds');
  const seconds = Math.trunc(expire);
  if (seconds === 0) return 0;
  return seconds > MONTH ? seconds * 1000 : Math.max(1, Date.now() + seconds * 1000);
}

/** memcached's operations on plain keys of Redis or Valkey, flags included; index.d.ts says what each takes and returns. */
export class Client {
  #module;
  #native;
  #hasModule = true; // until the server says that it does not know its commands

  constructor(redis = 'redis://127.0.0.1:6379/0', { serializer = new MemcachedSerializer(), keyPrefix = '', hashLongKeys = false } = {}) {
    this.redis = typeof redis === 'string' ? new Redis(redis) : redis;
    if (this.redis.options.keyPrefix) throw new TypeError('keyPrefix belongs to the options of this client, not to those of ioredis');
    this.serializer = serializer;
    this.keyPrefix = bytesOf(keyPrefix);
    this.hashLongKeys = hashLongKeys;
    this.#module = new ModuleItems(this.redis);
    this.#native = new NativeItems(this.redis);
    for (const [name, lua] of Object.entries({ diglotAppend: APPEND, diglotPrepend: PREPEND, diglotCount: COUNT })) {
      this.redis.defineCommand(name, { lua, numberOfKeys: 1 });
    }
  }

  // --- reading ---

  async get(key) {
    return (await this.gets(key))?.value;
  }

  async gets(key) {
    const item = await this.#read(this.#name(key));
    return item && { value: this.serializer.deserialize(item.data, item.flags, key), cas: item.cas };
  }

  async getMulti(keys) {
    const found = await this.getsMulti(keys);
    return new Map(Array.from(found, ([key, { value }]) => [key, value]));
  }

  async getsMulti(keys) {
    const wanted = [...keys];
    const found = await Promise.all(wanted.map((key) => this.gets(key))); // ioredis sends them without waiting between
    return new Map(wanted.map((key, index) => [key, found[index]]).filter(([, item]) => item !== undefined));
  }

  async gat(key, expire = 0) {
    const value = await this.get(key);
    if (value !== undefined) await this.touch(key, expire);
    return value;
  }

  // --- writing ---

  async set(key, value, expire = 0) {
    return this.#write(key, value, expire, 'set');
  }

  async add(key, value, expire = 0) {
    return this.#write(key, value, expire, 'add');
  }

  async replace(key, value, expire = 0) {
    return this.#write(key, value, expire, 'replace');
  }

  async cas(key, value, cas, expire = 0) {
    return this.#write(key, value, expire, 'cas', String(cas));
  }

  async setMulti(values, expire = 0) {
    const pairs = values instanceof Map ? [...values] : Object.entries(values);
    await Promise.all(pairs.map(([key, value]) => this.set(key, value, expire)));
    return true;
  }

  async append(key, value) {
    return (await this.redis.diglotAppend(this.#name(key), bytesOf(value))) === 1;
  }

  async prepend(key, value) {
    return (await this.redis.diglotPrepend(this.#name(key), bytesOf(value))) === 1;
  }

  async incr(key, amount = 1) {
    return this.#count('incr', key, amount);
  }

  async decr(key, amount = 1) {
    return this.#count('decr', key, amount);
  }

  async touch(key, expire = 0) {
    const name = this.#name(key);
    const expiresMs = expiresMsOf(expire);
    if (expiresMs) return (await this.redis.pexpireat(name, expiresMs)) === 1;
    await this.redis.persist(name);
    return (await this.redis.exists(name)) === 1;
  }

  async delete(key) {
    return (await this.redis.del(this.#name(key))) === 1;
  }

  async deleteMulti(keys) {
    await Promise.all([...keys].map((key) => this.delete(key)));
    return true;
  }

  async flush() {
    if (this.keyPrefix.length) throw new TypeError('flush would take keys without the prefix along');
    const nodes = this.redis.isCluster ? this.redis.nodes('master') : [this.redis];
    await Promise.all(nodes.map((node) => node.flushdb()));
    return true;
  }

  async quit() {
    await this.redis.quit();
  }

  // --- how ---

  #name(key) {
    let bytes = bytesOf(key);
    if (this.hashLongKeys && String(key).length > KEY_SIZE) bytes = Buffer.from(createHash('md5').update(bytes).digest('hex'));
    if (bytes.length === 0 || bytes.length > KEY_SIZE) throw new RangeError(`a key has 1 to ${KEY_SIZE} bytes`);
    return this.keyPrefix.length ? Buffer.concat([this.keyPrefix, bytes]) : bytes;
  }

  // What `withModule` returns; where there is no module, and from then on, what `without` does.
  async #either(withModule, without) {
    if (!this.#hasModule) return without();
    try {
      return await withModule();
    } catch (error) {
      if (!isModuleMissing(error)) throw error;
      this.#hasModule = false;
      return without();
    }
  }

  #read(name) {
    return this.#either(() => this.#module.get(name), () => this.#native.get(name));
  }

  async #write(key, value, expire, mode, token = '') {
    const name = this.#name(key);
    const expiresMs = expiresMsOf(expire);
    const { data, flags } = this.serializer.serialize(value, key);
    const isPast = expiresMs !== 0 && expiresMs <= Date.now();
    const stored = await this.#store(name, bytesOf(data), flags, isPast ? 0 : expiresMs, mode, token);
    if (stored && isPast) await this.redis.del(name);
    return stored;
  }

  #store(...item) {
    const withModule = () => this.#module.set(...item);
    return this.#either(withModule, async () => {
      try {
        return await this.#native.set(...item);
      } catch (error) {
        if (!(error instanceof ModuleIsThere)) throw error;
        this.#hasModule = true;
        return withModule();
      }
    });
  }

  async #count(direction, key, amount) {
    if (!/^\d+$/.test(String(amount))) throw new TypeError('an amount is a whole number that is not negative');
    const text = await this.redis.diglotCount(this.#name(key), direction, String(amount));
    if (text === null) return undefined;
    return Number.isSafeInteger(Number(text)) ? Number(text) : BigInt(text);
  }
}
