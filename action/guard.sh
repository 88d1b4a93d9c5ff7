#!/usr/bin/env bash
# Decide whether this run may use the machine, sign and publish. A fork's pull request may not publish
# or sign, and runs on special machines only where 'allow-forks' is true.
set -euo pipefail
# shellcheck source=action/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"

fork=false
case $KITO_EVENT in
    # A deleted head repository has an empty name; it counts as a fork.
    pull_request* | workflow_run) [[ $KITO_HEAD_REPOSITORY == "$GITHUB_REPOSITORY" ]] || fork=true ;;
esac

if [[ $fork == true ]]; then
    [[ $INPUT_PUBLISH == none ]] ||
        wrong publish "$INPUT_PUBLISH" "none for a fork's pull request"
    [[ $INPUT_ATTEST == false ]] ||
        wrong attest "$INPUT_ATTEST" "false for a fork's pull request"
    machine=
    [[ $INPUT_DEVICE != gpu && $INPUT_REQUIRE_GPU == false ]] || machine='a GPU runner'
    ! command -v nvidia-smi >/dev/null || machine='a runner with a GPU'
    [[ ${RUNNER_ENVIRONMENT:-github-hosted} == github-hosted ]] || machine='a self-hosted runner'
    if [[ -n $machine && $INPUT_ALLOW_FORKS == false ]]; then
        fail "a fork's pull request would run its code on $machine; review it and run it from a branch of this repository, or set the input 'allow-forks' to true if the machine is thrown away after each job"
    fi
fi

if [[ $INPUT_ATTEST == true && -z ${ACTIONS_ID_TOKEN_REQUEST_URL:-} ]]; then
    fail "input 'attest': this job may not sign; give it the permissions 'id-token: write' and 'attestations: write'"
fi
if [[ $INPUT_PUBLISH == release ]]; then
    command -v gh >/dev/null || fail "input 'publish': 'release' needs the GitHub CLI, gh, on this runner's PATH; see https://cli.github.com"
    [[ -n $INPUT_RELEASE_TAG || $GITHUB_REF_TYPE == tag ]] ||
        fail "input 'release-tag': this run is not for a tag ($(quoted "$GITHUB_REF_NAME")); run on a tag, or name an existing one"
fi
