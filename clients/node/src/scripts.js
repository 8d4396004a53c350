// What the client has the server do in one step. They are the Python client's (../../python/src/diglot).

// A ledger is a hash table of 2^n records: 8 bytes hash, 4 bytes flags, 4 bytes marks, little endian. LOST is bit 31 of the
// marks; the record of the hash 2^64 - 1 with that mark says that only items with a record of their own are known.
const LEDGER = `
local POISON = string.rep(string.char(255), 8)
local NONE = string.rep(string.char(0), 8)
local function number(text, at) local a, b, c, d = string.byte(text, at, at + 3); return a + b * 256 + c * 65536 + d * 16777216 end
local function text(n)
  local a = n % 256; n = (n - a) / 256; local b = n % 256; n = (n - b) / 256; local c = n % 256
  return string.char(a, b, c, (n - c) / 256)
end
local function is_ledger(size) while size > 16 and size % 2 == 0 do size = size / 2 end; return size == 16 end
-- The offset of the hash's record, and that of the first free place; either may be nil.
local function search(ledger, hash)
  local count, free = #ledger / 16, nil
  local at = number(hash, 1) % count
  for _ = 1, count do
    local offset = at * 16
    local found = string.sub(ledger, offset + 1, offset + 8)
    local empty = number(ledger, offset + 9) == 0 and number(ledger, offset + 13) == 0
    if empty then free = free or offset elseif found == hash then return offset, free end
    if found == NONE then return nil, free end
    at = (at + 1) % count
  end
  return nil, free
end
-- The flags of an item, or nil where nobody knows them.
local function flags_of(ledger, hash)
  if #ledger == 0 then return 0 end
  if not is_ledger(#ledger) then return nil end
  local offset = search(ledger, hash)
  if not offset then return search(ledger, POISON) == nil and 0 or nil end
  if number(ledger, offset + 13) >= 2147483648 then return nil end
  return number(ledger, offset + 9)
end
local function read(name) local ok, value = pcall(redis.call, 'GET', name); if ok and value then return value end; return '' end
local function item()
  local value = redis.pcall('GET', KEYS[1])
  if type(value) ~= 'string' then return nil end
  local flags = flags_of(read(KEYS[2]), ARGV[1])
  if flags == nil then return nil end
  return {value, flags, redis.sha1hex(flags .. ':' .. value)}
end
`;

/** KEYS: the item, its ledger. ARGV: hash. Returns value, flags, token, or nothing. */
export const ITEM = `${LEDGER}return item()`;

/** KEYS: the item, its ledger. ARGV: hash, flags, value, expiry (ms since the epoch; 0: none), mode, token. */
export const STORE = `${LEDGER}
local probe = redis.pcall('DIGLOT.GET', KEYS[1])
if not (type(probe) == 'table' and probe.err and string.find(probe.err, 'nknown')) then return -2 end
local hash, flags, mode = ARGV[1], tonumber(ARGV[2]), ARGV[5]
local old = item()
if mode == 'add' and old then return 0 end
if mode == 'replace' and not old then return 0 end
if mode == 'cas' and (not old or old[3] ~= ARGV[6]) then return old and 0 or -1 end
if ARGV[4] == '0' then redis.call('SET', KEYS[1], ARGV[3]) else redis.call('SET', KEYS[1], ARGV[3], 'PXAT', ARGV[4]) end
local ledger = read(KEYS[2])
if #ledger > 0 and not is_ledger(#ledger) then ledger = '' end
local poisoned = #ledger > 0 and search(ledger, POISON) ~= nil
local marks = poisoned and 1073741824 or 0
local offset, free = nil, nil
if #ledger > 0 then offset, free = search(ledger, hash) end
if not offset and flags == 0 and marks == 0 then return 1 end
local record = hash .. text(flags) .. text(marks)
if offset or free then redis.call('SETRANGE', KEYS[2], offset or free, record); return 1 end
local live = {record}
for at = 0, #ledger - 16, 16 do
  if number(ledger, at + 9) ~= 0 or number(ledger, at + 13) ~= 0 then live[#live + 1] = string.sub(ledger, at + 1, at + 16) end
end
local count = 4
while count < #live * 2 do count = count * 2 end
local places = {}
for _, one in ipairs(live) do
  local at = number(one, 1) % count
  while places[at + 1] do at = (at + 1) % count end
  places[at + 1] = one
end
for at = 1, count do places[at] = places[at] or string.rep(string.char(0), 16) end
redis.call('SET', KEYS[2], table.concat(places))
return 1
`;

// Of what is there, and keeping its flags: APPEND, SETRANGE and INCRBY do.
export const APPEND = `
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('APPEND', KEYS[1], ARGV[1])
return 1
`;
export const PREPEND = `
local old = redis.call('GET', KEYS[1])
if not old then return 0 end
redis.call('SETRANGE', KEYS[1], 0, ARGV[1] .. old)
return 1
`;

/** ARGV: incr or decr, amount. The number is read back as text: Lua's own numbers hold 53 bits. */
export const COUNT = `
local old = redis.call('GET', KEYS[1])
if not old then return false end
if not string.match(old, '^%d+$') then return redis.error_reply('cannot increment or decrement non-numeric value') end
if ARGV[1] == 'decr' and tonumber(ARGV[2]) >= tonumber(old) then redis.call('DECRBY', KEYS[1], old)
else redis.call(ARGV[1] == 'decr' and 'DECRBY' or 'INCRBY', KEYS[1], ARGV[2]) end
return redis.call('GET', KEYS[1])
`;
