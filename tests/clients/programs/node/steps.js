// What both programs share: a line per step, `name = value`, with ` !! not EXPECTED` behind what is not as it must be.
'use strict';
const crypto = require('crypto');
const util = require('util');

let steps = 0;
let faults = 0;

function text(value) {
  const bytes = typeof value === 'string' ? Buffer.from(value) : value;
  if (Buffer.isBuffer(bytes) && bytes.length > 200) {
    return `${bytes.length} bytes ${crypto.createHash('md5').update(bytes).digest('hex')}`;
  }
  return util.inspect(value, { breakLength: Infinity, depth: 5, sorted: true, maxArrayLength: 20 });
}

function expect(name, actual, expected) {
  steps += 1;
  const wrong = !util.isDeepStrictEqual(actual, expected);
  faults += wrong ? 1 : 0;
  console.log(`${name} = ${text(actual)}${wrong ? ` !! not ${text(expected)}` : ''}`);
}

// What a promise is rejected with, or 'nothing'.
async function rejection(promise) {
  try {
    await promise;
    return 'nothing';
  } catch (error) {
    return String((error && error.message) || error);
  }
}

// Waits until find() gives nothing any more.
async function wait_gone(find) {
  for (const deadline = Date.now() + 20000; Date.now() < deadline;) {
    if (!(await find())) {
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function run(program) {
  try {
    await program(...process.argv.slice(2));
  } catch (error) {
    faults += 1;
    console.log(`!! ${error.stack}`);
  }
  console.log(`${steps} steps, ${faults} faults`);
  process.exit(faults ? 1 : 0);
}

const now = () => Math.floor(Date.now() / 1000);

module.exports = { expect, now, rejection, run, wait_gone };
