#!/bin/sh
# An upgrade from the package before the store had users, with settings that were edited, an agent and a server that run, and a
# second redis-server on the store's data.
# shellcheck source-path=SCRIPTDIR
. ./lib.sh

make_people
dpkg -i earlier.deb
usermod --append --groups pdns ann
mkdir -p /srv/zeek
row 1700000000.5 www.example.com 192.0.2.7 > /srv/zeek/dns.log
sed -i 's,^#paths = .*,paths = ["/srv/zeek"],' /etc/pdns/agent.toml
echo PDNS_SOURCE=zeek > /etc/default/pdns-agent
echo 'max_rows = 9000' >> /etc/pdns/serve.toml
echo 'maxmemory 512mb' >> /etc/pdns/redis.conf
md5sum /etc/pdns/*.toml /etc/pdns/redis.conf /etc/default/pdns-agent > settings
systemctl enable --now pdns-agent
systemctl start pdns-serve
query() { curl -fsS "http://127.0.0.1:8953/pdns/query/$1" | grep "$1"; }
wait_for query www.example.com
redis-cli -s /run/pdns/redis.sock EXPIRE pd:x 1 | grep -q 0
start_root_store
agent=$(property pdns-agent MainPID)

check_upgraded() {
    if answers /var/lib/pdns/redis.sock; then exit 1; fi
    test ! -e /var/lib/pdns/redis.conf
    test -z "$(find /var/lib/pdns ! -user pdns-redis)"
    md5sum --check --quiet settings
    systemctl is-active pdns-redis pdns-agent pdns-serve
    test "$(property pdns-agent NRestarts)" = 0
    check_passwords
    check_rights
    store analyst INFO memory | tr -d '\r' | grep -qx maxmemory:536870912
    wait_for query www.example.com
}
dpkg -i --force-confold first.deb > said 2>&1
grep -q "second redis-server of root's on /var/lib/pdns was stopped" said
grep -q 'redis_password_file = "/etc/pdns/redis/agent.password"' said
test "$(property pdns-agent MainPID)" != "$agent"
check_upgraded
row 1700000001.5 new.example.com 192.0.2.8 >> /srv/zeek/dns.log
wait_for query new.example.com
ask status --format plain | grep -q -P '^records\t2$'
# The one line of redis.conf that gave everybody all rights is still there, and of no effect.
grep -q '^user default on nopass ' /etc/pdns/redis.conf
# As the README.Debian of that package had it.
as ann PDNS_REDIS=redis+unix:///run/pdns/redis.sock pdns www.example.com
ok "upgraded from before the store had users: edited settings stay, the agent and the server go on, the rights are the new ones"

cat /etc/pdns/redis/*.password > passwords
# As if the upgrade had been interrupted after it stopped the agent.
systemctl stop pdns-agent
echo pdns-agent.service > /run/pdns.stopped
dpkg -i --force-confold first.deb
cat /etc/pdns/redis/*.password | cmp - passwords
check_upgraded
ask status --format plain | grep -q -P '^records\t2$'
ok "upgraded again: nothing changes, and what an interrupted upgrade had stopped runs"

# An administrator's own user, and a line for the user default with which Redis would leave data out.
sed -i 's,^user default on nopass .*,  USER "default" on >ours ~pd:* -@all +ping,' /etc/pdns/redis.conf
echo 'user guest on >guest %R~pd:* -@all +hget' >> /etc/pdns/redis.conf
systemctl restart pdns-redis
redis-cli -s /run/pdns/redis.sock -a ours --no-auth-warning PING 2>&1 | grep -q -E 'WRONGPASS|NOAUTH'
redis-cli -s /run/pdns/redis.sock --user guest -a guest --no-auth-warning HGET pd:schema v | grep -q '[0-9]'
wait_for query www.example.com
ask status --format plain | grep -q -P '^records\t2$'
ok "users that an administrator defines in redis.conf are added to those of the package"

# Which user a program is given by its unit.
given() { /usr/lib/pdns/with-store-user /pdns-test/given.toml u /p env | grep '^PDNS_REDIS' | sort | tr '\n' ' '; }
both='PDNS_REDIS_PASSWORD_FILE=/p PDNS_REDIS_USER=u '
printf 'redis = "redis+unix:///run/pdns/redis.sock"\n' > given.toml
test "$(given)" = "$both"
printf "  redis='redis+unix:///run/pdns/redis.sock'\n#redis_user = \"x\"\n" > given.toml
test "$(given)" = "$both"
printf 'redis = "redis+unix:///run/pdns/redis.sock"\nredis_user = "x"\n' > given.toml
test -z "$(given)"
printf 'redis = "rediss://pdns.example.net"\n' > given.toml
test -z "$(given)"
printf 'redis = "redis+unix:///run/pdns/redis.sock"\n' > given.toml
test "$(PDNS_REDIS=rediss://pdns.example.net given)" = "PDNS_REDIS=rediss://pdns.example.net "
printf 'redis = "rediss://pdns.example.net"\nredis_user = "x"\n' > given.toml
test "$(PDNS_REDIS=redis+unix:///run/pdns/redis.sock given)" = "PDNS_REDIS=redis+unix:///run/pdns/redis.sock $both"
ok "settings that name another store or user are left alone"

dpkg -P pdns
rm -rf /srv/zeek
ok "purged"
