#!/usr/bin/env bash
# Merge the reports and artifacts of all shards into one report, one summary, one directory.
# Reads KITO_SHARDS (their number), KITO_REPORTS (NAME-report-I for each shard, a directory that holds
# its report), KITO_PARTS (NAME-shard-I for each shard that made artifacts), KITO_NAME, INPUT_REPORT
# and INPUT_ARTIFACTS_DIR.
# Outputs: passed, report, artifacts-dir, manifest, summary. Fails if a shard failed.
set -euo pipefail
# shellcheck source=action/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"

reports=() parts=()
for ((shard = 1; shard <= KITO_SHARDS; shard++)); do
    found=("$KITO_REPORTS/$KITO_NAME-report-$shard"/*.json)
    # A single downloaded artifact is put into the directory itself.
    [[ $KITO_SHARDS != 1 || -f ${found[0]} ]] || found=("$KITO_REPORTS"/*.json)
    [[ ${#found[@]} == 1 && -f ${found[0]} ]] || fail "shard $shard of $KITO_SHARDS left no report; see its job"
    reports+=("${found[0]}")
    part=$KITO_PARTS/$KITO_NAME-shard-$shard
    [[ $KITO_SHARDS != 1 || -d $part ]] || part=$KITO_PARTS
    [[ ! -f $part/kito-manifest.json ]] || parts+=("$part")
done

mkdir -p "$(dirname -- "$INPUT_REPORT")"
passed=true status=0
kito merge "${reports[@]}" -o "$INPUT_REPORT" || status=$?
[[ $status -le 1 ]] || fail "the reports of the shards cannot be merged"
[[ $status == 0 ]] || passed=false
summary=$(mktemp --suffix=.md --tmpdir="${RUNNER_TEMP:-/tmp}")
kito summary "$INPUT_REPORT" | tee -a "${GITHUB_STEP_SUMMARY:-/dev/null}" >"$summary"

manifest=
# If one shard failed, the artifacts of the others are not published either.
if [[ $passed == true && ${#parts[@]} -gt 0 ]]; then
    kito merge-artifacts "${parts[@]}" -o "$INPUT_ARTIFACTS_DIR"
    manifest=$INPUT_ARTIFACTS_DIR/kito-manifest.json
fi

output passed "$passed"
output report "$INPUT_REPORT"
output artifacts-dir "$INPUT_ARTIFACTS_DIR"
output manifest "$manifest"
output summary "$summary"
[[ $passed == true ]] || fail "$(grep -m1 '^###' "$summary" | tr -d '#')"
