#!/bin/sh
# What a Debian machine does with the package, from its first day to its last. Runs in a system of its own, as root, under
# systemd; see xtask/src/dist/install.rs.
set -eu
export DEBIAN_FRONTEND=noninteractive
cd /pdns-test

tree() {
    # Users, and what dpkg, systemd and the other services write by themselves, are not the package's.
    find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /dev -o -path /tmp -o -path /pdns-test \
        -o -path /var/log -o -path /var/cache -o -path /var/lib/dpkg -o -path /var/lib/systemd -o -path /var/tmp \
        -o -path /var/lib/redis -o -path /root \) -prune -o -print | grep -v -E '^/etc/(passwd|group|shadow|gshadow|subuid|subgid)-?$|^/etc/\.pwd\.lock$' | sort
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
# What the units said, where something went wrong.
end() {
    code=$?
    if [ "$code" != 0 ]; then
        journalctl --no-pager --lines=60 --unit=pdns-redis --unit=pdns-agent --unit=pdns-serve || true
    fi
}
trap end EXIT
ok() { echo "ok: $*"; }
# As somebody of the group pdns asks.
ask() { setpriv --reuid=nobody --regid=nogroup --groups="$(getent group pdns | cut -d: -f3)" env PDNS_REDIS=redis+unix:///run/pdns/redis.sock pdns "$@"; }
property() { systemctl show --property="$2" --value "$1"; }

tree > before
dpkg -i first.deb
systemctl is-active pdns-redis
systemctl is-enabled pdns-redis
if systemctl is-enabled pdns-agent || systemctl is-enabled pdns-serve; then exit 1; fi
if systemctl is-active pdns-agent || systemctl is-active pdns-serve; then exit 1; fi
ok "installed: the store runs, the agent and the server wait for an administrator"

test "$(stat -c '%U %a' /var/lib/pdns)" = "pdns-redis 700"
test "$(stat -c '%U:%G %a' /run/pdns/redis.sock)" = "pdns-redis:pdns 770"
test "$(stat -c '%G %a' /etc/pdns)" = "pdns-serve 2755"
for word in FLUSHALL "CONFIG SET dir /tmp" SHUTDOWN "FUNCTION FLUSH" "SET elsewhere x"; do
    # shellcheck disable=SC2086
    redis-cli -s /run/pdns/redis.sock $word | grep -q NOPERM
done
if setpriv --reuid=nobody --regid=nogroup --clear-groups redis-cli -s /run/pdns/redis.sock PING; then exit 1; fi
ok "the store: who is not in the group cannot connect, and who is cannot empty it"

mkdir -p /srv/zeek
printf '{"ts":1700000000.5,"uid":"C1","id.orig_h":"10.0.0.1","id.orig_p":5000,"id.resp_h":"10.0.0.2","id.resp_p":53,"proto":"udp","query":"www.example.com","qclass":1,"qclass_name":"C_INTERNET","qtype":1,"qtype_name":"A","rcode":0,"rcode_name":"NOERROR","AA":false,"TC":false,"RD":true,"RA":true,"Z":0,"answers":["192.0.2.7"],"TTLs":[300.0],"rejected":false}\n' > /srv/zeek/dns.log
sed -i 's,^#paths = .*,paths = ["/srv/zeek"],; s,^#interfaces = .*,interfaces = ["lo"],' /etc/pdns/agent.toml
echo PDNS_SOURCE=zeek > /etc/default/pdns-agent
systemctl enable --now pdns-agent
wait_for ask www.example.com
ask www.example.com --format plain | grep -q '192.0.2.7'
pid=$(property pdns-agent MainPID)
test "$(stat -c %U "/proc/$pid")" = pdns-agent
ok "the agent follows Zeek's logs into the store"

systemctl start pdns-serve
wait_for curl -fsS http://127.0.0.1:8953/healthz
curl -fsS http://127.0.0.1:8953/pdns/query/192.0.2.7 | grep -q '"www.example.com"'
test "$(stat -c %U "/proc/$(property pdns-serve MainPID)")" = pdns-serve
ok "the server answers"

key=$(pdns serve user add alice)
chmod 640 /etc/pdns/users.toml
systemctl restart pdns-serve
wait_for curl -fsS -H "X-API-Key: $key" http://127.0.0.1:8953/pdns/query/192.0.2.7
test "$(curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8953/pdns/query/192.0.2.7)" = 401
pdns serve user add bob > /dev/null
test "$(stat -c '%G %a' /etc/pdns/users.toml)" = "pdns-serve 640"
ok "the server knows its users, whom nobody else can read"

ask tag set threat '*.example.com' --note 'seen'
ask export --tag threat --format zeek-intel | grep -q '^www.example.com	Intel::DOMAIN	pdns	'
ok "a list for Zeek"

systemctl stop pdns-agent
echo PDNS_SOURCE=ebpf > /etc/default/pdns-agent
systemctl start pdns-agent
sleep 2
systemctl is-active pdns-agent
pid=$(property pdns-agent MainPID)
grep -q '^CapEff:	0000000000000000$' "/proc/$pid/status"
systemctl show -p NRestarts --value pdns-agent | grep -qx 0
ok "the agent captures under its unit, and keeps no capability"

# A crash in the middle of a write: half a transaction at the end of the file.
systemctl kill --signal=KILL pdns-redis
wait_for systemctl is-active pdns-redis
systemctl stop pdns-redis
file=$(ls /var/lib/pdns/appendonlydir/*.incr.aof)
size=$(stat -c %s "$file")
# shellcheck disable=SC2016  # Redis' lengths, no variables.
printf '*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$4\r\npd:x\r\n$1\r\n' >> "$file"
systemctl start pdns-redis
test "$(stat -c %s "$file")" = "$size"
wait_for ask www.example.com
ok "a torn write is mended before the store starts"

echo '# ours' >> /etc/pdns/serve.toml
systemctl disable pdns-redis
dpkg -i next.deb
systemctl is-active pdns-redis pdns-agent pdns-serve
if systemctl is-enabled pdns-redis; then exit 1; fi
grep -q '^# ours$' /etc/pdns/serve.toml
wait_for ask www.example.com
ask status --format plain | grep -q -P '^records\t1$'
dpkg -s pdns | grep -q '^Version: .*+next$'
ok "upgraded: data, settings and what was switched off stay, and all runs again"

dpkg -r pdns
if systemctl is-active pdns-redis || systemctl is-active pdns-agent || systemctl is-active pdns-serve; then exit 1; fi
test -d /var/lib/pdns/appendonlydir
test -f /etc/pdns/users.toml
ok "removed: what was gathered stays"

dpkg -P pdns
rm -rf /srv/zeek
tree > after
diff before after
ok "purged: no trace but the users"
