# shellcheck shell=bash
# How the scripts beside this file find nodes and ask them. Needs VALKEY_PASSWORD.

port=${VALKEY_PORT:-6379}
: "${VALKEY_PASSWORD:?is the password of all nodes}"
# The name that valkey-cli reads, and the one that it read as redis-cli.
export VALKEYCLI_AUTH="$VALKEY_PASSWORD" REDISCLI_AUTH="$VALKEY_PASSWORD"

# The IPv4 address of a name; nothing, where it has none yet.
address_of() {
  getent ahostsv4 "$1" | awk 'NR == 1 { print $1 }'
}

# ask ADDRESS COMMAND...
ask() {
  timeout 10 valkey-cli -h "$1" -p "$port" "${@:2}"
}

# Whether a node answers and, as a replica, is in step with its primary.
is_ready() {
  local replication
  [ "$(ask "$1" ping)" = PONG ] || return 1
  replication=$(ask "$1" info replication | tr -d '\r') || return 1
  ! grep -qx 'role:slave' <<<"$replication" || grep -qx 'master_link_status:up' <<<"$replication"
}
