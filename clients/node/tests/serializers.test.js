// The serializers by the bytes that other libraries write. Those of PHP are php-memcached 3.2's own.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DalliSerializer, MemcachedSerializer, PhpSerializer, RawSerializer, UnknownFlags } from '../src/index.js';
import { decompress } from '../src/fastlz.js';

const FASTLZ = `4Q4AAAdhYmNkZWZnIOD9B+D9B+D9B+D9B+D9B+D9B+D9B+D9B+D9B+D9B+D9B+D9B+AnBxQwLDEsMiwzLDQsNSw2LDcsOCw5LDEgFB0xLDEyLDEzLDE0LDE1LDE2
LDE3LDE4LDE5LDIwLDIgMx0yLDIzLDI0LDI1LDI2LDI3LDI4LDI5LDMwLDMxLDMgUh0zLDM0LDM1LDM2LDM3LDM4LDM5LDQwLDQxLDQyLDQgcR00LDQ1LDQ2LDQ3LDQ4LDQ5
LDUwLDUxLDUyLDUzLDUgkB01LDU2LDU3LDU4LDU5LDYwLDYxLDYyLDYzLDY0LDYgrx02LDY3LDY4LDY5LDcwLDcxLDcyLDczLDc0LDc1LDcgzh03LDc4LDc5LDgwLDgxLDgy
LDgzLDg0LDg1LDg2LDgg7R04LDg5LDkwLDkxLDkyLDkzLDk0LDk1LDk2LDk3LDkhDAA57f2Y7S6YAmZnIA==`;
const ZLIB = `4Q4AAHic7dHJTQNADEDRVijgH8a7XU4gkP47yDSBEJJPT7Lk/fH59fz+eX081nVd13Vd13Vdf9mDoBhOkBTNIDcoiCKGOBJIIoU0MuhBb46ihjoaaKKFNjrYwQS7
JQ1zLLDECmts8IMLrvjt6HjgiRfe+BCHEEIJI+5AQSRRRBNDHlJIJY108s6bZJFNDnUooZQyyqmg7jpFNTX0oYVW2ming076btv0MIcRRhljnAkmmWLuMeavH/TffQOlxCKU`;
const LONG = 'abcdefg '.repeat(400) + Array.from({ length: 100 }, (_, i) => i).join(',') + 'abcdefg '.repeat(40);

const roundTrip = (serializer, value) => {
  const { data, flags } = serializer.serialize(value, 'key');
  return serializer.deserialize(Buffer.from(data), flags, 'key');
};

test('memcached', () => {
  const serializer = new MemcachedSerializer();
  assert.deepEqual(serializer.serialize({ a: 1 }), { data: Buffer.from('{"a":1}'), flags: 2 });
  assert.deepEqual(serializer.serialize(Buffer.from([0xff, 10])), { data: Buffer.from([0xc3, 0xbf, 0x5c, 10]), flags: 4 });
  assert.deepEqual(serializer.serialize(-1.5), { data: Buffer.from('-1.5'), flags: 8 });
  assert.throws(() => serializer.serialize(() => {}), TypeError);
  assert.throws(() => serializer.deserialize(Buffer.from('x'), 16, 'key'), UnknownFlags);
});

test('raw', () => {
  assert.deepEqual(roundTrip(new RawSerializer(), 'grüß'), Buffer.from('grüß'));
  assert.equal(roundTrip(new RawSerializer({ asText: true }), 7n), '7');
  assert.throws(() => new RawSerializer().serialize({}), TypeError);
});

test('PHP', () => {
  const serializer = new PhpSerializer();
  for (const [text, flags, value] of [['grüß', 0, 'grüß'], ['42', 1, 42], ['9223372036854775807', 1, 2n ** 63n - 1n], ['1.5', 2, 1.5], ['1', 3, true],
    ['', 3, false], ['{"x":[1,"two"]}', 6, { x: [1, 'two'] }]]) {
    assert.deepEqual(serializer.deserialize(Buffer.from(text), flags, 'key'), value);
    const written = serializer.serialize(value);
    assert.deepEqual([String(written.data), written.flags], [text, flags]);
  }
  assert.equal(serializer.deserialize(Buffer.from(FASTLZ, 'base64'), 80, 'key'), LONG);
  assert.equal(serializer.deserialize(Buffer.from(ZLIB, 'base64'), 48, 'key'), LONG);
  for (const flags of [4, 5, 7, 0x90]) assert.throws(() => serializer.deserialize(Buffer.from('a:0:{}'), flags, 'key'), UnknownFlags);
});

test('Dalli', () => {
  const serializer = new DalliSerializer({ compressFrom: 100 });
  assert.deepEqual(serializer.serialize(['x']), { data: Buffer.from('["x"]'), flags: 1 });
  assert.equal(serializer.serialize(LONG).flags, 3);
  for (const value of [LONG, { a: [1, 'two'] }, null, Buffer.from([0, 255])]) assert.deepEqual(roundTrip(serializer, value), value);
  assert.throws(() => serializer.deserialize(Buffer.from('\x04\x08i\x06', 'latin1'), 1, 'key'), UnknownFlags);
  assert.throws(() => serializer.deserialize(Buffer.from('x'), 4, 'key'), UnknownFlags);
});

test('FastLZ', () => {
  const unpacked = (bytes) => String(decompress(Buffer.from(bytes, 'latin1')));
  assert.equal(unpacked('\x02abc\x20\x02'), 'abcabc');
  assert.equal(unpacked('\x00a\xe0\x01\x00'), 'a'.repeat(11)); // a copy into itself, with a length that goes on
  assert.equal(unpacked('\x20a\xe0\xff\x02\x00'), 'a'.repeat(1 + 6 + 255 + 2 + 3)); // the second format
  for (const damaged of ['', '\x02ab', '\x00a\x20', '\x00a\x20\x05', '\x00a\xe0', '\x20a\x3f\xff\x00']) assert.throws(() => unpacked(damaged), RangeError);
});
