#!/usr/bin/env bash
# Writes requirements/*.txt from pyproject.toml and requirements/*.in: every version pinned, every file hashed,
# no address of any registry. Give package names to move only those (scripts/requirements.sh duckdb sqlglot),
# --upgrade to move all, nothing to keep what is pinned.
set -euo pipefail
cd "$(dirname "$0")/.."

tools=.venv/compile
python=${PYTHON:-python3.11}
if [ ! -x "$tools/bin/pip-compile" ]; then
  "$python" -m venv "$tools"
  "$tools/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r requirements/compile.txt
fi

moves=()
for name in "$@"; do
  case $name in
    --upgrade) moves+=(--upgrade) ;;
    *) moves+=(--upgrade-package "$name") ;;
  esac
done

compile() { # compile TARGET SOURCE... : one requirement file
  local target=$1
  shift
  "$tools/bin/pip-compile" --quiet --generate-hashes --allow-unsafe --strip-extras \
    --no-header --annotation-style=line --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
    "${moves[@]}" --output-file "requirements/$target.txt" "$@"
  if grep -nE '://|^ *-[^-]|file:/' "requirements/$target.txt"; then
    echo "requirements/$target.txt: the lines above name an address or an option; not kept" >&2
    exit 1
  fi
  echo "requirements/$target.txt: $(grep -c '==' "requirements/$target.txt") packages"
}

compile compile requirements/compile.in
compile runtime pyproject.toml requirements/runtime.in
compile dev --constraint requirements/runtime.txt pyproject.toml requirements/runtime.in requirements/dev.in
