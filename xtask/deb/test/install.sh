#!/bin/sh
# What a Debian machine does with the package, from its first day to its last.
# shellcheck source-path=SCRIPTDIR
. ./lib.sh

make_people
tree > before
# Root used pdns before there was the package.
start_root_store
dpkg-deb --extract first.deb /tmp/programs
PDNS_REDIS=redis+unix:///var/lib/pdns/redis.sock /tmp/programs/usr/bin/pdns tag set threat early.example
redis-cli -s /var/lib/pdns/redis.sock SUBSCRIBE x >/dev/null &
client=$!
if dpkg -i first.deb > said 2>&1; then exit 1; fi
grep -q "a program uses root's own store" said
answers /var/lib/pdns/redis.sock
kill "$client"
mkdir /var/lib/pdns-managed
if dpkg --configure pdns > said 2>&1; then exit 1; fi
grep -q 'is there already' said
answers /var/lib/pdns/redis.sock
rmdir /var/lib/pdns-managed
dpkg --configure pdns > said 2>&1
grep -q "root's own store is in /var/lib/pdns-managed now" said
if answers /var/lib/pdns/redis.sock; then exit 1; fi
test "$(stat -c '%U:%G' /var/lib/pdns-managed)" = root:root
pdns --redis managed: tag list threat --format plain | grep -q early.example
pdns --redis managed: admin stop
rm -r /var/lib/pdns-managed
ok "a store that root had in the package's folder moves aside with its data, and nothing moves while it is in use"

systemctl is-active pdns-redis
systemctl is-enabled pdns-redis
if systemctl is-enabled pdns-agent || systemctl is-enabled pdns-serve; then exit 1; fi
if systemctl is-enabled pdns-intel.timer; then exit 1; fi
if systemctl is-enabled pdns-retention.timer; then exit 1; fi
if systemctl is-enabled pdns-judge; then exit 1; fi
test "$(stat -c '%U:%G %a' /etc/pdns/feeds)" = "root:pdns-intel 2750"
if systemctl is-active pdns-agent || systemctl is-active pdns-serve; then exit 1; fi
ok "installed: the store runs, the agent and the server wait for an administrator"

grep -q 'Public Suffix List' /usr/share/doc/pdns/NOTICE
grep -q 'Marcin Ulikowski' /usr/share/doc/pdns/NOTICE
ok "whoever made the lists within the programs is named"

test "$(stat -c '%U %a' /var/lib/pdns)" = "pdns-redis 700"
test "$(stat -c '%U:%G %a' /run/pdns/redis.sock)" = "pdns-redis:pdns 770"
test "$(stat -c '%U %a' /run/pdns/redis.conf)" = "pdns-redis 600"
test "$(stat -c '%G %a' /etc/pdns)" = "pdns-serve 2755"
check_passwords
check_rights
if as bob redis-cli -s /run/pdns/redis.sock PING; then exit 1; fi
ok "the store: who is not in the group cannot connect, and no user can delete, rename, expire or empty"

usermod --append --groups pdns ann
ask status --format plain | grep -q -P '^records\t0$'
as ann sudo pdns status --format plain | grep -q -P '^records\t0$'
pdns status --format plain | grep -q -P '^records\t0$'
if as bob pdns status > said 2>&1; then exit 1; fi
grep -q /etc/pdns/redis/analyst.password said
# Nobody was given a store of their own.
test ! -e /var/lib/pdns-managed
test ! -e /root/.local/share/pdns
test ! -e /home/ann/.local/share/pdns
test ! -e /home/bob/.local/share/pdns
test ! -e /var/lib/pdns/redis.conf
as bob pdns --redis managed: status --format plain | grep -q -P '^records\t0$'
as bob pdns --redis managed: admin stop
rm -r /home/bob/.local
ok "pdns finds the package's store as root, under sudo and in the group pdns; others are told, and may have their own"

