#!/bin/sh
# make-secret.sh kind
# make-secret.sh production DATABASE_URL MLFLOW_DATABASE_URL
# Writes overlays/OVERLAY/secret.env, of which kustomize makes the Secret: a token and a key of its own each time. Not for git.
set -eu
usage() {
    echo "usage: $0 kind" >&2
    echo "       $0 production DATABASE_URL MLFLOW_DATABASE_URL" >&2
    echo "       (a URL is mysql+pymysql://user:password@host:3306/name)" >&2
    exit 2
}
case "$#${1-}" in 1kind | 3production) overlay=$1 ;; *) usage ;; esac
file=$(cd "$(dirname "$0")" && pwd)/overlays/$overlay/secret.env
umask 077
if [ -e "$file" ]; then
    echo "$file is there already; with another key the service could not read what it has sealed" >&2
    exit 1
fi
if [ "$overlay" = kind ]; then
    password=$(openssl rand -hex 16)
    database=mysql+pymysql://submarine:$password@mariadb:3306/submarine
    mlflow=mysql+pymysql://submarine:$password@mariadb:3306/mlflow
else
    database=$2
    mlflow=$3
fi
cat > "$file" <<END
SUBMARINE_TOKEN=$(openssl rand -hex 32)
SUBMARINE_SECRET_KEY=$(openssl rand -base64 32 | tr '+/' '-_')
SUBMARINE_DATABASE_URL=$database
SUBMARINE_MLFLOW_DATABASE_URL=$mlflow
END
[ "$overlay" != kind ] || echo "MARIADB_PASSWORD=$password" >> "$file"
echo "wrote $file"
