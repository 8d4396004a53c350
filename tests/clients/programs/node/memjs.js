// memjs.js - everything that memjs offers, on one server.
//
//     node memjs.js HOST PORT binary [USER PASSWORD]
'use strict';
const memjs = require('memjs');
const { expect, now, rejection, run, wait_gone } = require('./steps');

async function storage(client) {
  const get = async (key) => {
    const { value, flags } = await client.get(key);
    return value && `${value} flags ${flags.toString('hex')}`;
  };
  expect('get absent', await get('absent'), null);
  expect('set', await client.set('k', 'value', {}), true);
  expect('get', await get('k'), 'value flags 00000000');
  expect('set a buffer', await client.set('b', Buffer.from('\0\r\n\xff END\r\n', 'latin1'), {}), true);
  expect('get a buffer', (await client.get('b')).value, Buffer.from('\0\r\n\xff END\r\n', 'latin1'));
  expect('add there', await client.add('k', 'other', {}), false);
  expect('add', await client.add('added', 'a', { expires: 1000 }), true);
  expect('replace', await client.replace('added', 'b', {}), true);
  expect('replace absent', await client.replace('absent', 'x', {}), false);
  expect('append', await client.append('k', '-end'), true);
  expect('prepend', await client.prepend('k', 'start-'), true);
  expect('append absent', await rejection(client.append('absent', 'x')), 'MemJS APPEND: Item not stored');
  expect('prepend absent', await rejection(client.prepend('absent', 'x')), 'MemJS PREPEND: Item not stored');
  // memjs 1.3.2 sends Append's opcode for prepend.
  expect('get joined', await get('k'), 'value-endstart- flags 00000000');
  expect('set empty', await client.set('empty', '', {}), true);
  expect('get empty', ((await client.get('empty')).value || '').toString(), '');
  expect('delete', await client.delete('k'), true);
  expect('delete again', await client.delete('k'), false);
  expect('get deleted', await get('k'), null);
  const called = await new Promise((resolve) => client.get('added', (error, value) => resolve([error, String(value)])));
  expect('get by callback', called, [null, 'b']);
}

async function counters(client) {
  const number = async (promise) => (await promise).value;
  expect('increment with initial', await number(client.increment('n', 5, { initial: 10 })), 10);
  expect('increment', await number(client.increment('n', 5, { initial: 10 })), 15);
  expect('decrement', await number(client.decrement('n', 3, {})), 12);
  expect('get counter', String((await client.get('n')).value), '12');
  expect('decrement below 0', await number(client.decrement('n', 100, {})), 0);
  expect('decrement with initial', await number(client.decrement('d', 1, { initial: 7, expires: 1000 })), 7);
  expect('increment without initial', await number(client.increment('i', 1, {})), 0);
  await client.set('text', 'abc', {});
  const failure = await rejection(client.increment('text', 1, {}));
  expect('increment text', failure !== 'nothing', true);
  console.log(`increment text fails with ${failure}`);
  expect('text stays', String((await client.get('text')).value), 'abc');
}

async function many(client) {
  const keys = Array.from({ length: 300 }, (_, i) => `many-${i}`);
  const stored = await Promise.all(keys.map((key) => client.set(key, `value of ${key}`, { expires: 1000 })));
  expect('set many', stored.filter((one) => one === true).length, 300);
  const found = await Promise.all(keys.map((key) => client.get(key)));
  expect('get many', found.filter(({ value }, i) => String(value) === `value of ${keys[i]}`).length, 300);
  const deleted = await Promise.all(keys.slice(0, 10).map((key) => client.delete(key)));
  expect('delete many', deleted.every((one) => one === true), true);
  expect('get behind it', (await client.get('many-5')).value, null);
}

