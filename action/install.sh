#!/usr/bin/env bash
# Install the gate: by default from the action's own source, at the action's own commit.
# KITO_LIGHT=true leaves out Keras and TensorFlow, which planning does not need.
set -euo pipefail
# shellcheck source=action/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"

source_tree=$(cd "${BASH_SOURCE[0]%/*}/.." && pwd)
arguments=()

if [[ -n $INPUT_INSTALL ]]; then
    IFS=$' \t\n' read -r -d '' -a arguments <<<"$INPUT_INSTALL" || true
    for argument in "${arguments[@]}"; do
        # An option could name another package index, or read any file.
        [[ $argument != -* ]] || wrong install "$INPUT_INSTALL" "requirements or paths for pip, without options; write options into a file of 'requirements'"
    done
elif [[ ${KITO_LIGHT:-false} == true ]]; then
    mapfile -t arguments < <(python -I - "$source_tree/pyproject.toml" <<'PYTHON'
import re
import sys
import tomllib

with open(sys.argv[1], "rb") as file:
    for requirement in tomllib.load(file)["project"]["dependencies"]:
        if not re.match(r"(keras|tensorflow)\b", requirement):
            print(requirement)
PYTHON
    )
    # Planning reads .h5 files; h5py is otherwise installed as a dependency of Keras.
    arguments+=(h5py)
    python -m pip install --no-deps "$source_tree"
else
    extras=$(printf '%s' "$INPUT_EXTRAS" | tr -s ', \t\n' ',' | sed 's/^,//; s/,$//')
    arguments=("$source_tree${extras:+[$extras]}")
fi

while IFS= read -r file; do
    [[ -n $file ]] || continue
    [[ -f $file ]] || wrong requirements "$file" "existing requirements files, one per line"
    arguments+=("--requirement=$file")
done <<<"$INPUT_REQUIREMENTS"

export PIP_DISABLE_PIP_VERSION_CHECK=1
python -m pip install "${arguments[@]}"
