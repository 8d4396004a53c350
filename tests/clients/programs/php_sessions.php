<?php
// php_sessions.php - PHP's sessions in memcached (session.save_handler=memcached), on one server.
//
//     php php_sessions.php HOST PORT ascii|binary [USER PASSWORD]
//
// Runs itself for each request of a browser, in processes of their own (php_sessions.php … request NAME), since a PHP process
// has one session at a time. Prints a line per step, `name = value`, with ` !! not EXPECTED` behind what is not as it must be;
// the status is 1 then.
$words = array_slice($argv, 1);
$request = array_search("request", $words, true);
[$host, $port, $mode, $user, $password] = array_pad(array_slice($words, 0, $request ?: null), 5, null);
$ID = "0123456789abcdef0123456789abcdef";

function configure($options = []) {
    global $host, $port, $mode, $user, $password;
    $options += ["session.save_handler" => "memcached", "session.save_path" => "$host:$port", "session.use_cookies" => "0",
                 "session.cache_limiter" => "", "memcached.sess_binary_protocol" => $mode === "binary" ? "1" : "0",
                 "memcached.sess_lock_wait_min" => "20", "memcached.sess_lock_wait_max" => "50", "memcached.sess_lock_retries" => "400",
                 "memcached.sess_lock_expire" => "60", "session.gc_maxlifetime" => "1000"];
    if ($user !== null) {
        $options += ["memcached.sess_sasl_username" => $user, "memcached.sess_sasl_password" => $password];
    }
    foreach ($options as $name => $value) {
        if (ini_set($name, $value) === false) {
            exit("cannot set $name\n");
        }
    }
}

// What the requests do; each prints what the steps below expect.
$requests = [
    "fill" => function () { $_SESSION["user"] = ["name" => "Ada", "rights" => [1, 2]]; $_SESSION["n"] = 0; return "filled"; },
    "read" => fn() => json_encode($_SESSION),
    "count" => function () { $n = $_SESSION["n"]; usleep(20000); $_SESSION["n"] = $n + 1; return "counted"; },
    "hold" => function () { echo "holding\n"; flush(); fgets(STDIN); $_SESSION["held"] = true; return "released"; },
    "large" => function () { $_SESSION["large"] = str_repeat("x", 1000000); return "large"; },
    "size" => fn() => (string)strlen($_SESSION["large"] ?? ""),
    "abort" => function () { $_SESSION["aborted"] = true; session_abort(); return "aborted"; },
    "regenerate" => fn() => session_regenerate_id(true) ? session_id() : "failed: " . (error_get_last()["message"] ?? "no reason"),
    "destroy" => fn() => session_destroy() ? "destroyed" : "failed",
];

if ($request !== false) {
    [, $name, $id, $options] = array_pad(array_slice($words, $request), 4, null);
    error_reporting(E_ALL & ~E_WARNING);
    configure(json_decode($options ?: "[]", true));
    session_id($id);
    if (!session_start()) {
        fwrite(STDERR, "no session: " . (error_get_last()["message"] ?? "no reason") . "\n");
        exit("no session\n");
    }
    echo $requests[$name](), "\n";
    exit(0);
}

$steps = $faults = 0;

function expect($name, $actual, $expected) {
    global $steps, $faults;
    $steps++;
    $wrong = $actual !== $expected;
    $faults += $wrong;
    echo "$name = ", json_encode($actual), $wrong ? " !! not " . json_encode($expected) : "", "\n";
}

function begin_request($name, $id, $options = []) {
    global $words;
    $command = array_merge([PHP_BINARY, __FILE__], $words, ["request", $name, $id, json_encode($options)]);
    $process = proc_open($command, [["pipe", "r"], ["pipe", "w"], STDERR], $pipes);
    return [$process, $pipes];
}

function end_request($request) {
    [$process, $pipes] = $request;
    fclose($pipes[0]);
    $output = trim(stream_get_contents($pipes[1]));
    return proc_close($process) === 0 ? $output : "failed: $output";
}

function browse($name, $id, $options = []) {
    return end_request(begin_request($name, $id, $options));
}

$raw = new Memcached();
$raw->setOption(Memcached::OPT_BINARY_PROTOCOL, $mode === "binary");
if ($user !== null) {
    $raw->setSaslAuthData($user, $password);
}
$raw->addServer($host, (int)$port);
$stored = '{"user":{"name":"Ada","rights":[1,2]},"n":0}';

expect("an empty session", browse("read", $ID), "[]");
expect("fill a session", browse("fill", $ID), "filled");
expect("read it", browse("read", $ID), $stored);
expect("its item", $raw->get("memc.sess.key.$ID"), 'user|a:2:{s:4:"name";s:3:"Ada";s:6:"rights";a:2:{i:0;i:1;i:1;i:2;}}n|i:0;');
expect("its lock is gone", $raw->get("memc.sess.key.lock.$ID"), false);
expect("an aborted request", browse("abort", $ID), "aborted");
expect("changed nothing", browse("read", $ID), $stored);

$counting = array_map(fn($i) => begin_request("count", $ID), range(1, 8));
expect("requests at once", array_map("end_request", $counting), array_fill(0, 8, "counted"));
expect("none was lost", json_decode(browse("read", $ID), true)["n"], 8);

$holder = begin_request("hold", $ID);
expect("a request holds the session", fgets($holder[1][1]), "holding\n");
expect("its lock", $raw->get("memc.sess.key.lock.$ID") !== false, true);
expect("nobody else gets it", browse("read", $ID, ["memcached.sess_lock_retries" => "3"]), "no session");
expect("but without locking", browse("read", $ID, ["memcached.sess_locking" => "0"]), '{"user":{"name":"Ada","rights":[1,2]},"n":8}');
expect("let go", end_request($holder), "released");
expect("read behind it", json_decode(browse("read", $ID), true)["held"], true);

$raw->set("memc.sess.key.lock.$ID", "1", 1);
expect("a lock that expires", json_decode(browse("read", $ID), true)["n"], 8);

expect("large", browse("large", $ID), "large");
expect("get large", browse("size", $ID), "1000000");
$prefix = ["memcached.sess_prefix" => "other."];
expect("another prefix", browse("fill", $ID, $prefix) . browse("read", $ID, $prefix), "filled$stored");
expect("its key", is_string($raw->get("other.$ID")), true);
$new = browse("regenerate", $ID, $prefix);
expect("a new id", preg_match('/^[0-9a-zA-Z,-]{20,}$/', $new) && $new !== $ID ? true : $new, true);
expect("the old session is gone", $raw->get("other.$ID"), false);
expect("the new one is there", browse("read", $new, $prefix), $stored);
expect("strict mode refuses an id that nobody gave", browse("read", "fedcba9876543210fedcba9876543210", ["session.use_strict_mode" => "1"]), "[]");
expect("lazy write touches", browse("read", $ID, ["session.lazy_write" => "1"]) !== "no session", true);
expect("other serializer", browse("fill", "aaaa", ["session.serialize_handler" => "php_serialize"])
       . browse("read", "aaaa", ["session.serialize_handler" => "php_serialize"]), "filled$stored");
expect("consistent hash", browse("read", $new, $prefix + ["memcached.sess_consistent_hash" => "0"]), $stored);
expect("destroy", browse("destroy", $ID), "destroyed");
expect("its item is gone", $raw->get("memc.sess.key.$ID"), false);
expect("read a destroyed session", browse("read", $ID), "[]");
echo "$steps steps, $faults faults\n";
exit($faults ? 1 : 0);
