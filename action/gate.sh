#!/usr/bin/env bash
# Run the checks of kito.yaml. Outputs: passed, report, html, artifacts-dir, manifest, summary. The exit
# code is that of pytest, or 1 if pytest succeeded but no check was run and passed.
set -euo pipefail
# shellcheck source=action/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"

scratch=$(mktemp -d --tmpdir="${RUNNER_TEMP:-/tmp}")

# Split the words as a shell does, without running or expanding anything in them.
python -I - <<'PYTHON' >"$scratch/arguments" || fail "input 'pytest-args': $(quoted "$INPUT_PYTEST_ARGS") has a quote or a backslash that is not closed"
import os
import shlex
import sys

try:
    words = shlex.split(os.environ["INPUT_PYTEST_ARGS"])
except ValueError:
    sys.exit(1)
sys.stdout.buffer.write(b"".join(os.fsencode(word) + b"\0" for word in words))
PYTHON
mapfile -d '' -t given <"$scratch/arguments"
for word in ${given[@]+"${given[@]}"}; do
    [[ $word != --kito* ]] ||
        wrong pytest-args "$word" "options of pytest; the options of the gate are set by the inputs of this action"
done

arguments=(
    --kito-check
    "--kito-config=$INPUT_CONFIG"
    "--kito-device=$INPUT_DEVICE"
    "--kito-artifacts=$INPUT_ARTIFACTS_DIR"
    "--kito-report=$INPUT_REPORT"
)
[[ $INPUT_REQUIRE_GPU == false ]] || arguments+=(--kito-require-gpu)
[[ -z $INPUT_SHARD ]] || arguments+=("--kito-shard=$INPUT_SHARD")
[[ -z $INPUT_TIMINGS ]] || arguments+=("--kito-timings=$INPUT_TIMINGS")

# Beside the JSON report, so that both are at the top of one workflow artifact.
html=${INPUT_REPORT%.json}.html
if writes_html; then
    arguments+=("--kito-html=$html")
    if [[ -d $INPUT_HISTORY ]]; then
        arguments+=("--kito-html-history=$INPUT_HISTORY")
    elif [[ -n $INPUT_HISTORY ]]; then
        printf 'no history yet: there is no directory %q\n' "$INPUT_HISTORY"
    fi
fi

targets=("$INPUT_CONFIG")
if [[ -n $KITO_MODELS ]]; then
    kito plan --config "$INPUT_CONFIG" --models "${KITO_MODELS// /,}" >/dev/null 2>"$scratch/problem" ||
        fail "input 'models': $(<"$scratch/problem")"
    targets=()
    for model in $KITO_MODELS; do
        targets+=("$INPUT_CONFIG::$model")
    done
fi

rm -f -- "$INPUT_REPORT" "$html"
status=0
pytest ${given[@]+"${given[@]}"} "${arguments[@]}" "${targets[@]}" || status=$?

# pytest also succeeds if checks are deselected: the report says whether each model was checked.
passed=false problem=
if [[ -f $INPUT_REPORT ]] && kito summary "$INPUT_REPORT" >"$scratch/summary.md"; then
    summary=$scratch/summary.md
    if [[ $status == 0 ]]; then
        problem=$(kito merge "--models=${KITO_MODELS// /,}" "$INPUT_REPORT" 2>&1 >/dev/null) && passed=true
    fi
fi
if [[ $status == 0 && $passed == false ]]; then
    error "${problem:-no check of $(quoted "$INPUT_CONFIG") was run and passed}; see 'pytest-args' and 'models'"
    status=1
fi

manifest=$INPUT_ARTIFACTS_DIR/kito-manifest.json
output passed "$passed"
output report "$([[ ! -f $INPUT_REPORT ]] || printf '%s' "$INPUT_REPORT")"
output html "$([[ ! -f $html ]] || printf '%s' "$html")"
output artifacts-dir "$INPUT_ARTIFACTS_DIR"
output manifest "$([[ ! -f $manifest ]] || printf '%s' "$manifest")"
output summary "${summary-}"
exit "$status"
