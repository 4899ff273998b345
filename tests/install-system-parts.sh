#!/bin/sh
# MariaDB's server, through apt where that is possible; the tests that need it are skipped by name otherwise.
command -v mariadbd >/dev/null 2>&1 || [ -x /usr/sbin/mariadbd ] && exit 0
[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || { echo "MariaDB is not installed and cannot be by this user"; exit 0; }
{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends mariadb-server; } >/dev/null 2>&1 \
  || echo "MariaDB could not be installed; its tests will be skipped"
exit 0
