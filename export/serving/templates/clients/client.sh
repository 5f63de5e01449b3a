#!/bin/sh
# Asks TF Serving for predictions over REST: sh client.sh [http://HOST:8501]
# The requests are in the files beside this one.
set -eu
server="$${1:-http://localhost:8501}"
cd "$$(dirname "$$0")"
for file in *.json; do
  printf '%s ' "$${file%.json}"
  curl --silent --show-error --fail-with-body --max-time 5 --header 'Content-Type: application/json' \
    --data-binary "@$$file" "$$server/v1/models/$name:predict"
  echo
done
