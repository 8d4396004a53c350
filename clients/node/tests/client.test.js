// The client's operations, with the module and without.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { Redis } from 'ioredis';
import { Client, RawSerializer } from '../src/index.js';
import { Engine } from './servers.js';

const now = () => Math.floor(Date.now() / 1000);

for (const [name, module] of [['with the module', true], ['without', false]]) {
  describe(name, () => {
    let engine;
    let client;
    const isBetween = async (low, high) => {
      const ttl = await engine.redis.ttl('key');
      assert.ok(low <= ttl && ttl <= high, `the key lives for ${ttl} s`);
    };

    before(async () => {
      engine = await Engine.started({ module });
      client = new Client(engine.redis);
    });
    beforeEach(() => engine.redis.flushall());
    after(() => engine.stop());

    test('values come back as they were', async () => {
      const values = ['text', 'grüß ☃', '', 'lines\r\nof\\\ntext', Buffer.from([0, 255, 13, 10, 92]), 42, -1, 1.5, true, false, null, [1, 'two', [null]], { a: { b: 1 } }];
      for (const value of values) {
        assert.equal(await client.set('key', value), true);
        assert.deepEqual(await client.get('key'), value);
      }
      assert.equal(await client.get('absent'), undefined);
      await assert.rejects(client.set('key', undefined), TypeError);
    });

    test('add and replace', async () => {
      assert.equal(await client.replace('key', 'x'), false);
      assert.equal(await client.get('key'), undefined);
      assert.equal(await client.add('key', 1), true);
      assert.equal(await client.add('key', 'second'), false);
      assert.equal(await client.get('key'), 1);
      assert.equal(await client.replace('key', 'third'), true);
      assert.equal(await client.get('key'), 'third');
    });

    test('many', async () => {
      assert.equal(await client.setMulti({ a: 1, b: 'two' }), true);
      assert.equal(await client.setMulti(new Map([['c', [3]]])), true);
      assert.deepEqual(await client.getMulti(['a', 'absent', 'c']), new Map([['a', 1], ['c', [3]]]));
      assert.equal((await client.getsMulti(['b'])).get('b').value, 'two');
      assert.equal(await client.deleteMulti(['a', 'absent']), true);
      assert.deepEqual(await client.getMulti(['a', 'b']), new Map([['b', 'two']]));
      assert.deepEqual(await client.getMulti([]), new Map());
    });

    test('append and prepend keep the flags', async () => {
      assert.equal(await client.append('key', 'x'), false);
      assert.equal(await client.prepend('key', 'x'), false);
      await client.set('key', 5);
      assert.equal(await client.append('key', '6'), true);
      assert.equal(await client.prepend('key', Buffer.from('4')), true);
      assert.equal(await client.get('key'), 456);
    });

    test('counters', async () => {
      assert.equal(await client.incr('absent'), undefined);
      assert.equal(await client.decr('absent'), undefined);
      await client.set('n', 10);
      assert.equal(await client.incr('n', 5), 15);
      assert.equal(await client.decr('n'), 14);
      assert.equal(await client.get('n'), 14);
      assert.equal(await client.decr('n', 100), 0);
      assert.equal(await client.incr('n', 2n ** 53n + 1n), 2n ** 53n + 1n);
      assert.equal(await client.incr('n', 2), 2n ** 53n + 3n);
      await client.set('text', 'text');
      await assert.rejects(client.incr('text'), /non-numeric/);
      await assert.rejects(client.incr('n', -1), TypeError);
      await assert.rejects(client.incr('n', 1.5), TypeError);
    });

    test('cas', async () => {
      assert.equal(await client.cas('key', 'new', '1'), undefined);
      await client.set('key', { is: 'old' });
      const { value, cas } = await client.gets('key');
      assert.deepEqual(value, { is: 'old' });
      assert.equal(await client.cas('key', 'new', cas), true);
      assert.equal(await client.cas('key', 'newer', cas), false);
      assert.equal(await client.get('key'), 'new');
      assert.equal(await client.gets('absent'), undefined);
    });

    test('a token of the other way holds no longer', async () => {
      await client.set('key', 'old');
      assert.equal(await client.cas('key', 'new', module ? 'da39a3ee5e6b4b0d3255bfef95601890afd80709' : '17'), false);
      assert.equal(await client.get('key'), 'old');
    });

    test('expiry', async () => {
      await client.set('key', 'x', 100);
      await isBetween(98, 100);
      await client.set('key', 'x', now() + 40 * 86400);
      await isBetween(39 * 86400, 40 * 86400);
      await client.set('key', 'x');
      await isBetween(-1, -1);
      assert.equal(await client.touch('key', 50), true);
      await isBetween(48, 50);
      assert.equal(await client.touch('key'), true);
      await isBetween(-1, -1);
      assert.equal(await client.touch('absent', 50), false);
      assert.equal(await client.touch('absent'), false);
      assert.equal(await client.gat('key', 60), 'x');
      await isBetween(58, 60);
      assert.equal(await client.gat('absent', 60), undefined);
      for (const past of [-1, 31 * 86400]) { // the second is a unix time of 1970
        assert.equal(await client.set('key', 'x', past), true);
        assert.equal(await client.get('key'), undefined);
        await client.set('key', 'x');
        assert.equal(await client.touch('key', past), true);
        assert.equal(await client.get('key'), undefined);
      }
      await assert.rejects(client.set('key', 'x', 'soon'), TypeError);
    });

    test('keys', async () => {
      for (const key of ['', 'k'.repeat(251), Buffer.alloc(251)]) await assert.rejects(client.get(key), RangeError);
      await client.set('k'.repeat(250), 'x');
      assert.equal(await client.get(Buffer.from('k'.repeat(250))), 'x');
      await client.set(Buffer.from([0, 255]), 8);
      assert.equal(await client.get(new Uint8Array([0, 255])), 8);
    });

    test('delete and flush', async () => {
      await client.set('key', 'x');
      assert.equal(await client.delete('key'), true);
      assert.equal(await client.delete('key'), false);
      await client.set('key', 'x');
      assert.equal(await client.flush(), true);
      assert.equal(await client.get('key'), undefined);
    });

    test('a key of another type is a miss', async () => {
      await engine.redis.lpush('list', 'x');
      await client.set('key', 'x');
      assert.equal(await client.get('list'), undefined);
      assert.deepEqual(await client.getMulti(['list', 'key']), new Map([['key', 'x']]));
    });

    test('a prefix stands before every key', async () => {
      const prefixed = new Client(engine.redis, { keyPrefix: 'app:' });
      await prefixed.set('key', 5);
      assert.equal(await engine.redis.get('app:key'), '5');
      assert.equal(await prefixed.get('key'), 5);
      assert.equal(await client.get('app:key'), 5);
      await assert.rejects(prefixed.flush(), TypeError);
      const wrong = new Redis({ lazyConnect: true, keyPrefix: 'app:' });
      assert.throws(() => new Client(wrong), TypeError);
    });

    test('an address instead of a connection', async () => {
      const own = new Client(`redis://127.0.0.1:${engine.port}/3`, { serializer: new RawSerializer({ asText: true }) });
      await own.set('key', 7);
      assert.equal(await own.get('key'), '7');
      assert.equal(await client.get('key'), undefined);
      await own.quit();
    });

    test('scripts that the server forgot are sent again', async () => {
      await client.set('key', 5);
      await client.append('key', '6');
      await engine.redis.script('FLUSH');
      await client.append('key', '7');
      await client.set('other', 8);
      assert.deepEqual(await client.getMulti(['key', 'other']), new Map([['key', 567], ['other', 8]]));
    });
  });
}
