<?php
// php_memcached.php - everything that PHP's memcached extension offers, on one server.
//
//     php php_memcached.php HOST PORT ascii|binary [USER PASSWORD]
//
// Prints a line per step, `name = value`, with ` !! not EXPECTED` behind what is not as it must be; the status is 1 then.
error_reporting(E_ALL & ~E_WARNING & ~E_DEPRECATED);
[, $host, $port, $mode, $user, $password] = array_pad($argv, 6, null);
$is_binary = $mode === "binary";
$steps = $faults = 0;

function text($value) {
    return is_string($value) && strlen($value) > 200 ? strlen($value) . " bytes " . md5($value) : str_replace("\n", " ", var_export($value, true));
}

function expect($name, $actual, $expected) {
    global $steps, $faults;
    $steps++;
    $wrong = $actual != $expected || gettype($actual) !== gettype($expected);
    $faults += $wrong;
    echo "$name = ", text($actual), $wrong ? " !! not " . text($expected) : "", "\n";
}

// What a call returned, and the result code behind it.
function expect_code($name, $client, $actual, $code) {
    expect($name, [$actual, $client->getResultCode()], [$code === Memcached::RES_SUCCESS, $code]);
}

function connect($options = []) {
    global $host, $port, $is_binary, $user, $password;
    $client = new Memcached();
    $client->setOption(Memcached::OPT_BINARY_PROTOCOL, $is_binary);
    $client->setOption(Memcached::OPT_TCP_NODELAY, true);
    $client->setOption(Memcached::OPT_POLL_TIMEOUT, 20000);
    if ($user !== null) {
        $client->setSaslAuthData($user, $password);
    }
    expect("options", $client->setOptions($options), true);
    $client->addServer($host, (int)$port);
    return $client;
}

function storage($client, $is_binary) {
    $there = $is_binary ? Memcached::RES_DATA_EXISTS : Memcached::RES_NOTSTORED;
    $absent = $is_binary ? Memcached::RES_NOTFOUND : Memcached::RES_NOTSTORED;
    expect_code("get absent", $client, $client->get("absent"), Memcached::RES_NOTFOUND);
    expect("get by callback", $client->get("called", function ($client, $key, &$value) { $value = "of $key"; return true; }), "of called");
    expect("get what it stored", $client->get("called"), "of called");
    expect_code("set", $client, $client->set("k", "value"), Memcached::RES_SUCCESS);
    expect("get", $client->get("k"), "value");
    expect_code("add there", $client, $client->add("k", "x"), $there);
    expect_code("add", $client, $client->add("added", "a", 1000), Memcached::RES_SUCCESS);
    expect_code("replace", $client, $client->replace("added", "b"), Memcached::RES_SUCCESS);
    expect_code("replace absent", $client, $client->replace("absent", "x"), $absent);
    $client->setOption(Memcached::OPT_COMPRESSION, false);
    expect_code("append", $client, $client->append("k", "-end"), Memcached::RES_SUCCESS);
    expect_code("prepend", $client, $client->prepend("k", "start-"), Memcached::RES_SUCCESS);
    expect_code("append absent", $client, $client->append("absent", "x"), Memcached::RES_NOTSTORED);
    expect_code("prepend absent", $client, $client->prepend("absent", "x"), Memcached::RES_NOTSTORED);
    $client->setOption(Memcached::OPT_COMPRESSION, true);
    expect("get joined", $client->get("k"), "start-value-end");
    expect_code("delete", $client, $client->delete("k"), Memcached::RES_SUCCESS);
    expect_code("delete again", $client, $client->delete("k"), Memcached::RES_NOTFOUND);
    expect("user flags", $client->setOption(Memcached::OPT_USER_FLAGS, 4711) && $client->set("flagged", "f"), true);
    expect("get user flags", $client->get("flagged", null, Memcached::GET_EXTENDED)["flags"], 4711);
    $client->setOption(Memcached::OPT_USER_FLAGS, -1);
}

