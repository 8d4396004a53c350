#!/bin/bash
# engine.sh - fetches and runs Redis, Valkey and memcached from several Debian suites, side by side, without touching the
# system's packages, apt sources or libraries. Everything lives under ENGINES_HOME (~/.cache/diglot-engines).
#
#   engine.sh list                          known engines
#   engine.sh fetch NAME|all                download and unpack (apt with a configuration of its own, signatures checked)
#   engine.sh version NAME                  what its binary says
#   engine.sh cmd NAME [server|cli|bench]   the command that runs it; for `make run ENGINE=…` and the tests
#   engine.sh start NAME PORT [ARGS...]     start on 127.0.0.1:PORT, print its pid (CPUS=0 pins it with taskset)
#   engine.sh stop NAME PORT                stop the process that start recorded
#   engine.sh cli NAME PORT [ARGS...]       redis-cli or valkey-cli on it
#   engine.sh unpack SUITE FOLDER PACKAGE...  put single packages of a suite, without what they depend on, into a folder
#
# MODE says how a binary finds the libraries of its own suite:
#   patchelf  a copy with its own loader and RPATH; right name in ps, perf and gdb (default where patchelf is installed)
#   loader    through its ld.so with --library-path; needs nothing installed
#   chroot    inside its folder; needs root, and paths in arguments are inside too
set -eu

home=${ENGINES_HOME:-$HOME/.cache/diglot-engines}
mode=${MODE:-$(command -v patchelf >/dev/null && echo patchelf || echo loader)}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
multiarch=$(uname -m)-linux-gnu

# name | kind | suite ("host": installed on this machine) | package, with its version where the suite moves on
engines='redis-7.0.15|redis|host|redis-server
memcached-1.6.18|memcached|host|memcached
valkey-8.0.1|valkey|bookworm-backports|valkey-server=8.0.1*
redis-8.0.2|redis|trixie|redis-server=5:8.0.2*
valkey-8.1.1|valkey|trixie|valkey-server=8.1.1*
memcached-1.6.38|memcached|trixie|memcached=1.6.38*
valkey-9.1.2|valkey|sid|valkey-server=9.*
redis-8.0.6|redis|sid|redis-server=5:8.*
memcached-1.6.45|memcached|sid|memcached=1.6.*'

die() {
    echo "engine.sh: $*" >&2
    exit 1
}

# field NAME kind|suite|package
field() {
    local row name kind suite package
    row=$(grep -F -m1 "$1|" <<<"$engines") || die "unknown engine '$1'; known are those of 'engine.sh list'"
    IFS='|' read -r name kind suite package <<<"$row"
    [ "$name" = "$1" ] || die "unknown engine '$1'; known are those of 'engine.sh list'"
    case $2 in kind) echo "$kind" ;; suite) echo "$suite" ;; package) echo "$package" ;; esac
}

# The Debian mirror that this machine uses already.
mirror() {
    # shellcheck disable=SC2016  # apt expands it
    apt-get indextargets --format '$(REPO_URI)' | grep -m1 '/debian/\?$' || echo http://deb.debian.org/debian
}

