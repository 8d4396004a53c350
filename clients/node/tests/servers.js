// Engines of the tests, with the module and without. ENGINE (default redis-server) and DIGLOT_MODULE (default build/diglot.so of
// the tree) say what is started. Each has a folder and ports of its own and is stopped by its pid.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, openSync, closeSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as pause } from 'node:timers/promises';
import { Redis } from 'ioredis';

const TREE = fileURLToPath(new URL('../../..', import.meta.url));
export const MODULE = resolve(TREE, process.env.DIGLOT_MODULE || 'build/diglot.so');
const PROGRAM = (process.env.ENGINE || 'redis-server').split(' ').filter(Boolean);
const CRASH_MARKS = ['BUG REPORT START', 'crashed by signal', 'ASSERTION FAILED', 'Sanitizer', 'runtime error:'];
const PATIENCE = 60000; // milliseconds

export async function until(isSo, what) {
  for (const end = Date.now() + PATIENCE; !(await isSo()); await pause(20)) {
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
  }
}

// None of those that the kernel gives to outgoing connections, one of which could take it while a server is down.
async function freePort() {
  const firstOutgoing = parseInt(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8'), 10);
  const room = Math.max(firstOutgoing, 20000) - 10000;
  for (;;) {
    const port = 10000 + Math.floor(Math.random() * room);
    const probe = createServer();
    const isFree = await new Promise((done) => {
      probe.once('error', () => done(false));
      probe.listen(port, '127.0.0.1', () => probe.close(() => done(true)));
    });
    if (isFree) return port;
  }
}

export class Engine {
  /** A running one. `options` are the engine's own. */
  static async started({ module = true, options = {} } = {}) {
    const engine = new Engine();
    engine.module = module;
    engine.options = options;
    engine.port = await freePort();
    engine.memcachedPort = await freePort();
    engine.folder = mkdtempSync(join(tmpdir(), 'diglot-test-node-'));
    await engine.start();
    return engine;
  }

  get #command() {
    const options = { port: this.port, bind: '127.0.0.1', dir: this.folder, save: '', 'enable-module-command': 'yes', ...this.options };
    const words = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
    const door = ['--loadmodule', MODULE, '--diglot.port', String(this.memcachedPort), '--diglot.bind', '127.0.0.1'];
    return [...PROGRAM, ...words, ...(this.module ? door : [])];
  }

  async start() {
    const log = openSync(join(this.folder, 'log'), 'a');
    const [program, ...words] = this.#command;
    this.process = spawn(program, words, { stdio: ['ignore', log, log] });
    this.ended = once(this.process, 'exit');
    closeSync(log);
    this.redis = new Redis(this.port, '127.0.0.1', { retryStrategy: () => 20 });
    this.redis.on('error', () => {}); // until it listens
    await until(async () => {
      if (this.process.exitCode !== null) throw new Error(`the engine did not start:\n${this.log()}`);
      return this.redis.status === 'ready';
    }, 'the engine');
  }

  log() {
    return readFileSync(join(this.folder, 'log'), 'utf8');
  }

  /** Ends it with what it holds on disk; start() goes on with that. */
  async shutdownSaving() {
    await this.redis.save();
    await this.#end();
  }

  async restart({ module }) {
    this.module = module;
    await this.start();
  }

  async stop() {
    await this.#end();
    const log = this.log();
    const mark = CRASH_MARKS.find((one) => log.includes(one));
    if (mark) throw new Error(`${mark} in the engine's log:\n${log}`);
    rmSync(this.folder, { recursive: true });
  }

  /** For a test that failed half way; nothing when it has ended. */
  kill() {
    this.redis.disconnect();
    this.process.kill('SIGKILL');
  }

  async #end() {
    this.redis.disconnect();
    this.process.kill('SIGTERM');
    const [code] = await this.ended;
    if (code !== 0) throw new Error(`the engine ended with ${code}:\n${this.log()}`);
  }
}
