#!/usr/bin/env bash
# Read the report of a gate that ran in another job. Reads KITO_REPORTS, a directory that holds one
# report. Outputs: passed, report, summary. Fails if the gate did not pass.
set -euo pipefail
# shellcheck source=action/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"

reports=("$KITO_REPORTS"/*.json)
[[ ${#reports[@]} == 1 && -f ${reports[0]} ]] ||
    fail "input 'report': the workflow artifact does not hold exactly one JSON report; does the job of the gate upload it (input 'upload-report')?"
summary=$(mktemp --suffix=.md --tmpdir="${RUNNER_TEMP:-/tmp}")
kito summary "${reports[0]}" | tee -a "${GITHUB_STEP_SUMMARY:-/dev/null}" >"$summary"
kito merge "${reports[0]}" >/dev/null || fail "nothing is published: the checks did not pass"

output passed true
output report "${reports[0]}"
output summary "$summary"
