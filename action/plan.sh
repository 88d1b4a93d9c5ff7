#!/usr/bin/env bash
# Plan the matrix of a workflow's jobs from kito.yaml. Reads INPUT_CONFIG, INPUT_MODELS, INPUT_SHARDS,
# INPUT_TIMINGS and INPUT_UPLOAD_ARTIFACTS; outputs: matrix, shards.
set -euo pipefail
# shellcheck source=action/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"

[[ $INPUT_SHARDS =~ ^[1-9][0-9]{0,2}$ && $INPUT_SHARDS -le 256 ]] ||
    wrong shards "$INPUT_SHARDS" "1 to 256"
[[ $INPUT_UPLOAD_ARTIFACTS =~ ^[A-Za-z0-9._-]+$ ]] ||
    wrong upload-artifacts "$INPUT_UPLOAD_ARTIFACTS" "letters, digits, '.', '_' and '-'"

models=()
IFS=$', \t\n' read -r -d '' -a models <<<"$INPUT_MODELS" || true
for model in ${models[@]+"${models[@]}"}; do
    is_model_name "$model" || wrong models "$model" "names of models, separated by spaces, commas or newlines"
done
names=${models[*]-}
arguments=("--config=$INPUT_CONFIG" "--shards=$INPUT_SHARDS" "--models=${names// /,}")
[[ -z $INPUT_TIMINGS ]] || arguments+=("--timings=$INPUT_TIMINGS")
if ! plan=$(kito plan "${arguments[@]}" --json 2>&1); then
    fail "$plan"
fi

shards=$(python -I -c 'import json, sys; print(json.load(sys.stdin)["shards"])' <<<"$plan")
# The matrix must contain nothing but its combinations, on one line.
matrix=$(python -I -c 'import json, sys; print(json.dumps({"include": json.load(sys.stdin)["include"]}))' <<<"$plan")
output shards "$shards"
output matrix "$matrix"
