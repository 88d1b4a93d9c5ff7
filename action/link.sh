#!/usr/bin/env bash
# Link the HTML report in the summary of the step. Reads KITO_HTML, the path of the report, and KITO_URL,
# the address of the workflow artifact that holds it.
set -euo pipefail
# shellcheck source=action/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"

[[ $KITO_URL =~ ^https://[A-Za-z0-9./:_-]+$ ]] || fail "the address of the report is none: $(quoted "$KITO_URL")"
name=${KITO_HTML##*/}
[[ $name =~ ^[A-Za-z0-9._\ -]+$ ]] || fail "the name of the report is none: $(quoted "$name")"
# shellcheck disable=SC2016  # backticks of Markdown
printf '\n[HTML report](%s): unpack it and open `%s`\n' "$KITO_URL" "$name" >>"${GITHUB_STEP_SUMMARY:-/dev/null}"
