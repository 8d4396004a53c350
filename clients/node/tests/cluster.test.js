// A cluster of two nodes, with the module and without: the client asks the node that has the key, and counts slots as the engine does.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { Redis } from 'ioredis';
import { Client } from '../src/index.js';
import { hashOf } from '../src/native-items.js';
import * as scripts from '../src/scripts.js';
import { slotOf, tagOf } from '../src/slot.js';
import { Engine, until } from './servers.js';

const KEYS = ['plain', '{tag}key', 'a{tag}b{other}', '{}empty', '{}foo{bar}', '{open', 'close}{', '{{x}}', '}{y}', 'grüß☃', '{☃}'];

async function cluster(module) {
  const nodes = [];
  for (const slots of [[0, 8191], [8192, 16383]]) {
    const node = await Engine.started({ module, options: { 'cluster-enabled': 'yes' } });
    await node.redis.call('CLUSTER', 'ADDSLOTSRANGE', ...slots);
    nodes.push(node);
  }
  await nodes[0].redis.cluster('MEET', '127.0.0.1', nodes[1].port);
  for (const node of nodes) await until(async () => (await node.redis.cluster('INFO')).includes('cluster_state:ok'), 'the cluster');
  return nodes;
}

for (const module of [true, false]) {
  test(`a cluster ${module ? 'with the module' : 'without'}`, async (t) => {
    const nodes = await cluster(module);
    const client = new Client(new Redis.Cluster([{ host: '127.0.0.1', port: nodes[0].port }]));
    t.after(() => {
      client.redis.disconnect();
      for (const node of nodes) node.kill();
    });
    for (const key of KEYS) assert.equal(slotOf(Buffer.from(key)), await nodes[0].redis.cluster('KEYSLOT', key), key);

    const values = new Map([...KEYS, ...Array.from({ length: 200 }, (_, i) => `key:${i}`)].map((key, i) => [key, { i }]));
    await client.setMulti(values);
    assert.deepEqual(await client.getMulti(values.keys()), values);
    const { cas } = await client.gets('plain');
    assert.equal(await client.cas('plain', 5, cas), true);
    assert.equal(await client.incr('plain'), 6);
    assert.equal(await client.append('plain', '7'), true);
    assert.equal(await client.get('plain'), 67);
    assert.equal(await client.delete('plain'), true);
    assert.equal(await client.cas('plain', 5, cas), undefined);
    for (const node of nodes) {
      assert.ok((await node.redis.dbsize()) > 100);
      const sentAway = /errorstat_MOVED:count=(\d+)/.exec(await node.redis.info('errorstats'));
      assert.ok(Number(sentAway?.[1] ?? 0) < 2 * KEYS.length, 'the client asks the right node'); // ioredis itself errs for keys with {}
    }
    await client.flush();
    for (const node of nodes) assert.equal(await node.redis.dbsize(), 0);
    await client.quit();
    for (const node of nodes) await node.stop();
  });
}

describe('what both clients must agree on', () => {
  test('tags lie in their slots', () => {
    assert.equal(tagOf(slotOf(Buffer.from('0'))), '0');
    for (const slot of [0, 1, 8191, 12739, 16383]) assert.equal(slotOf(Buffer.from(tagOf(slot))), slot);
    assert.equal(slotOf(Buffer.from('123456789')), 12739);
  });

  test('hashes are the first 60 bits of XXH3, little endian', async () => {
    assert.equal((await hashOf(Buffer.alloc(0))).toString('hex'), 'c094d3380580062d');
    assert.equal((await hashOf(Buffer.alloc(250, 'aé'))).toString('hex'), '709d670ce121093d');
  });

  test('the scripts that know the ledger are the same', () => {
    const theirs = readFileSync(new URL('../../python/src/diglot/native.py', import.meta.url), 'utf8');
    const begin = scripts.ITEM.slice(0, -'return item()'.length);
    assert.ok(scripts.ITEM.endsWith('return item()') && scripts.STORE.startsWith(begin));
    assert.ok(theirs.includes(begin) && theirs.includes(scripts.STORE.slice(begin.length)));
  });
});
