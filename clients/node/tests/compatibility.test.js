// What the npm packages memcached and memjs wrote through the module is read by the client, and the reverse, flags included; and
// when the module is gone the flags are still there.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { promisify } from 'node:util';
import memjs from 'memjs';
import { Client, MemcachedSerializer, RawSerializer } from '../src/index.js';
import { Engine, MODULE } from './servers.js';

process.noDeprecation = true; // the package memcached calls what node has deprecated
const { default: Memcached } = await import('memcached');

const VALUES = {
  text: 'grüß ☃', empty: '', lines: 'one\r\ntwo\\\nthree', bytes: Buffer.from([0, 255, 13, 10, 92, 10, 65]), number: 42, negative: -1.5, true: true,
  null: null, list: [1, 'two', [null]], map: { a: { b: 'c\nd' } }, large: 'x'.repeat(100000),
};

// The package with promises.
function memcachedOf(engine) {
  const client = new Memcached(`127.0.0.1:${engine.memcachedPort}`, { timeout: 20000, retries: 1 });
  const calls = { end: () => client.end() };
  for (const name of ['set', 'get', 'gets', 'cas', 'append', 'incr', 'getMulti']) calls[name] = promisify(client[name].bind(client));
  return calls;
}

describe('beside the memcached clients', () => {
  let engine;
  let client;
  let memcached;
  before(async () => {
    engine = await Engine.started();
    client = new Client(engine.redis);
    memcached = memcachedOf(engine);
  });
  beforeEach(() => engine.redis.flushall());
  after(async () => {
    memcached.end();
    await engine.stop();
  });

  test('what memcached wrote is read', async () => {
    for (const [key, value] of Object.entries(VALUES)) await memcached.set(key, value, 0);
    assert.deepEqual(Object.fromEntries(await client.getMulti(Object.keys(VALUES))), VALUES);
  });

  test('memcached reads what the client wrote', async () => {
    for (const [key, value] of Object.entries(VALUES)) await client.set(key, value);
    assert.deepEqual({ ...(await memcached.getMulti(Object.keys(VALUES))) }, VALUES);
  });

  test('both change one item', async () => {
    await memcached.set('n', 10, 0);
    assert.equal(await client.incr('n', 5), 15);
    assert.equal(await memcached.incr('n', 5), 20);
    assert.equal(await client.get('n'), 20);
    const { cas } = await client.gets('n');
    assert.equal((await memcached.gets('n')).cas, cas);
    assert.equal(await memcached.append('n', '1'), true);
    assert.equal(await client.cas('n', 0, cas), false);
    const theirs = await memcached.gets('n');
    assert.equal(await client.cas('n', 'text', theirs.cas), true);
    assert.equal(await memcached.cas('n', 0, theirs.cas, 0), false);
    assert.equal(await memcached.get('n'), 'text');
  });

  test('long keys are those of memcached', async () => {
    const key = 'k'.repeat(300);
    const hashing = new Client(engine.redis, { hashLongKeys: true });
    await memcached.set(key, 'long', 0);
    assert.equal(await hashing.get(key), 'long');
    await hashing.set(key, 'longer');
    assert.equal(await memcached.get(key), 'longer');
    await hashing.set('short', 'x');
    assert.equal(await memcached.get('short'), 'x');
  });

  test('memjs reads and is read', async () => {
    const theirs = memjs.Client.create(`127.0.0.1:${engine.memcachedPort}`, { timeout: 20, conntimeout: 20, logger: { log() {} } });
    const raw = new Client(engine.redis, { serializer: new RawSerializer() });
    const text = new Client(engine.redis, { serializer: new RawSerializer({ asText: true }) });
    const bytes = Buffer.from([0, 255, 13, 10]);
    await theirs.set('bytes', bytes, {});
    await theirs.set('text', 'grüß', { expires: 100 });
    assert.deepEqual(await raw.get('bytes'), bytes);
    assert.equal(await text.get('text'), 'grüß');
    await raw.set('bytes', Buffer.from([1, 2]));
    await text.set('text', 'back');
    assert.deepEqual((await theirs.get('bytes')).value, Buffer.from([1, 2]));
    assert.equal(String((await theirs.get('text')).value), 'back');
    assert.equal((await theirs.get('text')).flags.readUInt32BE(), 0);
    theirs.quit();
  });
});

test('without the module the flags are still there', async (t) => {
  // The whole way: memcached clients, then the module is removed, then new items beside the old ones, and back.
  const engine = await Engine.started();
  t.after(() => engine.kill());
  const writer = memcachedOf(engine);
  const many = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`${i < 100 ? '' : '{slot}'}many:${i}`, { i }]));
  for (const [key, value] of Object.entries({ ...VALUES, ...many })) await writer.set(key, value, 0);
  writer.end();
  await engine.shutdownSaving();
  await engine.restart({ module: false });

  const client = new Client(engine.redis);
  assert.deepEqual(Object.fromEntries(await client.getMulti(Object.keys({ ...VALUES, ...many }))), { ...VALUES, ...many });
  const fresh = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`${i < 100 ? '' : '{slot}'}new:${i}`, i]));
  await client.setMulti(fresh);
  assert.equal(await client.set('number', 'text now'), true);
  assert.equal(await client.set('text', Buffer.from('bytes now')), true);
  assert.equal(await client.delete('many:8'), true);
  assert.equal(await client.add('many:8', 'raw'), true);
  const expected = { ...VALUES, ...many, ...fresh, number: 'text now', text: Buffer.from('bytes now'), 'many:8': 'raw' };
  assert.deepEqual(Object.fromEntries(await client.getMulti(Object.keys(expected))), expected);
  await engine.shutdownSaving();

  await engine.restart({ module: true });
  const reader = memcachedOf(engine);
  assert.deepEqual({ ...(await reader.getMulti(Object.keys(expected))) }, expected);
  reader.end();
  await engine.stop();
});

describe('on an engine without', () => {
  let engine;
  before(async () => {
    engine = await Engine.started({ module: false });
  });
  after(() => engine.stop());

  test('a lost flag is a miss', async () => {
    const client = new Client(engine.redis);
    await client.set('a', 5);
    const [ledger] = await engine.redis.keys('diglot:flags:*');
    await engine.redis.set(ledger, (await engine.redis.getBuffer(ledger)).subarray(0, -1)); // no ledger any more
    assert.equal(await client.get('a'), undefined);
    const poison = Buffer.concat([Buffer.alloc(36), Buffer.from([0xf8]), Buffer.alloc(7, 255), Buffer.alloc(4)]);
    await engine.redis.set(ledger, poison); // what the module leaves there then
    assert.equal(await client.get('a'), undefined);
    await client.set('a', 'again');
    assert.equal(await client.get('a'), 'again');
  });

  test('a module that comes back is noticed before a write', async () => {
    const client = new Client(engine.redis, { serializer: new MemcachedSerializer() });
    await client.set('before', 1);
    await engine.redis.call('MODULE', 'LOADEX', MODULE, 'CONFIG', 'diglot.port', '0');
    await client.set('key', { is: 'JSON' });
    const [value, flags] = await engine.redis.call('DIGLOT.GET', 'key');
    assert.deepEqual([value, flags], ['{"is":"JSON"}', 2]);
    assert.equal(await client.get('before'), 1);
  });
});
