#!/usr/bin/env bash
# Makes .venv ready: scripts/setup.sh runtime (to run Asepsis) or dev (to test it too).
# Only pinned and hashed wheels are installed; the package itself is linked from this checkout.
set -euo pipefail
cd "$(dirname "$0")/.."

set_of=${1:?runtime or dev}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

say() { echo "setup: $*"; }

stop() {
  say "$*" >&2
  exit 1
}

quietly() { # run a command; show what it printed only when it failed
  if ! "$@" >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    return 1
  fi
}

find_python() {
  local name
  for name in ${PYTHON:-python3.11 python3.12 python3.13 python3.14 python3}; do
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$name"
      return
    fi
  done
  stop "Python 3.11 or later is needed and was not found; install it, or name it: make PYTHON=/path/to/python3"
}

has_pip() { "$python" -m pip --version >/dev/null 2>&1; }

make_environment() {
  say "virtual environment in .venv ($("$python" --version))"
  # Debian ships venv without the pip inside it; then the machine's own pip installs into .venv from outside.
  if "$python" -m venv --clear .venv >"$log" 2>&1; then return; fi
  if has_pip && "$python" -m venv --clear --without-pip .venv >"$log" 2>&1; then return; fi
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "Debian package python3-venv"
    quietly apt-get update && quietly env DEBIAN_FRONTEND=noninteractive apt-get install -y python3-venv
    if quietly "$python" -m venv --clear .venv; then return; fi
  fi
  stop "no virtual environment can be made; install python3-venv (or pip), then run the same command again"
}

pip() { # the environment's own pip, else the machine's pip pointed at the environment
  if .venv/bin/python -c 'import pip' 2>/dev/null; then
    .venv/bin/python -m pip "$@"
  else
    "$python" -m pip --python .venv/bin/python "$@"
  fi
}

python=$(find_python)
rm -f .venv/.ready-*
.venv/bin/python -c '' 2>/dev/null || make_environment
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1

say "requirements/$set_of.txt (pinned, hashed)"
quietly pip install --require-hashes --only-binary :all: -r "requirements/$set_of.txt" ||
  stop "the packages above could not be installed; is a package index within reach?"
say "asepsis from this checkout"
quietly pip install --no-deps --no-index --no-build-isolation -e . || stop "the package could not be linked"

touch .venv/.ready-runtime
[ "$set_of" = runtime ] || touch ".venv/.ready-$set_of"
