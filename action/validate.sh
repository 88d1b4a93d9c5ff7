#!/usr/bin/env bash
# Validate every input before anything is installed or run. Reads INPUT_*. Output: models, the names
# separated by single spaces.
set -euo pipefail
here=${BASH_SOURCE[0]%/*}
# shellcheck source=action/lib.sh
source "$here/lib.sh"
# shellcheck source=action/inputs.sh
source "$here/inputs.sh"

EXTRAS='gpu jax litert onnx openvino report torch xdist'

one_of device "$INPUT_DEVICE" auto cpu gpu
one_of require-gpu "$INPUT_REQUIRE_GPU" true false
one_of publish "$INPUT_PUBLISH" none release
one_of attest "$INPUT_ATTEST" true false
one_of allow-forks "$INPUT_ALLOW_FORKS" true false
one_of cache "$INPUT_CACHE" true false
one_of upload-report "$INPUT_UPLOAD_REPORT" true false
[[ $INPUT_DEVICE != cpu || $INPUT_REQUIRE_GPU == false ]] ||
    wrong require-gpu "$INPUT_REQUIRE_GPU" "false where device is cpu"

python_version "$INPUT_PYTHON_VERSION"

safe_path config "$INPUT_CONFIG"
[[ -f $INPUT_CONFIG ]] || wrong config "$INPUT_CONFIG" "an existing file; does actions/checkout run before?"
safe_path report "$INPUT_REPORT"
[[ ! -d $INPUT_REPORT && $INPUT_REPORT != */ ]] || wrong report "$INPUT_REPORT" "a file, not a directory"
safe_path artifacts-dir "$INPUT_ARTIFACTS_DIR"
case "$INPUT_ARTIFACTS_DIR/" in
    ./ | / | .//) wrong artifacts-dir "$INPUT_ARTIFACTS_DIR" "a directory of its own" ;;
esac
# Files of an earlier run would look as if this run had proved them.
[[ ! -e $INPUT_ARTIFACTS_DIR || (-d $INPUT_ARTIFACTS_DIR && -z $(ls -A -- "$INPUT_ARTIFACTS_DIR")) ]] ||
    wrong artifacts-dir "$INPUT_ARTIFACTS_DIR" "a directory that is empty or does not exist yet"
[[ -z $INPUT_TIMINGS ]] || safe_path timings "$INPUT_TIMINGS"
[[ -z $INPUT_TIMINGS || -f $INPUT_TIMINGS ]] || wrong timings "$INPUT_TIMINGS" "an existing file, or empty"
# Before the first run, there is none.
[[ -z $INPUT_HISTORY ]] || safe_path history "$INPUT_HISTORY"
[[ -z $INPUT_HISTORY || -d $INPUT_HISTORY || ! -e $INPUT_HISTORY ]] ||
    wrong history "$INPUT_HISTORY" "a directory, or empty"

artifact_name upload-artifacts "$INPUT_UPLOAD_ARTIFACTS" none
release_tag "$INPUT_RELEASE_TAG"

if [[ -n $INPUT_SHARD ]]; then
    [[ $INPUT_SHARD =~ ^[1-9][0-9]{0,3}/[1-9][0-9]{0,3}$ && ${INPUT_SHARD%/*} -le ${INPUT_SHARD#*/} ]] ||
        wrong shard "$INPUT_SHARD" "I/N with 1 <= I <= N, such as 2/3, or empty"
    [[ -z ${INPUT_MODELS//[[:space:],]/} ]] ||
        wrong shard "$INPUT_SHARD" "empty where 'models' names the models"
    [[ $INPUT_PUBLISH == none ]] ||
        wrong publish "$INPUT_PUBLISH" "none where 'shard' leaves models out; publish after merging the shards"
fi

extras=()
IFS=$', \t\n' read -r -d '' -a extras <<<"$INPUT_EXTRAS" || true
for extra in ${extras[@]+"${extras[@]}"}; do
    # shellcheck disable=SC2086  # a list of words
    one_of extras "$extra" $EXTRAS
done
[[ -z $INPUT_INSTALL || ${#extras[@]} == 0 ]] ||
    wrong extras "$INPUT_EXTRAS" "empty where 'install' is given; write them there: pytest-kito[onnx]"

models=()
IFS=$', \t\n' read -r -d '' -a models <<<"$INPUT_MODELS" || true
for model in ${models[@]+"${models[@]}"}; do
    is_model_name "$model" ||
        wrong models "$model" "names of models, separated by spaces, commas or newlines: letters, digits, '.', '_' and '-'"
done

output models "${models[*]-}"
