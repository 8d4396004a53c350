#!/bin/bash
# run.sh - installs what is missing, builds, and starts Redis or Valkey with the module in the foreground.
#   RESP_PORT (6379), MEMCACHED_PORT (11211): ports that are taken are passed over for the next free ones
#   ENGINE (redis-server): the server to start        ARGS: more options for it, e.g. "--diglot.io-threads 2"
# The first line on standard output says which ports are used; the server's log follows it.
# Items live until the server stops, unless SAVE or BGSAVE has written build/run/PORT/dump.rdb.
set -eu
cd "$(dirname "$0")/.."
unset MAKEFLAGS MFLAGS

is_taken() {
    # Loopback, both families: a server bound to any address answers there.
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null || (exec 3<>"/dev/tcp/::1/$1") 2>/dev/null
}

# next_free PORT [NOT_THIS_ONE]
next_free() {
    local port=$1
    while is_taken "$port" || [ "$port" = "${2:-}" ]; do port=$((port + 1)); done
    echo "$port"
}

# says PORT WANTED
says() {
    [ "$1" = "$2" ] && echo "127.0.0.1:$1" || echo "127.0.0.1:$1 ($2 is taken)"
}

echo "diglot: installing what is missing, and building: a minute or two the first time" >&2
make -s deps >&2
make -s -j"$(nproc)" all >&2

# The packages are installed by now: on a fresh machine that may have started a server on 6379.
# ENGINE is a path, or, as scripts/engine.sh prints it, a command of several words.
engine=("${ENGINE:-redis-server}")
command -v "${engine[0]}" >/dev/null || read -ra engine <<<"${engine[0]}"
command -v "${engine[0]}" >/dev/null || { echo "diglot: there is no server at '$ENGINE'; set ENGINE to one." >&2; exit 1; }
wanted_resp=${RESP_PORT:-6379} wanted_memcached=${MEMCACHED_PORT:-11211}
resp=$(next_free "$wanted_resp")
memcached=$(next_free "$wanted_memcached" "$resp")
data=$PWD/build/run/$resp
mkdir -p "$data"

echo "diglot: RESP on $(says "$resp" "$wanted_resp"), memcached on $(says "$memcached" "$wanted_memcached") — stop with Ctrl-C"
# shellcheck disable=SC2086  # ARGS is a list of words
exec "${engine[@]}" --port "$resp" --bind 127.0.0.1 -::1 --dir "$data" --save "" --appendonly no --daemonize no \
    --loadmodule "$PWD/build/diglot.so" --diglot.port "$memcached" ${ARGS:-}
