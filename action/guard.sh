#!/usr/bin/env bash
# Decide whether this run may use the machine, sign and publish. Whose code it runs is told by the event:
#
#   event                                              code of              a fork's, unless
#   push, release, schedule, workflow_dispatch, …      this repository      -
#   pull_request*                                      the head repository  it is this repository
#   workflow_run                                       the head repository  it is this repository
#   issue_comment, issues, any other                   anybody              -
#
# (the first row is caused_by_writers in lib.sh). A comment on a pull request does not tell the head
# repository, so it counts as a fork's. A fork's run may
#
#   publish, sign                                      never
#   use a GPU, a required GPU or device: gpu           with allow-forks only
#   use a runner that is not GitHub's own              with allow-forks only
#   use any other runner                               yes
#
# A runner is GitHub's own only where RUNNER_ENVIRONMENT says so: old runners, those of a GitHub
# Enterprise Server, and act do not set it.
set -euo pipefail
# shellcheck source=action/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"

fork=
case $KITO_EVENT in
    # A deleted head repository has an empty name; it counts as a fork.
    pull_request* | workflow_run)
        [[ $KITO_HEAD_REPOSITORY == "$GITHUB_REPOSITORY" ]] || fork="a fork's pull request"
        ;;
    *) caused_by_writers "$KITO_EVENT" || fork="the event $(quoted "$KITO_EVENT"), which anybody can cause," ;;
esac

if [[ -n $fork ]]; then
    [[ $INPUT_PUBLISH == none ]] ||
        wrong publish "$INPUT_PUBLISH" "none for ${fork%,}"
    [[ $INPUT_ATTEST == false ]] ||
        wrong attest "$INPUT_ATTEST" "false for ${fork%,}"
    machine=
    [[ $INPUT_DEVICE != gpu && $INPUT_REQUIRE_GPU == false ]] || machine='a GPU runner'
    ! command -v nvidia-smi >/dev/null || machine='a runner with a GPU'
    [[ ${RUNNER_ENVIRONMENT:-} == github-hosted ]] || machine='a self-hosted runner'
    if [[ -n $machine && $INPUT_ALLOW_FORKS == false ]]; then
        fail "$fork would run its code on $machine; review it and run it from a branch of this repository, or set the input 'allow-forks' to true if the machine is thrown away after each job"
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
