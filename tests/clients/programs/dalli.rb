# dalli.rb - everything that Dalli offers, on one server.
#
#     ruby dalli.rb HOST PORT binary|meta [USER PASSWORD]
#
# What a version of Dalli does not have is left out, with a line that says so. Prints a line per step, `name = value`, with
# ` !! not EXPECTED` behind what is not as it must be; the status is 1 then.
require "dalli"
require "json"
require "logger"

# Dalli 5 asks for Ruby 3.2, which brought this; Debian 12 has 3.1.
unless String.method_defined?(:byteindex)
  class String
    def byteindex(part, offset = 0)
      found = byteslice(offset..).b.index(part.b)
      found && found + offset
    end
  end
end

Dalli.logger = Logger.new(File::NULL)
HOST, PORT, MODE, USER, PASSWORD = ARGV
VERSION = Gem::Version.new(Dalli::VERSION)
$steps = $faults = 0

def text(value)
  value.is_a?(String) && value.bytesize > 200 ? "#{value.bytesize} bytes #{value.sum}" : value.inspect
end

def expect(name, actual, expected)
  $steps += 1
  wrong = actual != expected
  $faults += 1 if wrong
  puts "#{name} = #{text(actual)}#{" !! not #{text(expected)}" if wrong}"
end

# What a step raises, or :nothing.
def raised
  yield
  :nothing
rescue StandardError => e
  e.class.name
end

def connect(**options)
  options[:protocol] = MODE.to_sym if VERSION >= Gem::Version.new("3.2") && VERSION < Gem::Version.new("5")
  options.update(username: USER, password: PASSWORD) if USER
  Dalli::Client.new("#{HOST}:#{PORT}", { socket_timeout: 20, compress: true, **options })
end

def storage(client)
  expect("get absent", client.get("absent"), nil)
  expect("set", client.set("k", "value") != false, true)
  expect("get", client.get("k"), "value")
  expect("add there", client.add("k", "other"), false)
  expect("add", client.add("added", "a") != false, true)
  expect("get added", client.get("added"), "a")
  expect("replace", client.replace("added", "b") != false, true)
  expect("replace absent", client.replace("absent", "x") == true, false)
  client.set("raw", "value", 0, raw: true)
  expect("append", client.append("raw", "-end") ? true : false, true)
  expect("prepend", client.prepend("raw", "start-") ? true : false, true)
  expect("append absent", client.append("absent", "x") ? true : false, false)
  expect("prepend absent", client.prepend("absent", "x") ? true : false, false)
  expect("get joined", client.get("raw", raw: true), "start-value-end")
  expect("fetch computes", client.fetch("fetched", 1000) { [1, 2] }, [1, 2])
  expect("fetch finds", client.fetch("fetched", 1000) { raise "computed again" }, [1, 2])
  expect("delete", client.delete("k"), true)
  expect("delete again", client.delete("k") == true, false)
  expect("get deleted", client.get("k"), nil)
  nils = connect(cache_nils: true)
  expect("nil is stored", nils.set("nil", nil) != false && nils.fetch("nil") { "computed" }, nil)
end

def cas(client)
  client.set("k", "one")
  value, token = client.get_cas("k")
  expect("get with token", value, "one")
  expect("a token is not 0", token != 0, true)
  expect("a token stands", client.get_cas("k")[1] == token, true)
  expect("set with token", client.set_cas("k", "two", token) ? true : false, true)
  expect("set with an old token", client.set_cas("k", "three", token) ? true : false, false)
  expect("get behind it", client.get("k"), "two")
  token = client.get_cas("k")[1]
  expect("replace with token", client.replace_cas("k", "four", token) ? true : false, true)
  expect("replace with an old token", client.replace_cas("k", "five", token) ? true : false, false)
  expect("delete with an old token", client.delete_cas("k", token) ? true : false, false)
  expect("delete with token", client.delete_cas("k", client.get_cas("k")[1]) ? true : false, true)
  expect("cas absent", client.cas("k") { "x" }, nil)
  expect("cas! absent", client.cas!("k") { |found| found.inspect } ? true : false, true)
  expect("cas", client.cas("k") { |found| found * 2 } ? true : false, true)
  expect("get cas", client.get("k"), "nilnil")
  lost = client.cas("k") { |_| connect.set("k", "other"); "mine" }
  expect("cas that lost", lost ? true : false, false)
  expect("get the other's", client.get("k"), "other")
  client.set("l", "v")
  both = client.get_multi_cas("k", "l", "absent").transform_values(&:first)
  expect("get many with tokens", both, { "k" => "other", "l" => "v" })
