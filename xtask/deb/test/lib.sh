# shellcheck shell=sh
# What the tests of the package share. They run in a system of their own, as root, under systemd: see xtask/src/dist/install.rs.
set -eu
export DEBIAN_FRONTEND=noninteractive

tree() {
    # Users, and what dpkg, systemd and the other services write by themselves, are not the package's.
    find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /dev -o -path /tmp -o -path /pdns-test \
        -o -path /var/log -o -path /var/cache -o -path /var/lib/dpkg -o -path /var/lib/systemd -o -path /var/tmp \
        -o -path /var/lib/redis -o -path /var/lib/sudo -o -path /root \) -prune -o -print | grep -v -E '^/etc/(passwd|group|shadow|gshadow|subuid|subgid)-?$|^/etc/\.pwd\.lock$' | sort
}
wait_for() {
    tries=0
    until "$@" >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ "$tries" -gt 150 ]; then
            echo "in vain: $*"
            exit 1
        fi
        sleep 0.1
    done
}
# Says what the units logged, where something went wrong.
end() {
    code=$?
    if [ "$code" != 0 ]; then
        journalctl --no-pager --lines=60 --unit=pdns-redis --unit=pdns-agent --unit=pdns-serve || true
    fi
}
trap end EXIT
ok() { echo "ok: $*"; }
property() { systemctl show --property="$2" --value "$1"; }

# ann is in the group pdns and may use sudo; bob is neither.
make_people() {
    for name in ann bob; do
        id "$name" >/dev/null 2>&1 || useradd --create-home "$name"
    done
    echo 'ann ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/ann
}
as() {
    name=$1
    shift
    (cd / && exec runuser --login "$name" --command "$*")
}
ask() { as ann pdns "$@"; }

# A command to the package's store as one of its users: store analyst GET x.
store() {
    case $1 in server) user=pdns-serve ;; *) user=pdns-$1 ;; esac
    REDISCLI_AUTH=$(cat "/etc/pdns/redis/$1.password")
    export REDISCLI_AUTH
    shift
    redis-cli -s /run/pdns/redis.sock --user "$user" --no-auth-warning "$@"
}
# What no user of the store may do, and what those who do not write records may not.
check_rights() {
    redis-cli -s /run/pdns/redis.sock HGETALL pd:schema | grep -q NOAUTH
    redis-cli -s /run/pdns/redis.sock --user default -a '' --no-auth-warning HGETALL pd:schema 2>&1 | grep -q -E 'WRONGPASS|NOAUTH'
    for user in agent server analyst; do
        for words in "DEL pd:schema" "UNLINK pd:schema" "RENAME pd:schema pd:x" "EXPIRE pd:schema 1" "SET pd:schema x" "GETDEL pd:schema" \
            "RESTORE pd:x 0 x" FLUSHALL FLUSHDB "CONFIG SET dir /tmp" "CONFIG GET requirepass" SHUTDOWN "FUNCTION FLUSH" "FUNCTION DELETE pdns" "ACL LIST" "ACL GETUSER pdns-agent" \
            "KEYS pd:x" "HSET elsewhere a b" "CLIENT LIST" "REPLICAOF NO ONE" "SAVE" "BGREWRITEAOF"; do
            # shellcheck disable=SC2086  # A command and its arguments.
            store "$user" $words | grep -q NOPERM
        done
    done
    store agent EVAL "return 1" 0 | grep -q NOPERM
    for user in server analyst; do
        # Functions that others call are not theirs to make; their own scripts may do what they may.
        store "$user" FUNCTION LOAD REPLACE "$(printf '#!lua name=pdns\nredis.register_function("f", function() return 1 end)')" | grep -q NOPERM
        store "$user" FCALL f 0 | grep -q NOPERM
        store "$user" EVAL "return redis.call('DEL', 'pd:schema')" 0 | grep -q -E "NOPERM|can't (run|access)|permission"
        for words in "HSET pd:x a b" "HDEL pd:schema v" "RPUSH pd:x a" "SADD pd:x a" "SETRANGE pd:x 0 a" "SPOP pd:x"; do
            # shellcheck disable=SC2086
            store "$user" $words | grep -q NOPERM
        done
        store "$user" HGET pd:schema v | grep -q '[0-9]'
    done
    # The keeper deletes keys, of the store alone.
    for words in "UNLINK elsewhere" "RENAME pd:schema pd:x" FLUSHALL "CONFIG SET dir /tmp" "FUNCTION FLUSH" "ACL LIST" SAVE; do
        # shellcheck disable=SC2086
        store keeper $words | grep -q NOPERM
    done
    store agent HGET pd:schema v | grep -q '[0-9]'
    store agent HSCAN pd:schema 0 | grep -q NOPERM
}
# Who can read which password.
check_passwords() {
    test "$(stat -c '%U:%G %a' /etc/pdns/redis/agent.password)" = "root:pdns-agent 640"
    test "$(stat -c '%U:%G %a' /etc/pdns/redis/server.password)" = "root:pdns-serve 640"
    test "$(stat -c '%U:%G %a' /etc/pdns/redis/analyst.password)" = "root:pdns 640"
    test "$(stat -c '%U:%G %a' /etc/pdns/redis/keeper.password)" = "root:pdns-keeper 640"
    test "$(stat -c '%U:%G %a' /etc/pdns/redis/users.conf)" = "root:pdns-redis 640"
    test "$(cat /etc/pdns/redis/*.password | sort -u | wc -l)" = 4
    for file in agent server analyst keeper; do
        if as bob cat /etc/pdns/redis/$file.password; then exit 1; fi
    done
}

# A store of root's own in /var/lib/pdns, as `managed:` of earlier versions made it, with its server.
start_root_store() {
    mkdir -p /var/lib/pdns
    cat > /var/lib/pdns/redis.conf <<'CONF'
port 0
unixsocketperm 700
daemonize no
appendonly yes
appendfsync everysec
save ""
aof-use-rdb-preamble yes
dir "/var/lib/pdns"
unixsocket "/var/lib/pdns/redis.sock"
logfile "/var/lib/pdns/redis.log"
CONF
    setsid redis-server /var/lib/pdns/redis.conf >/dev/null 2>&1 &
    wait_for redis-cli -s /var/lib/pdns/redis.sock PING
}
answers() { redis-cli -s "$1" PING >/dev/null 2>&1; }

row() { # TIME NAME ADDRESS: a row of Zeek's dns.log.
    printf '{"ts":%s,"uid":"C1","id.orig_h":"10.0.0.1","id.orig_p":5000,"id.resp_h":"10.0.0.2","id.resp_p":53,"proto":"udp","query":"%s","qclass":1,"qclass_name":"C_INTERNET","qtype":1,"qtype_name":"A","rcode":0,"rcode_name":"NOERROR","AA":false,"TC":false,"RD":true,"RA":true,"Z":0,"answers":["%s"],"TTLs":[300.0],"rejected":false}\n' "$1" "$2" "$3"
}
