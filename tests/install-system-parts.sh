#!/bin/sh
# MariaDB's server and Chromium, through apt where that is possible; the tests that need them are skipped by name otherwise.
wanted=""
command -v mariadbd >/dev/null 2>&1 || [ -x /usr/sbin/mariadbd ] || wanted="mariadb-server"
command -v chromium-headless-shell >/dev/null 2>&1 || command -v chromium >/dev/null 2>&1 || wanted="$wanted chromium-headless-shell"
[ -z "$wanted" ] && exit 0
[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || { echo "not installed, and cannot be by this user:$wanted"; exit 0; }
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq >/dev/null 2>&1
for package in $wanted; do
  # Where a release has no shell of Chromium, the whole of it does.
  apt-get install -y -qq --no-install-recommends "$package" >/dev/null 2>&1 \
    || apt-get install -y -qq --no-install-recommends "${package%-headless-shell}" >/dev/null 2>&1 \
    || echo "could not be installed, its tests will be skipped: $package"
done
exit 0
