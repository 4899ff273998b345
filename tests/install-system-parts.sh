#!/bin/sh
# MariaDB's server and Chromium, through apt where that is possible; the tests that need them are skipped by name otherwise.
wanted=""
command -v mariadbd >/dev/null 2>&1 || [ -x /usr/sbin/mariadbd ] || wanted="mariadb-server"
command -v chromium >/dev/null 2>&1 || wanted="$wanted chromium"
[ -z "$wanted" ] && exit 0
[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || { echo "not installed, and cannot be by this user:$wanted"; exit 0; }
{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $wanted; } >/dev/null 2>&1 \
  || echo "could not be installed, their tests will be skipped: $wanted"
exit 0