# apt_tree SUITE: an apt configuration and package lists of its own; prints the folder. Its dpkg status is empty, so that
# apt resolves the whole closure, libc6 included.
apt_tree() {
    local suite=$1 tree=$home/apt/$1
    echo "$tree"
    ls "$tree"/state/lists/*Packages* >/dev/null 2>&1 && return
    mkdir -p "$tree"/etc/{apt.conf.d,preferences.d,sources.list.d} "$tree"/state/lists/partial "$tree"/cache/archives/partial
    : >"$tree/status"
    echo "deb [signed-by=$keyring] $(mirror) $suite main" >"$tree/etc/sources.list"
    [ "$suite" != bookworm-backports ] || echo "deb [signed-by=$keyring] $(mirror) bookworm main" >>"$tree/etc/sources.list"
    cat >"$tree/apt.conf" <<END
Dir::Etc "$tree/etc"; Dir::Etc::SourceList "$tree/etc/sources.list"; Dir::Etc::SourceParts "$tree/etc/sources.list.d";
Dir::Etc::Parts "$tree/etc/apt.conf.d"; Dir::State "$tree/state"; Dir::State::Lists "$tree/state/lists";
Dir::State::status "$tree/status"; Dir::Cache "$tree/cache"; APT::Install-Recommends "false"; APT::Sandbox::User "root";
Acquire::Languages "none"; Acquire::Check-Valid-Until "false"; Acquire::Retries "3"; Debug::NoLocking "true";
END
    APT_CONFIG=$tree/apt.conf apt-get -qq update >&2
}

# unpack_closure ARCHIVES FOLDER: the packages listed in FOLDER/.closure that the binary may need at run time.
unpack_closure() {
    local archives=$1 folder=$2 package version deb
    while read -r package version; do
        case $package in
        lib* | zlib1g | openssl-provider-legacy | redis* | valkey* | memcached) ;;
        *) continue ;;
        esac
        deb=$archives/${package}_${version//:/%3a}
        deb=$(ls "$deb"_*.deb) || die "$package $version was not downloaded"
        dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink --no-same-owner -C "$folder"
    done <"$folder/.closure"
}

fetch() {
    local name=$1 suite package tree folder link
    suite=$(field "$name" suite) package=$(field "$name" package) folder=$home/engines/$name
    [ "$suite" != host ] || { echo "$name: the package of this machine"; return; }
    [ ! -e "$folder/.done" ] || { echo "$name: already in $folder"; return; }
    tree=$(apt_tree "$suite")
    APT_CONFIG=$tree/apt.conf apt-get -qq -y --download-only install "$package" libc6 >&2
    rm -rf "$folder"
    mkdir -p "$folder"/usr/{lib,lib64,bin,sbin} "$folder"/{tmp,proc,dev,etc,var/lib}
    for link in lib lib64 bin sbin; do ln -s "usr/$link" "$folder/$link"; done # as Debian merges them
    echo 'root:x:0:0:root:/:/bin/sh' >"$folder/etc/passwd"
    echo 'root:x:0:' >"$folder/etc/group"
    APT_CONFIG=$tree/apt.conf apt-get -s -y install "$package" libc6 |
        awk '/^Inst /{gsub(/[()]/, "", $3); print $2, $3}' >"$folder/.closure"
    unpack_closure "$tree/cache/archives" "$folder"
    touch "$folder/.done"
    echo "$name: $(du -sh "$folder" | cut -f1) in $folder"
}

# binary NAME server|cli|bench
binary() {
    local kind
    kind=$(field "$1" kind)
    case $kind,$2 in
    memcached,*) echo memcached ;;
    *,cli) echo "$kind-cli" ;;
    *,bench) echo "$kind-benchmark" ;;
    *) echo "$kind-server" ;;
    esac
}

# patched FOLDER BINARY LIBRARIES: a copy that runs with the libraries of its own folder; prints its path.
patched() {
    local copy=$1/patched/$2
    if [ ! -e "$copy" ]; then
        mkdir -p "$1/patched"
        cp -L "$1/usr/bin/$2" "$copy.new"
        patchelf --set-interpreter "$(loader "$1")" --force-rpath --set-rpath "$3" "$copy.new"
        mv "$copy.new" "$copy"
    fi
    echo "$copy"
}

loader() {
    ls "$1/usr/lib/$multiarch"/ld-linux-*.so.*
}

# command_of NAME [server|cli|bench]: the words that run it, on one line.
command_of() {
    local name=$1 folder=$home/engines/$1 binary libraries
    binary=$(binary "$name" "${2:-server}")
    [ "$(field "$name" suite)" != host ] || { echo "/usr/bin/$binary"; return; }
    [ -e "$folder/.done" ] || fetch "$name" >&2
    libraries=$folder/usr/lib/$multiarch:$folder/usr/lib:$folder/usr/lib/$multiarch/systemd
    case $mode in
    loader) echo "$(loader "$folder") --library-path $libraries $folder/usr/bin/$binary" ;;
    patchelf) patched "$folder" "$binary" "$libraries" ;;
    chroot) echo "env LC_ALL=C chroot $folder /usr/bin/$binary" ;;
    *) die "MODE is patchelf, loader or chroot" ;;
    esac
}

listens() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

start() {
    local name=$1 port=$2 run=$home/run/$1-$2 data words pid
    shift 2
    ! listens "$port" || die "port $port is taken"
    mkdir -p "$run"
    data=$run
    [ "$mode" != chroot ] || data=/tmp
    if [ "$(field "$name" kind)" = memcached ]; then
        set -- -u root -l 127.0.0.1 -p "$port" -U 0 "$@"
    else
        set -- --port "$port" --bind 127.0.0.1 --dir "$data" --save "" --appendonly no --daemonize no "$@"
    fi
    read -ra words <<<"${CPUS:+taskset -c $CPUS }$(command_of "$name")"
    cd "$run"
    setsid "${words[@]}" "$@" >"$run/log" 2>&1 </dev/null &
    pid=$!
    echo $pid >"$run/pid"
    for _ in $(seq 100); do
        listens "$port" && break
        kill -0 $pid 2>/dev/null || break
        sleep 0.05
    done
    sleep 0.05
    kill -0 $pid 2>/dev/null || { tail -20 "$run/log" >&2; die "$name did not start"; }
    echo $pid
}

stop() {
    local run=$home/run/$1-$2 pid
    pid=$(cat "$run/pid") || die "$1 was not started on port $2"
    kill "$pid" 2>/dev/null || true
    for _ in $(seq 100); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.05
    done
    kill -9 "$pid" 2>/dev/null || true
    rm -f "$run/pid"
}

# unpack SUITE FOLDER PACKAGE...: for packages that hold scripts or sources only. A package is NAME or NAME=VERSION*.
unpack() {
    local suite=$1 folder=$2 tree deb
    shift 2
    tree=$(apt_tree "$suite")
    rm -rf "$folder" "$folder.new"
    mkdir -p "$folder.new/.archives"
    (cd "$folder.new/.archives" && APT_CONFIG=$tree/apt.conf apt-get -qq download "$@" >&2)
    for deb in "$folder.new/.archives"/*.deb; do
        dpkg-deb --fsys-tarfile "$deb" | tar -x --no-same-owner -C "$folder.new"
    done
    rm -rf "$folder.new/.archives"
    mv "$folder.new" "$folder"
}

fetch_all() {
    local name
    cut -d'|' -f1 <<<"$engines" | while read -r name; do fetch "$name"; done
}

mkdir -p "$home/engines" "$home/run"
# A wrong name ends here, not in the middle of something.
case ${1:-} in fetch | cmd | version | start | stop | cli) [ "${2:-}" = all ] || field "${2:-}" kind >/dev/null ;; esac
case ${1:-} in
list) echo "$engines" ;;
fetch) if [ "$2" = all ]; then fetch_all; else fetch "$2"; fi ;;
cmd) command_of "$2" "${3:-server}" ;;
version) $(command_of "$2") --version ;;
start | stop | unpack) "$@" ;;
cli)
    name=$2 port=$3
    shift 3
    # shellcheck disable=SC2046  # a list of words
    exec $(command_of "$name" cli) -p "$port" "$@"
    ;;
*) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" ;;
esac
