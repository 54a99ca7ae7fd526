#!/bin/sh
# Makes the cluster's secrets on first start, into volumes that only the containers that need them can see, and lets
# the service user write where it must. Runs once before everything else, as root but with no network; what is there
# already is kept.
set -eu

umask 077

random() {
    head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n'
}

# secret NAME: a file of the services, made unless it is there. Written aside and renamed, so that an interrupted
# start leaves no half of one.
secret() {
    if [ ! -s "/secrets/$1" ]; then
        random >"/secrets/.$1"
        mv "/secrets/.$1" "/secrets/$1"
    fi
    chown millstream:millstream "/secrets/$1"
    chmod 0400 "/secrets/$1"
}

# server_file PATH: takes a server's configuration from standard input. The server runs under a user number of its own
# image, so the file is readable by all; its volume is mounted nowhere else.
server_file() {
    cat >"$1.new"
    chmod 0444 "$1.new"
    mv "$1.new" "$1"
}

for name in token cluster broker-password redis-password; do
    secret "$name"
done
chown millstream:millstream /secrets
chmod 0500 /secrets

server_file /secrets-rabbitmq/rabbitmq.conf <<CONF
default_user = millstream
default_pass = $(cat /secrets/broker-password)
loopback_users = none
log.console = true
log.console.level = warning
log.file = false
# Jobs in the intake queue may wait for their acknowledgement as long as no scheduler leads.
consumer_timeout = 86400000
CONF
server_file /secrets-redis/redis.conf <<CONF
requirepass $(cat /secrets/redis-password)
CONF
server_file /secrets-redis/password <<CONF
$(cat /secrets/redis-password)
CONF
chmod 0555 /secrets-rabbitmq /secrets-redis

# Docker makes a missing ./out as root, and a person's own folder belongs to that person.
if [ "$(stat -c %u /out)" != "$(id -u millstream)" ]; then
    chmod a+rwx /out || echo "make-secrets: the service user cannot write to ./out: chmod it yourself" >&2
fi