// A serializer that keeps types in the flags.
const typed = {
  serialize(opcode, value, extras) {
    const flagged = Buffer.from(extras);
    if ([1, 2, 3].includes(opcode) && typeof value !== 'string') {
      flagged.writeUInt32BE(0xdeadbeef, 0);
      return { value: JSON.stringify(value), extras: flagged };
    }
    return { value, extras };
  },
  deserialize(opcode, value, extras) {
    return extras.length && extras.readUInt32BE(0) === 0xdeadbeef ? { value: JSON.parse(value), extras } : { value: String(value), extras };
  },
};

async function values(connect) {
  const client = connect({ serializer: typed });
  for (const value of ['text', 'grüße ☃', 42, -1.5, true, null, [1, 'two'], { a: { b: 1 } }, 'abc'.repeat(100000)]) {
    expect('set typed', await client.set('v', value, {}), true);
    const found = await client.get('v');
    expect('get typed', found.value, value);
    expect('its flags', found.flags.toString('hex'), typeof value === 'string' ? '00000000' : 'deadbeef');
  }
  client.close();
}

async function expiry(client) {
  await client.set('t', 'v', { expires: 1000 });
  await client.set('u', 'v', { expires: now() + 1000 });
  await client.set('p', 'v', { expires: now() - 1000 });
  expect('get for long', String((await client.get('t')).value), 'v');
  expect('get until', String((await client.get('u')).value), 'v');
  expect('get past', (await client.get('p')).value, null);
  expect('touch', await client.touch('t', 2000), true);
  expect('touch absent', await client.touch('absent', 10), false);
  expect('touch into the past', await client.touch('u', now() - 1000), true);
  expect('get past touch', (await client.get('u')).value, null);
  await client.set('s', 'v', { expires: 1 });
  await wait_gone(async () => (await client.get('s')).value);
  expect('get behind a second', (await client.get('s')).value, null);
}

async function keys_and_sizes(client) {
  for (const key of ['k'.repeat(250), 'a b', 'grüße-☃', '!"$%&/()=?{[]}\\\'#+*~<>|;:,._-^', 'line\r\nend']) {
    expect(`set ${JSON.stringify(key)}`, await client.set(key, 'odd', {}), true);
    expect(`get ${JSON.stringify(key)}`, String((await client.get(key)).value), 'odd');
  }
  const large = 'x'.repeat(1048576 - 300);
  expect('large', await client.set('large', large, {}), true);
  expect('get large', String((await client.get('large')).value), large);
  expect('too large', await rejection(client.set('large', 'x'.repeat(1048577), {})), 'MemJS SET: Value too large');
  expect('too large takes the old value away', (await client.get('large')).value, null);
}

// The callback of these comes once for each server.
function told(call) {
  return new Promise((resolve, reject) => call((error, server, answer) => (error ? reject(error) : resolve(answer))));
}

async function server_facts(client) {
  const stats = await told((callback) => client.stats(callback));
  expect('stats', Number(stats.cmd_set) > 300 && 'curr_items' in stats, true);
  const settings = await told((callback) => client.statsWithKey('settings', callback));
  expect('settings', Object.keys(settings).length > 5, true);
  await told((callback) => client.resetStats(callback));
  expect('stats behind a reset', Number((await told((callback) => client.stats(callback))).cmd_set) < 10, true);
  expect('unknown stats', (await rejection(told((callback) => client.statsWithKey('nonsense', callback)))) !== 'nothing', true);
}

run(async (host, port, mode, user, password) => {
  const connect = (options) => memjs.Client.create(`${host}:${port}`, {
    timeout: 20, conntimeout: 20, logger: { log() {} }, username: user, password, ...options,
  });
  const client = connect();
  await storage(client);
  await counters(client);
  await many(client);
  await values(connect);
  await expiry(client);
  await keys_and_sizes(client);
  await server_facts(client);
  expect('flush', Object.values(await client.flush()), [true]);
  expect('get flushed', (await client.get('added')).value, null);
  expect('set behind flush', await client.set('k', 'v', {}), true);
  expect('get behind flush', String((await client.get('k')).value), 'v');
  client.quit();
});
