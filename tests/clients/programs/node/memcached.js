// memcached.js - everything that the npm package memcached offers, on one server.
//
//     node memcached.js HOST PORT ascii
'use strict';
process.noDeprecation = true;
const Memcached = require('memcached');
const util = require('util');
const { expect, now, rejection, run, wait_gone } = require('./steps');

// The same calls with promises. `this` of a callback is of no interest here.
function promised(client) {
  const calls = {};
  for (const name of ['touch', 'get', 'gets', 'getMulti', 'set', 'replace', 'add', 'cas', 'append', 'prepend', 'incr', 'decr', 'del', 'version',
    'flush', 'stats', 'settings', 'slabs', 'items', 'cachedump']) {
    calls[name] = (...words) => util.promisify(client[name].bind(client))(...words);
  }
  return calls;
}

async function storage(client) {
  expect('get absent', await client.get('absent'), undefined);
  expect('set', await client.set('k', 'value', 0), true);
  expect('get', await client.get('k'), 'value');
  expect('add there', await rejection(client.add('k', 'other', 0)), 'Item is not stored');
  expect('add', await client.add('added', 'a', 1000), true);
  expect('replace', await client.replace('added', 'b', 0), true);
  expect('replace absent', await rejection(client.replace('absent', 'x', 0)), 'Item is not stored');
  expect('append', await client.append('k', '-end'), true);
  expect('prepend', await client.prepend('k', 'start-'), true);
  expect('append absent', await rejection(client.append('absent', 'x')), 'Item is not stored');
  expect('prepend absent', await rejection(client.prepend('absent', 'x')), 'Item is not stored');
  expect('get joined', await client.get('k'), 'start-value-end');
  expect('delete', await client.del('k'), true);
  expect('delete again', await client.del('k'), false);
  expect('get deleted', await client.get('k'), undefined);
}

async function cas(client) {
  await client.set('k', 'one', 0);
  const found = await client.gets('k');
  expect('gets', found.k, 'one');
  expect('a token is a number', /^[1-9]\d*$/.test(found.cas), true);
  expect('a token stands', (await client.gets('k')).cas === found.cas, true);
  expect('gets absent', await client.gets('absent'), undefined);
  expect('cas', await client.cas('k', 'two', found.cas, 0), true);
  expect('cas again', await client.cas('k', 'three', found.cas, 0), false);
  expect('cas absent', await client.cas('absent', 'x', found.cas, 0), false);
  expect('get cas', await client.get('k'), 'two');
}

async function counters(client) {
  await client.set('n', 10, 0);
  expect('incr', await client.incr('n', 5), 15);
  expect('decr', await client.decr('n', 3), 12);
  expect('get counter', await client.get('n'), 12);
  expect('decr below 0', await client.decr('n', 100), 0);
  expect('incr absent', await client.incr('absent', 1), false);
  expect('decr absent', await client.decr('absent', 1), false);
  await client.set('text', 'abc', 0);
  expect('incr text', await rejection(client.incr('text', 1)), 'cannot increment or decrement non-numeric value');
  expect('text stays', await client.get('text'), 'abc');
}

async function many(client) {
  const keys = Array.from({ length: 300 }, (_, i) => `many-${i}`);
  const stored = await Promise.all(keys.map((key) => client.set(key, { key }, 1000)));
  expect('set many', stored.filter((one) => one === true).length, 300);
  expect('get many', await client.getMulti([...keys, 'absent']), Object.fromEntries(keys.map((key) => [key, { key }])));
  const found = await Promise.all(keys.map((key) => client.get(key)));
  expect('get one by one', found.filter((value, i) => value.key === keys[i]).length, 300);
  expect('get many of nothing', await client.getMulti(['absent']), {});
}

async function values(client) {
  const values = { text: 'text', empty: '', unicode: 'grüße ☃', bytes: Buffer.from([0, 255, 65]), int: 42, negative: -7, float: 1.5, yes: true,
    no: false, nothing: null, list: [1, 'two', [null]], map: { a: { b: 1 } }, long: 'abc'.repeat(100000) };
  for (const [name, value] of Object.entries(values)) {
    expect(`set ${name}`, await client.set(name, value, 0), true);
    expect(`get ${name}`, await client.get(name), value);
  }
  expect('get all', await client.getMulti(Object.keys(values)), values);
}

async function expiry(client) {
  await client.set('t', 'v', 1000);
  await client.set('u', 'v', now() + 1000);
  await client.set('p', 'v', now() - 1000);
  expect('get for long', await client.get('t'), 'v');
  expect('get until', await client.get('u'), 'v');
  expect('get past', await client.get('p'), undefined);
  expect('touch', await client.touch('t', 2000), true);
  expect('touch absent', await client.touch('absent', 10), false);
  expect('touch into the past', await client.touch('u', now() - 1000), true);
  expect('get past touch', await client.get('u'), undefined);
  await client.set('s', 'v', 1);
  await wait_gone(() => client.get('s'));
  expect('get behind a second', await client.get('s'), undefined);
}

async function keys_and_sizes(client, connect) {
  for (const key of ['k'.repeat(250), 'grüße-☃', '!"$%&/()=?{[]}\\\'#+*~<>|;:,._-^', 'l'.repeat(500)]) {
    expect(`set ${key}`, await client.set(key, 'odd', 0), true);
    expect(`get ${key}`, await client.get(key), 'odd');
  }
  expect('key with a space', (await rejection(client.set('a b', 'v', 0))) !== 'nothing', true);
  const large = 'x'.repeat(1048576 - 300);
  expect('large', await client.set('large', large, 0), true);
  expect('get large', await client.get('large'), large);
  expect('too large', await rejection(client.set('large', 'x'.repeat(1048577), 0)), 'The length of the value is greater than 1048576');
  const space = promised(connect({ namespace: 'space:' }));
  expect('set within', await space.set('k', 'within', 0), true);
  expect('get many within', await space.getMulti(['k']), { k: 'within' });
  expect('get from outside', await client.get('space:k'), 'within');
}

async function server_facts(client) {
  const [stats] = await client.stats();
  expect('stats', stats.cmd_set > 300 && stats.get_hits > 300 && 'curr_items' in stats && 'version' in stats, true);
  const [settings] = await client.settings();
  expect('settings', Object.keys(settings).length > 5, true);
  await client.slabs();
  await client.items();
  const [version] = await client.version();
  // It takes the last three numbers of what the server calls itself.
  expect('version', /^\d+\.\d+\.\d+$/.test(version.version), true);
  expect('get behind them', await client.get('added'), 'b');
}

run(async (host, port) => {
  const connect = (options) => new Memcached(`${host}:${port}`, { timeout: 20000, retries: 1, ...options });
  const client = promised(connect());
  await storage(client);
  await cas(client);
  await counters(client);
  await many(client);
  await values(client);
  await expiry(client);
  await keys_and_sizes(client, connect);
  await server_facts(client);
  expect('flush', await client.flush(), [true]);
  expect('get flushed', await client.getMulti(['added', 'k', 'many-5']), {});
  expect('set behind flush', await client.set('k', 'v', 0), true);
  expect('get behind flush', await client.get('k'), 'v');
});
