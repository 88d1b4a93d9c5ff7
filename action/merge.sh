#!/usr/bin/env bash
# Merge the reports and artifacts of all shards into one report, one summary, one directory.
# Reads KITO_MATRIX (the plan's matrix, JSON), KITO_RESULT (what became of the jobs of the shards),
# KITO_REPORTS (a directory with NAME-report-I.json of each shard), KITO_PARTS (a directory with
# NAME-shard-I/ of each shard that made artifacts), KITO_NAME, KITO_PUBLISHES (whether this run signs or
# publishes), INPUT_REPORT and INPUT_ARTIFACTS_DIR.
# Outputs: passed, report, html, artifacts-dir, manifest, summary. Fails unless the job of every shard
# succeeded, every planned model was checked and passed, and every artifact that was proved is here.
set -euo pipefail
# shellcheck source=action/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"

# The last value counts. A step after this one must not find an empty one.
output passed false

plan=$(python -I -c '
import json, sys
shards = json.load(sys.stdin)["include"]
print(len(shards), ",".join(name for shard in shards for name in shard["models"]))
' <<<"$KITO_MATRIX") || fail "the plan's matrix cannot be read; see the job 'plan'"
shards=${plan%% *} models=${plan#* }

problems=() reports=() parts=()
for ((shard = 1; shard <= shards; shard++)); do
    # Several artifacts are put into directories of their names, the only one into the path itself.
    name=$KITO_NAME-report-$shard
    report=$KITO_REPORTS/$name/$name.json
    [[ -f $report ]] || report=$KITO_REPORTS/$name.json
    if [[ -f $report ]]; then
        reports+=("$report")
    else
        problems+=("shard $shard of $shards left no report; see its job")
    fi
    name=$KITO_NAME-shard-$shard
    part=$KITO_PARTS/$name/$name
    [[ -d $part ]] || part=$KITO_PARTS/$name
    [[ ! -d $part ]] || parts+=("$part")
done
[[ ${#reports[@]} -gt 0 ]] || fail "none of the $shards shards left a report; see their jobs"

mkdir -p "$(dirname -- "$INPUT_REPORT")"
options=("--models=$models")
# A release holds models that were checked whole: pytest-args may have left some checks out.
[[ $KITO_PUBLISHES != true ]] || options+=(--whole)
html=${INPUT_REPORT%.json}.html
! writes_html || options+=("--html=$html")
status=0
kito merge "${options[@]}" "${reports[@]}" -o "$INPUT_REPORT" || status=$?
[[ $status -le 1 ]] || fail "the reports of the shards cannot be merged; the reason is above"
summary=$(mktemp --suffix=.md --tmpdir="${RUNNER_TEMP:-/tmp}")
kito summary "$INPUT_REPORT" >"$summary"
[[ $status == 0 ]] || problems+=("$(sed -n 's/^### //p; q' "$summary")")
# A job can fail although its models passed: another test failed, or a step after the gate did.
[[ $KITO_RESULT == success ]] || problems+=("the jobs of the shards ended as $(quoted "$KITO_RESULT"), not as 'success'; see them")

manifest=
# If one shard failed, the artifacts of the others are not published either.
if [[ ${#problems[@]} == 0 ]]; then
    # Also without any part: then the report must not list an artifact.
    if kito merge-artifacts ${parts[@]+"${parts[@]}"} --report "$INPUT_REPORT" -o "$INPUT_ARTIFACTS_DIR"; then
        [[ ! -f $INPUT_ARTIFACTS_DIR/kito-manifest.json ]] || manifest=$INPUT_ARTIFACTS_DIR/kito-manifest.json
    else
        problems+=("the artifacts of the shards cannot be merged; the reason is above")
    fi
fi
if [[ ${#problems[@]} -gt 0 ]]; then
    sed -i '1s/kito: passed/kito: not passed/' "$summary"
    printf '\n- **Not passed:** %s\n' "${problems[@]}" >>"$summary"
fi
cat -- "$summary" >>"${GITHUB_STEP_SUMMARY:-/dev/null}"

passed=false
[[ ${#problems[@]} -gt 0 ]] || passed=true
output passed "$passed"
output report "$INPUT_REPORT"
output html "$([[ ! -f $html ]] || printf '%s' "$html")"
output artifacts-dir "$INPUT_ARTIFACTS_DIR"
output manifest "$manifest"
output summary "$summary"
for problem in ${problems[@]+"${problems[@]}"}; do
    error "$problem"
done
[[ $passed == true ]]
