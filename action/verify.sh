#!/usr/bin/env bash
# Print the names of the files that may be signed and published, or fail. Reads KITO_PASSED,
# KITO_ARTIFACTS_DIR and KITO_REPORT.
set -euo pipefail
here=$(cd "${BASH_SOURCE[0]%/*}" && pwd)
# shellcheck source=action/lib.sh
source "$here/lib.sh"

[[ $KITO_PASSED == true ]] || fail "nothing is published: the checks did not pass"
verified=$(kito verify "$KITO_ARTIFACTS_DIR" 2>&1) || fail "nothing is published: $verified"
files=$(python -I "$here/release_state.py" files "$KITO_ARTIFACTS_DIR" "$KITO_REPORT" 2>&1) ||
    fail "nothing is published: $files"
printf '%s\n' "$files"