end

def counters(client)
  expect("incr absent", client.incr("absent"), nil)
  expect("decr absent", client.decr("absent"), nil)
  expect("incr with default", client.incr("n", 5, 1000, 10), 10)
  expect("incr", client.incr("n", 5), 15)
  expect("incr with default again", client.incr("n", 5, 1000, 10), 20)
  expect("decr", client.decr("n", 7), 13)
  expect("get counter", client.get("n", raw: true), "13")
  expect("decr below 0", client.decr("n", 100), 0)
  expect("decr with default", client.decr("d", 5, 1000, 10), 10)
  client.set("n", "10", 0, raw: true)
  expect("wraps", client.incr("n", 2**64 - 1), 9)
  client.set("text", "abc", 0, raw: true)
  expect("incr of text", raised { client.incr("text") } != :nothing || client.get("text", raw: true) == "abc", true)
  expect("text stays", client.get("text", raw: true), "abc")
  expect("incr by a negative", raised { client.incr("n", -1) }, "ArgumentError")
end

def many(client)
  items = (0...300).to_h { |i| ["many-#{i}", { "number" => i }] }
  client.multi { items.each { |key, value| client.set(key, value, 1000) } }
  expect("get many", client.get_multi(*items.keys, "absent"), items)
  expect("get many of nothing", client.get_multi("absent"), {})
  seen = {}
  client.get_multi("many-1", "many-2") { |key, value| seen[key] = value }
  expect("get many by block", seen, { "many-1" => { "number" => 1 }, "many-2" => { "number" => 2 } })
  client.set("n", "5", 0, raw: true)
  client.quiet { client.set("quiet", "q"); client.delete("many-1"); client.add("many-2", "no"); client.replace("many-3", "new") } if client.respond_to?(:quiet)
  client.multi { client.set("quiet", "q"); client.delete("many-1"); client.add("many-2", "no"); client.replace("many-3", "new") } unless client.respond_to?(:quiet)
  expect("get behind quiet", client.get_multi("quiet", "many-1", "many-2", "many-3"),
         { "quiet" => "q", "many-2" => { "number" => 2 }, "many-3" => "new" })
  client.multi { client.incr("n", 3); client.decr("n", 1); client.append("n", "0"); client.prepend("n", "1") }
  expect("get behind quiet counting", client.get("n", raw: true), "170")
  bulk(client)
end

# Since 3.2 there are calls for many keys at once.
def bulk(client)
  unless client.respond_to?(:set_multi)
    puts "set_multi, delete_multi: not in this Dalli"
    return
  end
  client.set_multi({ "b1" => [1], "b2" => "two" }, 1000)
  expect("set many at once", client.get_multi("b1", "b2"), { "b1" => [1], "b2" => "two" })
  client.delete_multi(%w[b1 absent])
  expect("delete many at once", client.get_multi("b1", "b2"), { "b2" => "two" })
end

# Dalli 3 over meta reads a value up to its first line end.
def bytes(value)
  MODE == "meta" && VERSION < Gem::Version.new("4") ? value.gsub("\r\n".b, "--".b) : value
end

