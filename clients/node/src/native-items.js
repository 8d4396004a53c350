// Items where the module is gone: values are plain strings, flags stand in the ledger strings that it left (docs/flags.md of the
// tree tells their bytes). Reading and writing an item are one script each, so they are atomic, and a slot's ledger lies in the
// slot's own node.
import { createXXHash3 } from 'hash-wasm';
import { ITEM, STORE } from './scripts.js';
import { slotOf, tagOf } from './slot.js';

/** The module has been loaded meanwhile: it keeps the flags itself, and would clear what a script writes. */
export class ModuleIsThere extends Error {}

let hasher;

/** The key's hash as a record has it: the first 60 bits of XXH3's 64, little endian; not the least and the greatest there is. */
export async function hashOf(name) {
  hasher ??= createXXHash3();
  const hash = Buffer.from((await hasher).init().update(name).digest('binary')).reverse();
  hash[0] &= 0xf0;
  if (hash.every((byte) => byte === 0)) hash[0] = 0x10;
  if (hash[0] === 0xf0 && hash.subarray(1).every((byte) => byte === 0xff)) hash[0] = 0xe0;
  return hash;
}

export class NativeItems {
  constructor(redis) {
    this.redis = redis;
    redis.defineCommand('diglotItem', { lua: ITEM, numberOfKeys: 2 });
    redis.defineCommand('diglotStore', { lua: STORE, numberOfKeys: 2 });
  }

  /** {data, flags, cas}, or undefined. */
  async get(name) {
    const item = await this.redis.diglotItemBuffer(name, this.#ledger(name), await hashOf(name));
    return item === null ? undefined : { data: item[0], flags: Number(item[1]), cas: String(item[2]) };
  }

  /** True when it is stored, false when the mode or the token forbids it, undefined when a cas finds nothing. */
  async set(name, data, flags, expiresMs, mode, token) {
    const stored = await this.redis.diglotStore(name, this.#ledger(name), await hashOf(name), flags, data, expiresMs, mode, token);
    if (stored === -2) throw new ModuleIsThere();
    return stored < 0 ? undefined : stored === 1;
  }

  #ledger(name) {
    return `diglot:flags:{${tagOf(slotOf(name))}}`;
  }
}
