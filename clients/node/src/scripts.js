// What the client has the server do in one step. They are the Python client's (../../python/src/diglot).

// A ledger is a hash table: records of 8 bytes, of which the low 4 bits are marks and the others the key's hash, and 4 bytes flags,
// little endian. They lie behind their homes, in the order of their hashes. LOST is bit 3 of the marks; the record of the greatest
// hash there is, with that mark, says that only items with a record of their own are known.
const LEDGER = `
local POISON = string.char(240) .. string.rep(string.char(255), 7)
local function number(text, at) local a, b, c, d = string.byte(text, at, at + 3); return a + b * 256 + c * 65536 + d * 16777216 end
local function text(n)
  local a = n % 256; n = (n - a) / 256; local b = n % 256; n = (n - b) / 256; local c = n % 256
  return string.char(a, b, c, (n - c) / 256)
end
-- As many records as a table of at least so many has.
local function fitting(count)
  local room, step = 64, 16
  while math.floor((room - 10) / 12) < count do room = room + step; if room == step * 8 then step = step * 2 end end
  return math.floor((room - 10) / 12)
end
local function is_ledger(size) return size % 12 == 0 and fitting(size / 12) == size / 12 end
local function marks_at(ledger, offset) return string.byte(ledger, offset + 1) % 16 end
local function is_unused(ledger, offset) return number(ledger, offset + 5) == 0 and number(ledger, offset + 1) < 16 end
local function is_free(ledger, offset)
  return is_unused(ledger, offset) or (marks_at(ledger, offset) == 0 and number(ledger, offset + 9) == 0)
end
local function home(hash, count)
  local high = number(hash, 5)
  local low = high % 65536
  return math.floor(((high - low) / 65536 * count + math.floor(low * count / 65536)) / 65536)
end
-- Above 0: the record's hash comes behind the other one, around the circle of hashes; 0: it is the same.
local function order(record, hash)
  local high = (number(record, 5) - number(hash, 5)) % 4294967296
  if high > 0 then return high < 2147483648 and 1 or -1 end
  local low, other = number(record, 1), number(hash, 1)
  return (low - low % 16) - (other - other % 16)
end
-- The offset of the hash's record, or nil and where it belongs, which may be nil as well.
local function search(ledger, hash)
  local count = #ledger / 12
  local at = home(hash, count)
  for _ = 1, count do
    local offset = at * 12
    if is_unused(ledger, offset) then return nil, offset end
    local found = order(string.sub(ledger, offset + 1, offset + 8), hash)
    if found == 0 then return offset end
    if found > 0 then return nil, offset end
    at = (at + 1) % count
  end
  return nil, nil
end
local function is_poisoned(ledger)
  local offset = search(ledger, POISON)
  return offset ~= nil and marks_at(ledger, offset) >= 8
end
-- The flags of an item, or nil where nobody knows them.
local function flags_of(ledger, hash)
  if #ledger == 0 then return 0 end
  if not is_ledger(#ledger) then return nil end
  local offset = search(ledger, hash)
  if not offset or is_free(ledger, offset) then return not is_poisoned(ledger) and 0 or nil end
  if marks_at(ledger, offset) >= 8 then return nil end
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
if not is_ledger(#ledger) then ledger = '' end
local marks = #ledger > 0 and is_poisoned(ledger) and 4 or 0
local offset, place = nil, nil
if #ledger > 0 then offset, place = search(ledger, hash) end
if not offset and flags == 0 and marks == 0 then return 1 end
local record = string.char(string.byte(hash) + marks) .. string.sub(hash, 2) .. text(flags)
if offset then redis.call('SETRANGE', KEYS[2], offset, record); return 1 end
-- Those behind its place move on by one, as far as one that is free; not around the end, nor too far from home.
local free = place or #ledger
while free < #ledger and not is_free(ledger, free) do free = free + 12 end
local count = #ledger / 12
if free < #ledger and (free / 12 - home(hash, count)) % count <= math.floor(count / 2) - 1 then
  redis.call('SETRANGE', KEYS[2], place, record .. string.sub(ledger, place + 1, free))
  return 1
end
local live = {record}
for at = 0, #ledger - 12, 12 do
  if not is_free(ledger, at) then live[#live + 1] = string.sub(ledger, at + 1, at + 12) end
end
local function arrange(count)
  local places = {}
  for _, one in ipairs(live) do
    local at, distance = home(one, count), 0
    while places[at + 1] and order(places[at + 1], one) < 0 do at = (at + 1) % count; distance = distance + 1 end
    while places[at + 1] do places[at + 1], one = one, places[at + 1]; at = (at + 1) % count; distance = distance + 1 end
    if distance > math.floor(count / 2) - 1 then return nil end
    places[at + 1] = one
  end
  for at = 1, count do places[at] = places[at] or string.rep(string.char(0), 12) end
  return places
end
local size, places = fitting(math.floor(#live * 3 / 2) + 2), nil
repeat places = arrange(size); size = fitting(size + 1) until places
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
