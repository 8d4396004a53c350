// FastLZ, which php-memcached compresses with unless it is told otherwise. Only the way back.
//
// The top three bits of the first byte say which of two formats it is. Both are runs: a byte below 32 begins that many literal
// bytes and one; any other holds a length in its top three bits and the high part of a distance in the others, and copies what
// stands so far back. Long lengths, and in the second format far distances, go on in the bytes behind.

const FAR = 8191; // the largest distance of 13 bits; what is farther has 16 bits of its own

class Reader {
  constructor(data) {
    this.data = data;
    this.at = 0;
  }

  byte() {
    return this.take(1)[0];
  }

  take(size) {
    if (this.at + size > this.data.length) throw new RangeError('damaged FastLZ data');
    this.at += size;
    return this.data.subarray(this.at - size, this.at);
  }
}

function lengthOf(reader, high, goesOn) {
  let length = high;
  if (high === 6) {
    let more;
    do {
      more = reader.byte();
      length += more;
    } while (goesOn && more === 255);
  }
  return length + 3;
}

function distanceOf(reader, high, isSecond) {
  const distance = high + reader.byte();
  return (isSecond && distance === FAR ? FAR + (reader.byte() << 8) + reader.byte() : distance) + 1;
}

// It may reach into what it is writing.
function copy(output, distance, length) {
  if (distance > output.length) throw new RangeError('damaged FastLZ data');
  for (let i = 0; i < length; i++) output.push(output[output.length - distance]);
}

/** The bytes that were compressed. Throws a RangeError when these are none of FastLZ's. */
export function decompress(data) {
  const reader = new Reader(data);
  const output = [];
  let control = reader.byte();
  const isSecond = control >> 5 === 1;
  for (control &= 31; ; control = reader.byte()) {
    if (control < 32) {
      output.push(...reader.take(control + 1));
    } else {
      const length = lengthOf(reader, (control >> 5) - 1, isSecond);
      copy(output, distanceOf(reader, (control & 31) << 8, isSecond), length);
    }
    if (reader.at === data.length) return Buffer.from(output);
  }
}