def values(client)
  { "text" => "text", "empty" => "", "unicode" => "grüße ☃", "bytes" => bytes("\0\xff\r\nEND\r\n".b), "int" => 42, "negative" => -7,
    "large" => 10**30, "float" => 1.5, "true" => true, "false" => false, "symbol" => :name, "list" => [1, "two", nil],
    "map" => { "a" => { "b" => 1 } }, "long" => "abc" * 100_000, "noise" => bytes(Random.new(1).bytes(30_000)) }.each do |name, value|
    expect("set #{name}", client.set(name, value) != false, true)
    expect("get #{name}", client.get(name), value)
  end
  plain = connect(compress: false)
  expect("set without compression", plain.set("long", "abc" * 100_000) != false, true)
  expect("get without compression", client.get("long"), "abc" * 100_000)
  json = connect(serializer: JSON)
  expect("set as JSON", json.set("json", { "a" => [1, nil] }) != false, true)
  expect("get as JSON", json.get("json"), { "a" => [1, nil] })
  expect("raw", client.set("raw", "42", 0, raw: true) != false && client.get("raw", raw: true), "42")
end

def expiry(client)
  client.set("t", "v", 1000)
  expect("get for long", client.get("t"), "v")
  client.set("u", "v", 60 * 60 * 24 * 60)
  expect("get until", client.get("u"), "v")
  expect("touch", client.touch("t", 2000) ? true : false, true)
  expect("touch absent", client.touch("absent", 10) ? true : false, false)
  expect("get and touch", client.gat("t", 3000), "v")
  expect("get and touch absent", client.gat("absent", 3000), nil)
  client.set("s", "v", 1)
  deadline = Time.now + 20
  sleep 0.02 while client.get("s") && Time.now < deadline
  expect("get behind a second", client.get("s"), nil)
end

def keys_and_sizes(client)
  longest = "k" * 250
  expect("longest key", client.set(longest, "v") != false && client.get(longest), "v")
  expect("longer keys are hashed", client.set("l" * 1000, "v") != false && client.get("l" * 1000), "v")
  expect("empty key", raised { client.set("", "v") }, "ArgumentError")
  expect("unicode key", client.set("grüße-☃", "v") != false && client.get("grüße-☃"), "v")
  expect("get many by unicode", client.get_multi("grüße-☃").transform_keys { |key| key.dup.force_encoding("UTF-8") }, { "grüße-☃" => "v" })
  expect("key with a space", client.set("a b", "v") != false && client.get("a b"), "v")
  space = connect(namespace: "space")
  expect("namespace", space.set("k", "within") != false && space.get_multi("k"), { "k" => "within" })
  expect("from outside", client.get("space:k"), "within")
  plain = connect(compress: false)
  large = "x" * (1_048_576 - 400)
  expect("large", plain.set("large", large, 0, raw: true) != false && plain.get("large", raw: true), large)
  expect("too large", raised { plain.set("large", "x" * 1_048_577, 0, raw: true) }, "Dalli::ValueOverMaxSize")
  # Dalli itself refuses it; nothing is sent.
  expect("too large leaves the old value", plain.get("large", raw: true), large)
end

def facts(found)
  found.slice(:value, :miss, :stale, :won_recache, :lost_recache)
end

# Dalli 5, meta only: one caller of many computes a value anew, tombstones, and what an item tells of itself.
def leases(client)
  unless client.respond_to?(:fetch_with_lock)
    puts "fetch_with_lock, get_with_metadata, tombstones: not in this Dalli"
    return
  end
  expect("fetch with lock computes", client.fetch_with_lock("lock", ttl: 300, lock_ttl: 30) { [1] }, [1])
  expect("fetch with lock finds", client.fetch_with_lock("lock", ttl: 300, lock_ttl: 30) { raise "computed again" }, [1])
  expect("fetch with lock recomputes early", client.fetch_with_lock("lock", ttl: 900, lock_ttl: 30, recache_threshold: 600) { [2] }, [2])
  expect("fetch with lock has recomputed", client.fetch_with_lock("lock", ttl: 900, recache_threshold: 600) { [3] }, [2])
  2.times { |i| expect("vivify #{i}", facts(client.get_with_metadata("new", vivify_ttl: 30)).except(:value), VIVIFIED[i]) }
  client.set("new", "there")
  expect("set ends the lease", facts(client.get_with_metadata("new", vivify_ttl: 30)).except(:miss),
         { value: "there", stale: false, won_recache: false, lost_recache: false })
  metadata(client)
  tombstones(client)
