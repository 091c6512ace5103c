#!/usr/bin/env bash
# Debian packages that the tests use and nothing needs to start: without one of them, the tests that use it are skipped.
# Installs what is missing where it may, in one call; says what is missing where it may not. Never fails the build.
set -euo pipefail

packages="
restic             restic         makes the backup repositories that our own reader is tested on
borgbackup         borg           reads Borg repositories, and makes those of the tests
mdbtools           mdb-export     reads Access files
p7zip-full         7z             makes the 7z archives that our own reader is tested on
qemu-utils         qemu-img       makes the qcow2, vmdk and vhdx disk images of the tests
e2fsprogs          mkfs.ext4      makes the file systems inside of those images
bubblewrap         bwrap          the outer ring around the runtime
softhsm2           softhsm2-util  a security module in software, for keys by PKCS#11
swtpm              swtpm          a TPM 2.0 in software, for evidence of level 1
swtpm-tools        swtpm_setup    gives that TPM its endorsement key
tpm2-tools         tpm2_quote     makes the quotes that our verifier is compared with
postgresql-client  pg_restore     what our reader of PostgreSQL dumps is compared with
golang-go          go             compiles the auditor's program that checks our ledger with Go's own libraries
golang-golang-x-mod-dev  gofmt  those libraries (which have no program; they come together with Go)
"

export PATH="$PATH:/usr/sbin:/sbin"
missing=()
while read -r package program _; do
  [ -z "$package" ] || command -v "$program" >/dev/null || missing+=("$package")
done <<<"$packages"
[ "${#missing[@]}" -gt 0 ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "setup: Debian packages ${missing[*]}"
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  export DEBIAN_FRONTEND=noninteractive
  if { apt-get update && apt-get install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    exit 0
  fi
  tail -n 5 "$log" >&2
fi
echo "setup: missing, and could not be installed: ${missing[*]}; the tests that use them will be skipped" \
  "(as root: apt-get install ${missing[*]})" >&2
