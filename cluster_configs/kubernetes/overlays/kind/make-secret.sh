#!/bin/sh
# Writes secret.env beside this file, with passwords of its own. Not for git.
set -eu
cd "$(dirname "$0")"
umask 077
password=$(openssl rand -hex 16)
cat > secret.env <<END
SUBMARINE_TOKEN=$(openssl rand -hex 32)
SUBMARINE_SECRET_KEY=$(openssl rand -base64 32 | tr '+/' '-_')
SUBMARINE_DATABASE_URL=mysql+pymysql://submarine:$password@mariadb:3306/submarine
SUBMARINE_MLFLOW_DATABASE_URL=mysql+pymysql://submarine:$password@mariadb:3306/mlflow
MARIADB_PASSWORD=$password
END
echo "wrote $(pwd)/secret.env"
