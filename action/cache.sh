#!/usr/bin/env bash
# Where pip keeps what it downloads, and a key that changes with what is to be installed.
set -euo pipefail
# shellcheck source=action/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"

command -v python >/dev/null || fail "input 'python-version': it is empty, and there is no python on PATH"

# Many images switch pip's cache off.
dir=$(python -m pip cache dir 2>/dev/null) || exit 0

wanted() {
    python --version
    printf '%s\n' "$INPUT_INSTALL" "$INPUT_EXTRAS" "$INPUT_REQUIREMENTS"
    cat "${BASH_SOURCE[0]%/*}/../pyproject.toml"
    while IFS= read -r file; do
        [[ ! -f $file ]] || cat -- "$file"
    done <<<"$INPUT_REQUIREMENTS"
}

output dir "$dir"
output key "kito-pip-$RUNNER_OS-$RUNNER_ARCH-$(wanted | sha256sum | cut -c1-32)"
output prefix "kito-pip-$RUNNER_OS-$RUNNER_ARCH-"
