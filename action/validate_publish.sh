#!/usr/bin/env bash
# Validate every input of the action that only publishes, before anything is installed. Reads INPUT_*.
# Output: folder, a new directory for what is downloaded; it is outside of the workspace, in which an
# earlier job of a self-hosted runner may have left files.
set -euo pipefail
here=${BASH_SOURCE[0]%/*}
# shellcheck source=action/lib.sh
source "$here/lib.sh"
# shellcheck source=action/inputs.sh
source "$here/inputs.sh"

artifact_name artifacts "$INPUT_ARTIFACTS" ""
artifact_name report "$INPUT_REPORT" "the name of the artifacts with '-report'"
release_tag "$INPUT_RELEASE_TAG"
one_of attest "$INPUT_ATTEST" true false
python_version "$INPUT_PYTHON_VERSION"

output folder "$(mktemp -d --tmpdir="${RUNNER_TEMP:-/tmp}" kito-publish.XXXXXX)"
