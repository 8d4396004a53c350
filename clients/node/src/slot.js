// The hash slots of keys, as the engine counts them in a cluster; ledgers are kept by slot everywhere.

const SLOTS = 16384;

// CRC16 of the XMODEM kind: polynomial 0x1021, begins with 0.
const CRC_TABLE = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
  return crc;
});

function crc16(bytes) {
  let crc = 0;
  for (const byte of bytes) crc = ((crc << 8) & 0xffff) ^ CRC_TABLE[(crc >> 8) ^ byte];
  return crc;
}

/** The slot of a key, which is a Buffer. What stands between the first { and the } behind it counts alone, unless it is empty. */
export function slotOf(key) {
  const begin = key.indexOf('{') + 1;
  const end = begin ? key.indexOf('}', begin) : -1;
  return crc16(end > begin ? key.subarray(begin, end) : key) % SLOTS;
}

const tags = new Map();
let tagsTried = 0;

/** The first of 0 1 2 … z 10 11 … that hashes to the slot. */
export function tagOf(slot) {
  while (!tags.has(slot)) {
    const tag = (tagsTried++).toString(36);
    const its = slotOf(Buffer.from(tag));
    if (!tags.has(its)) tags.set(its, tag);
  }
  return tags.get(slot);
}
