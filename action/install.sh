#!/usr/bin/env bash
# Install the gate: by default from the action's own source, at the action's own commit.
# KITO_LIGHT=true leaves out Keras and TensorFlow, which planning and merging do not need.
# KITO_MERGES=true is for the job that may write to the repository, and has no checkout of the caller: of
# INPUT_INSTALL it takes only a requirement that names pytest-kito. Instead of a local path it installs
# the action's own source, so that no code of the caller's repository is run to build a package.
set -euo pipefail
# shellcheck source=action/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"

source_tree=$(cd "${BASH_SOURCE[0]%/*}/.." && pwd)
arguments=()

# Whether a requirement is a file or a directory of this machine.
is_local() {
    local address=${1#*@}
    case $address in
        *file:*) return 0 ;;
        *://*) return 1 ;;
        */* | *\\*) return 0 ;;
    esac
    return 1
}

# Split INPUT_INSTALL into requirements; 'name @ address' is one.
requirements() {
    local words=() word
    IFS=$' \t\n' read -r -d '' -a words <<<"$INPUT_INSTALL" || true
    for word in ${words[@]+"${words[@]}"}; do
        # An option could name another package index, or read any file.
        [[ $word != -* ]] || wrong install "$INPUT_INSTALL" "requirements or paths for pip, without options; write options into a file of 'requirements'"
        if [[ ${#arguments[@]} -gt 0 && ($word == @* || ${arguments[-1]} == *@) ]]; then
            arguments[-1]+=$word
        else
            arguments+=("$word")
        fi
    done
}

light() {
    mapfile -t arguments < <(python -I - "$source_tree/pyproject.toml" <<'PYTHON'
import re
import sys
import tomllib

with open(sys.argv[1], "rb") as file:
    project = tomllib.load(file)["project"]
    for requirement in project["dependencies"] + project["optional-dependencies"]["report"]:
        if not re.match(r"(keras|tensorflow)\b", requirement):
            print(requirement)
PYTHON
    )
    # Planning reads .h5 files; h5py is otherwise installed as a dependency of Keras.
    arguments+=(h5py)
    pip install --no-deps "$source_tree"
}

python -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "input 'python-version': $(quoted "$(python --version 2>&1)") is too old or cannot be run; pytest-kito needs Python 3.11 or later"

requirements
if [[ ${KITO_MERGES:-false} == true ]]; then
    given=(${arguments[@]+"${arguments[@]}"})
    arguments=()
    for requirement in ${given[@]+"${given[@]}"}; do
        [[ ! ${requirement,,} =~ ^pytest[-_.]+kito([^a-z0-9._-]|$) ]] || is_local "$requirement" ||
            arguments+=("$requirement")
    done
fi

if [[ ${#arguments[@]} == 0 ]]; then
    if [[ ${KITO_LIGHT:-false} == true ]]; then
        light
    else
        extras=$(printf '%s' "$INPUT_EXTRAS" | tr -s ', \t\n' ',' | sed 's/^,//; s/,$//')
        # What the HTML report is made with is small, and needs no asking for.
        arguments=("${source_tree}[report${extras:+,$extras}]")
    fi
fi

while IFS= read -r file; do
    [[ -n $file ]] || continue
    [[ -f $file ]] || wrong requirements "$file" "existing requirements files, one per line"
    arguments+=("--requirement=$file")
done <<<"$INPUT_REQUIREMENTS"

export PIP_DISABLE_PIP_VERSION_CHECK=1
pip install "${arguments[@]}"