function by_key($client, $is_binary) {
    expect("set by key", $client->setByKey("server", "g", "1"), true);
    expect("add by key", $client->addByKey("server", "g", "2"), false);
    expect("replace by key", $client->replaceByKey("server", "g", "2"), true);
    $client->setOption(Memcached::OPT_COMPRESSION, false);
    expect("append by key", $client->appendByKey("server", "g", "0"), true);
    expect("prepend by key", $client->prependByKey("server", "g", "1"), true);
    $client->setOption(Memcached::OPT_COMPRESSION, true);
    expect("get by key", $client->getByKey("server", "g"), "120");
    $client->setByKey("server", "n", 120);
    expect("increment by key", $client->incrementByKey("server", "n", 10), 130);
    expect("decrement by key", $client->decrementByKey("server", "n", 7), 123);
    expect("touch by key", $client->touchByKey("server", "g", 1000), true);
    expect("set multi by key", $client->setMultiByKey("server", ["a" => 1, "b" => [2]]), true);
    expect("get multi by key", $client->getMultiByKey("server", ["a", "b", "absent"]), ["a" => 1, "b" => [2]]);
    expect("get delayed by key", $client->getDelayedByKey("server", ["a"]), true);
    expect("fetch all by key", array_column($client->fetchAll(), "value", "key"), ["a" => 1]);
    $token = $client->getByKey("server", "a", null, Memcached::GET_EXTENDED)["cas"];
    expect("cas by key", $client->casByKey($token, "server", "a", 3), true);
    expect("delete multi by key", $client->deleteMultiByKey("server", ["a", "absent"]), ["a" => true, "absent" => Memcached::RES_NOTFOUND]);
    expect("delete by key", $client->deleteByKey("server", "g"), true);
    expect("server by key", $client->getServerByKey("server")["weight"] ?? 0, $client->getServerByKey("other")["weight"] ?? 0);
}

function cas($client) {
    $client->set("k", ["one"]);
    $found = $client->get("k", null, Memcached::GET_EXTENDED);
    expect("extended get", $found["value"], ["one"]);
    expect("a token is not 0", $found["cas"] != 0, true);
    expect("a token stands", $client->get("k", null, Memcached::GET_EXTENDED)["cas"] == $found["cas"], true);
    expect_code("cas", $client, $client->cas($found["cas"], "k", ["two"]), Memcached::RES_SUCCESS);
    expect_code("cas again", $client, $client->cas($found["cas"], "k", ["three"]), Memcached::RES_DATA_EXISTS);
    expect("get cas", $client->get("k"), ["two"]);
    expect_code("cas absent", $client, $client->cas($found["cas"], "absent", 1), Memcached::RES_NOTFOUND);
}

function counters($client, $is_binary) {
    $client->set("n", 10);
    expect("increment", $client->increment("n", 5), 15);
    expect("increment by one", $client->increment("n"), 16);
    expect("decrement", $client->decrement("n", 3), 13);
    expect("get counter", $client->get("n"), 13);
    expect("decrement below 0", $client->decrement("n", 100), 0);
    expect_code("increment absent", $client, $client->increment("absent", 1), Memcached::RES_NOTFOUND);
    $client->set("text", "abc");
    expect("increment text", $client->increment("text", 1), false);
    echo "increment text code = ", $client->getResultMessage(), "\n";
    expect("text stays", $client->get("text"), "abc");
    if ($is_binary) {
        expect("increment with initial", $client->increment("i", 3, 40, 1000), 40);
        expect("increment with initial again", $client->increment("i", 3, 40, 1000), 43);
        expect("decrement with initial", $client->decrement("d", 3, 9), 9);
        expect("decrement with initial again", $client->decrement("d", 3, 9), 6);
        expect("by key with initial", $client->incrementByKey("server", "j", 1, 7), 7);
        expect("get initial", $client->get("i"), "43");
    } else {
        expect("initial needs binary", $client->increment("i", 3, 40), false);
    }
}

function many($client) {
    $items = [];
    for ($i = 0; $i < 300; $i++) {
        $items["many-$i"] = [$i, "value $i"];
    }
    expect("set multi", $client->setMulti($items, 1000), true);
    expect("get multi", $client->getMulti(array_keys($items + ["absent" => 1])), $items);
    expect("get multi in order", array_keys($client->getMulti(["many-3", "absent", "many-1"], Memcached::GET_PRESERVE_ORDER)),
           ["many-3", "absent", "many-1"]);
    expect("extended get multi", array_map(fn($found) => $found["value"], $client->getMulti(["many-1", "many-2"], Memcached::GET_EXTENDED)),
           array_slice($items, 1, 2));
    expect("get delayed", $client->getDelayed(["many-1", "many-2", "absent"], true), true);
    $first = $client->fetch();
    expect("fetch", [$first["key"], $first["value"], $first["cas"] != 0], ["many-1", $items["many-1"], true]);
    expect("fetch all", array_column($client->fetchAll(), "value"), [$items["many-2"]]);
    $seen = [];
    $client->getDelayed(["many-5", "many-6"], false, function ($client, $item) use (&$seen) { $seen[] = $item["key"]; });
    expect("get delayed by callback", $seen, ["many-5", "many-6"]);
    expect("delete multi", $client->deleteMulti(["many-1", "many-2", "absent"]),
           ["many-1" => true, "many-2" => true, "absent" => Memcached::RES_NOTFOUND]);
    expect("get multi behind it", array_keys($client->getMulti(["many-0", "many-1", "many-2", "many-3"])), ["many-0", "many-3"]);
}

