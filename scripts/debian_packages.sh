#!/usr/bin/env bash
# Debian packages that the tests use and nothing needs at run time:
#   restic  makes the backup repositories that our own reader is tested on.
# Installs what is missing where it may; says what will be skipped where it may not. Never fails the build by itself.
set -euo pipefail

command -v restic >/dev/null && exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "setup: Debian package restic"
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  export DEBIAN_FRONTEND=noninteractive
  if { apt-get update && apt-get install -y --no-install-recommends restic; } >"$log" 2>&1; then
    exit 0
  fi
  tail -n 5 "$log" >&2
fi
echo "setup: restic is missing and could not be installed: tests that make restic repositories will be skipped" \
  "(as root: apt-get install restic)" >&2
