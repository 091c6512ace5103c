#!/usr/bin/env bash
# Reports source files longer than 450 lines: a habit to look at, never a gate.
set -euo pipefail
cd "$(dirname "$0")/.."
find src -name '*.py' -exec wc -l {} + | awk '$2 != "total" && $1 > 450 { print "long file: " $2 " (" $1 " lines)" }'