function values($client, $is_binary) {
    $serializers = ["php" => Memcached::SERIALIZER_PHP, "igbinary" => Memcached::SERIALIZER_IGBINARY, "json" => Memcached::SERIALIZER_JSON,
                    "json array" => Memcached::SERIALIZER_JSON_ARRAY, "msgpack" => Memcached::SERIALIZER_MSGPACK];
    $object = new stdClass();
    $object->name = "object";
    $values = ["text" => "text", "empty" => "", "unicode" => "grüße ☃", "bytes" => "\0\xff\r\nEND\r\n", "int" => 42, "negative" => -7,
               "largest" => PHP_INT_MAX, "float" => 1.5, "true" => true, "false" => false, "null" => null, "list" => [1, "two", [3.5]],
               "map" => ["a" => ["b" => 1]], "object" => $object, "long" => str_repeat("abc", 100000), "noise" => random_text(30000)];
    foreach ($serializers as $name => $serializer) {
        $client->setOption(Memcached::OPT_SERIALIZER, $serializer);
        foreach ($values as $type => $value) {
            $back = $name === "json" && is_array($value) ? json_decode(json_encode($value))
                : ($name === "json array" && is_object($value) ? (array)$value : $value);
            expect("$name: set $type", $client->set("v-$type", $value), true);
            $found = $client->get("v-$type", null, Memcached::GET_EXTENDED);
            expect("$name: get $type", $found["value"] ?? null, $back);
            echo "$name: user flags of $type = ", $found["flags"] ?? "none", "\n";
        }
    }
    $client->setOption(Memcached::OPT_SERIALIZER, Memcached::SERIALIZER_PHP);
    foreach (["fastlz" => Memcached::COMPRESSION_FASTLZ, "zlib" => Memcached::COMPRESSION_ZLIB] as $name => $type) {
        $client->setOption(Memcached::OPT_COMPRESSION_TYPE, $type);
        expect("$name: set", $client->set("packed", $values["long"]), true);
        expect("$name: get", $client->get("packed"), $values["long"]);
    }
}

// Text that does not compress, the same each time.
function random_text($size) {
    $text = "";
    for ($i = 0; strlen($text) < $size; $i++) {
        $text .= sha1("noise $i", true);
    }
    return substr($text, 0, $size);
}

function expiry($client, $is_binary) {
    expect("set for long", $client->set("t", "v", 1000), true);
    expect("set until", $client->set("u", "v", time() + 3000000), true);
    expect("set past", $client->set("p", "v", -1), true);
    expect("get for long", $client->get("t"), "v");
    expect("get until", $client->get("u"), "v");
    // In binary -1 is sent as 2^32 - 1: a time far ahead.
    expect("get past", $client->get("p"), $is_binary ? "v" : false);
    expect("set at a past time", $client->set("p", "v", time() - 1000), true);
    expect("get past time", $client->get("p"), false);
    expect_code("touch", $client, $client->touch("t", 2000), Memcached::RES_SUCCESS);
    expect_code("touch absent", $client, $client->touch("absent", 10), Memcached::RES_NOTFOUND);
    expect("touch into the past", $client->touch("u", time() - 1000), true);
    expect("get past touch", $client->get("u"), false);
    $client->set("s", "v", 1);
    $deadline = microtime(true) + 20;
    while ($client->get("s") !== false && microtime(true) < $deadline) {
        usleep(20000);
    }
    expect("get behind a second", $client->get("s"), false);
}

