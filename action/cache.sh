#!/usr/bin/env bash
# The directory of pip's cache, and a cache key that depends on the packages to install.
# Outputs: dir, key, prefix; none where pip's cache is off, or where this run must not fill a cache.
set -euo pipefail
# shellcheck source=action/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"

command -v python >/dev/null || fail "input 'python-version': is empty, and there is no python on PATH"

# A run for pull_request_target, issue_comment or workflow_run writes into the cache of the main branch,
# and may have run a stranger's code by then. That of a pull_request has a cache of its own.
[[ $GITHUB_EVENT_NAME == pull_request ]] || caused_by_writers "$GITHUB_EVENT_NAME" || exit 0

# Many images switch pip's cache off; then there is nothing to cache.
dir=$(pip cache dir 2>/dev/null) || exit 0

requested() {
    python --version
    printf '%s\n' "$INPUT_INSTALL" "$INPUT_EXTRAS" "$INPUT_REQUIREMENTS"
    cat "${BASH_SOURCE[0]%/*}/../pyproject.toml"
    while IFS= read -r file; do
        [[ ! -f $file ]] || cat -- "$file"
    done <<<"$INPUT_REQUIREMENTS"
}

output dir "$dir"
output key "kito-pip-$RUNNER_OS-$RUNNER_ARCH-$(requested | sha256sum | cut -c1-32)"
output prefix "kito-pip-$RUNNER_OS-$RUNNER_ARCH-"