mkdir -p /srv/zeek
row 1700000000.5 www.example.com 192.0.2.7 > /srv/zeek/dns.log
sed -i 's,^#paths = .*,paths = ["/srv/zeek"],; s,^#interfaces = .*,interfaces = ["lo"],' /etc/pdns/agent.toml
echo PDNS_SOURCE=zeek > /etc/default/pdns-agent
systemctl enable --now pdns-agent
wait_for ask www.example.com
ask www.example.com --format plain | grep -q '192.0.2.7'
pid=$(property pdns-agent MainPID)
test "$(stat -c %U "/proc/$pid")" = pdns-agent
test "$(cat "/proc/$pid/comm")" = pdns-agent
test ! -s "/proc/$pid/root/etc/pdns/redis/analyst.password"
test ! -s "/proc/$pid/root/etc/pdns/redis/server.password"
ok "the agent follows Zeek's logs into the store, and sees no password but its own"

systemctl start pdns-serve
wait_for curl -fsS http://127.0.0.1:8953/healthz
curl -fsS http://127.0.0.1:8953/pdns/query/192.0.2.7 | grep -q '"www.example.com"'
pid=$(property pdns-serve MainPID)
test "$(stat -c %U "/proc/$pid")" = pdns-serve
test ! -s "/proc/$pid/root/etc/pdns/redis/analyst.password"
test ! -s "/proc/$pid/root/etc/pdns/redis/agent.password"
ok "the server answers, and sees no password but its own"

key=$(pdns serve user add alice)
chmod 640 /etc/pdns/users.toml
systemctl restart pdns-serve
wait_for curl -fsS -H "X-API-Key: $key" http://127.0.0.1:8953/pdns/query/192.0.2.7
test "$(curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8953/pdns/query/192.0.2.7)" = 401
pdns serve user add bob > /dev/null
test "$(stat -c '%G %a' /etc/pdns/users.toml)" = "pdns-serve 640"
ok "the server knows its users, whom nobody else can read"

ask tag set threat "'*.example.com'" --note seen
pdns export --tag threat --format zeek-intel --out /var/lib/pdns-export/threats.intel
as bob cat /var/lib/pdns-export/threats.intel | grep -q '^www.example.com	Intel::DOMAIN	pdns	'
ok "a list for Zeek, which a user without any group can read"

for unit in pdns-redis pdns-agent pdns-serve; do
    test "$(property $unit MemoryMax)" != infinity
done
systemctl stop pdns-agent
echo PDNS_SOURCE=ebpf > /etc/default/pdns-agent
systemctl start pdns-agent
sleep 2
systemctl is-active pdns-agent
pid=$(property pdns-agent MainPID)
grep -q '^CapEff:	0000000000000000$' "/proc/$pid/status"
systemctl show -p NRestarts --value pdns-agent | grep -qx 0
ok "the agent captures under its unit, and keeps no capability"

# Settings that never worked end it for good; a store that is away does not.
systemctl stop pdns-agent
cp -p /etc/pdns/agent.toml agent.toml
echo 'interfacse = ["lo"]' >> /etc/pdns/agent.toml
systemctl start pdns-agent || true
wait_for systemctl is-failed pdns-agent
test "$(property pdns-agent ExecMainStatus)" = 78
sleep 2
test "$(property pdns-agent NRestarts)" = 0
cp -p agent.toml /etc/pdns/agent.toml
systemctl reset-failed pdns-agent
systemctl start pdns-agent
systemctl kill --signal=KILL pdns-agent
sleep 8
systemctl is-active pdns-agent
ok "wrong settings end the agent with 78 and it is not started again; any other end is followed by a start"

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
systemctl is-active pdns-agent pdns-serve
ok "a torn write is mended before the store starts, and the agent and the server outlive it"

echo '# ours' >> /etc/pdns/serve.toml
systemctl disable pdns-redis
cat /etc/pdns/redis/*.password > passwords
dpkg -i next.deb
systemctl is-active pdns-redis pdns-agent pdns-serve
if systemctl is-enabled pdns-redis; then exit 1; fi
grep -q '^# ours$' /etc/pdns/serve.toml
cat /etc/pdns/redis/*.password | cmp - passwords
wait_for ask www.example.com
ask status --format plain | grep -q -P '^records\t1$'
dpkg -s pdns | grep -q '^Version: .*+next$'
ok "upgraded: data, settings, passwords and what was switched off stay, and all runs again"

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