function keys_and_sizes($client, $is_binary) {
    $longest = str_repeat("k", 250);
    expect("longest key", $client->set($longest, "v"), true);
    expect("get longest key", $client->get($longest), "v");
    expect_code("key too long", $client, $client->set($longest . "k", "v"), Memcached::RES_BAD_KEY_PROVIDED);
    expect_code("empty key", $client, $client->get(""), Memcached::RES_BAD_KEY_PROVIDED);
    expect("odd key", $client->set("!\"\$%&/()=?{[]}\\'#+*~<>|;:,._-^", "odd"), true);
    expect("get odd key", $client->get("!\"\$%&/()=?{[]}\\'#+*~<>|;:,._-^"), "odd");
    // The extension sends such keys in binary only.
    foreach (["a b", "grüße-☃"] as $key) {
        $code = $is_binary ? Memcached::RES_SUCCESS : Memcached::RES_BAD_KEY_PROVIDED;
        expect_code("key of binary", $client, $client->set($key, "v$key"), $code);
        expect("get key of binary", $client->get($key), $is_binary ? "v$key" : false);
    }
    expect("check key", $client->checkKey("green"), true);
    $client->setOption(Memcached::OPT_COMPRESSION, false);
    expect("large", $client->set("large", str_repeat("x", 1048576 - 300)), true);
    expect("get large", strlen($client->get("large")), 1048576 - 300);
    expect_code("too large", $client, $client->set("large", str_repeat("x", 1048577)), Memcached::RES_E2BIG);
    expect("too large takes the old value away", $client->get("large"), false);
    $client->setOption(Memcached::OPT_COMPRESSION, true);
    expect("prefix", $client->setOption(Memcached::OPT_PREFIX_KEY, "space:"), true);
    $client->set("k", "within");
    expect("get within", $client->get("k"), "within");
    expect("get multi within", $client->getMulti(["k"]), ["k" => "within"]);
    $client->setOption(Memcached::OPT_PREFIX_KEY, "");
    expect("get from outside", $client->get("space:k"), "within");
}

function quiet($client) {
    $client->setOption(Memcached::OPT_NOREPLY, true);
    for ($i = 0; $i < 300; $i++) {
        $client->set("quiet-$i", "v$i");
    }
    $client->delete("quiet-3");
    $client->replace("quiet-4", "new");
    $client->flushBuffers();
    expect("quiet set", $client->get("quiet-299"), "v299");
    expect("quiet delete", $client->get("quiet-3"), false);
    expect("quiet replace", $client->get("quiet-4"), "new");
    $client->setOption(Memcached::OPT_NOREPLY, false);
    $client->setOption(Memcached::OPT_BUFFER_WRITES, true);
    for ($i = 0; $i < 300; $i++) {
        $client->set("buffer-$i", "v$i");
    }
    expect("flush buffers", $client->flushBuffers(), true);
    expect("buffered set", $client->get("buffer-299"), "v299");
    $client->setOption(Memcached::OPT_BUFFER_WRITES, false);
}

function server_facts($client) {
    $stats = current($client->getStats() ?: [[]]);
    expect("stats", ($stats["cmd_set"] ?? 0) > 300 && ($stats["get_hits"] ?? 0) > 300 && isset($stats["curr_items"], $stats["uptime"]), true);
    expect("settings", count(current($client->getStats("settings") ?: [[]])) > 5, true);
    expect("version", preg_match('/^\d+\.\d+\.\d+$/', current($client->getVersion() ?: [""])), 1);
    expect("servers", count($client->getServerList()), 1);
    expect("quit", $client->quit(), true);
    expect("get behind quit", $client->get("added"), "b");
}

function flush_all($client) {
    expect_code("flush", $client, $client->flush(), Memcached::RES_SUCCESS);
    expect("get flushed", $client->getMulti(["k", "added", "many-5"]), []);
    expect("set behind flush", $client->set("k", "v"), true);
    expect("get behind flush", $client->get("k"), "v");
    expect("reset servers", $client->resetServerList() && $client->get("k") === false, true);
}

$client = connect();
foreach (["storage", "by_key", "cas", "counters", "many", "values", "expiry", "keys_and_sizes", "quiet", "server_facts"] as $part) {
    $part($client, $is_binary);
}
$ketama = connect([Memcached::OPT_LIBKETAMA_COMPATIBLE => true, Memcached::OPT_NO_BLOCK => true, Memcached::OPT_HASH => Memcached::HASH_MURMUR]);
expect("get with ketama", $ketama->get("added"), "b");
flush_all($client);
echo "$steps steps, $faults faults\n";
exit($faults ? 1 : 0);