end

VIVIFIED = [{ stale: false, won_recache: true, lost_recache: false, miss: false },
            { stale: false, won_recache: false, lost_recache: true, miss: false }].freeze

def metadata(client)
  client.set("m", "v", 1000)
  expect("not hit before", client.get_with_metadata("m", return_hit_status: true, skip_lru_bump: true)[:hit_before], false)
  client.get("m")
  all = client.get_with_metadata("m", return_hit_status: true, return_last_access: true, return_ttl_remaining: true)
  expect("hit before", all[:hit_before], true)
  expect("last access", all[:last_access].between?(0, 20), true)
  expect("time to live", all[:ttl_remaining].between?(980, 1000), true)
  client.set("m", "v")
  expect("no time to live", client.get_with_metadata("m", return_ttl_remaining: true)[:ttl_remaining], -1)
  expect("metadata of a miss", client.get_with_metadata("absent")[:miss], true)
  expect("routing tokens", client.get("m", p_token: "proxy", l_token: "location"), "v")
  expect("set with routing tokens", client.set("m", "v", nil, p_token: "a", l_token: "b") != false, true)
end

def tombstones(client)
  client.set_multi({ "a" => "1", "b" => "2", "c" => "3" }, 1000)
  expect("invalidate", client.delete("a", invalidate: true, tombstone_ttl: 100), true)
  client.delete("b", invalidate: true, tombstone_ttl: 100, drop_value: true)
  client.delete("c", drop_value: true)
  found = client.get_multi_with_metadata("a", "b", "c", "absent")
  expect("tombstones", found.transform_values { |one| one.slice(:value, :stale) },
         { "a" => { value: "1", stale: true }, "b" => { value: "", stale: true }, "c" => { value: "", stale: false } })
  first, second = Array.new(2) { facts(client.get_with_metadata("a")) }
  expect("first reader of a tombstone", first, { value: "1", stale: true, won_recache: false, lost_recache: true, miss: false })
  expect("second reader of a tombstone", second, first)
  client.set("a", "new")
  expect("set ends a tombstone", facts(client.get_with_metadata("a")),
         { value: "new", stale: false, won_recache: false, lost_recache: false, miss: false })
  client.set("d", "v")
  expect("invalidate many", client.delete_multi(%w[a d absent], invalidate: true, tombstone_ttl: 100), 2)
  expect("fetch with lock computes what is stale", client.fetch_with_lock("d", ttl: 300) { "fresh" }, "fresh")
  expect("and it stays", client.get("d"), "fresh")
end

def server_facts(client)
  stats = client.stats.values.first
  expect("stats", stats["cmd_set"].to_i > 300 && stats["get_hits"].to_i > 300 && stats.key?("curr_items"), true)
  expect("settings", client.stats(:settings).values.first.size > 5, true)
  client.stats(:items)
  expect("version", client.version.values.first.to_s.match?(/\A\d+\.\d+\.\d+/), true)
  expect("reset stats", Array(client.reset_stats).flatten.last ? true : false, true)
  expect("stats behind a reset", client.stats.values.first["cmd_set"].to_i < 10, true)
  expect("alive", raised { client.alive! }, :nothing)
  client.close
  expect("get behind close", client.get("added"), "b")
end

def flush(client)
  expect("flush", client.flush.all?, true)
  expect("get flushed", client.get_multi("k", "added", "many-5"), {})
  expect("set behind flush", client.set("k", "v") != false && client.get("k"), "v")
end

client = connect
storage(client)
cas(client)
counters(client)
many(client)
values(client)
expiry(client)
keys_and_sizes(client)
leases(client)
server_facts(client)
flush(client)
puts "#{$steps} steps, #{$faults} faults"
exit($faults.zero? ? 0 : 1)
