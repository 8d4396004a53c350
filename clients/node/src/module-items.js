// Items where the module is loaded: DIGLOT.GET and DIGLOT.SET know flags and tokens, and keep them true for the clients that still
// speak memcached.
import { Command } from 'ioredis';
import { slotOf } from './slot.js';

const MODE_WORDS = { set: () => [], add: () => ['NX'], replace: () => ['XX'], cas: (token) => ['CAS', token] };
const TOKEN = /^\d{1,20}$/;

/** Whether the server says that it does not know the module's commands. */
export function isModuleMissing(error) {
  return /unknown command/i.test(error.message);
}

export class ModuleItems {
  constructor(redis) {
    this.redis = redis;
  }

  /** {data, flags, cas}, or undefined, also for a key of another type. */
  async get(name) {
    try {
      const item = await this.#send('DIGLOT.GET', name);
      return item === null ? undefined : { data: item[0], flags: Number(item[1]), cas: String(item[2]) };
    } catch (error) {
      if (error.message.startsWith('WRONGTYPE')) return undefined;
      throw error;
    }
  }

  /** True when it is stored, false when the mode or the token forbids it, undefined when a cas finds nothing. */
  async set(name, data, flags, expiresMs, mode, token) {
    const expiry = expiresMs ? ['EX', Math.max(1, Math.ceil((expiresMs - Date.now()) / 1000))] : [];
    // A token of a time without the module is a digest: nothing has it now.
    const mayHold = mode !== 'cas' || TOKEN.test(token);
    if (mayHold && (await this.#send('DIGLOT.SET', name, data, 'FLAGS', flags, ...expiry, ...MODE_WORDS[mode](token))) !== null) return true;
    return mode === 'cas' && !(await this.redis.exists(name)) ? undefined : false;
  }

  // ioredis does not know where the key of a module's command stands, and would ask any node of a cluster.
  #send(command, name, ...words) {
    const made = new Command(command, [name, ...words], { replyEncoding: null });
    made.slot = slotOf(name);
    return this.redis.sendCommand(made);
  }
}
