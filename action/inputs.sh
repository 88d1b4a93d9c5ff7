# How inputs of the actions are checked. Sourced, never run, after lib.sh.
# shellcheck shell=bash

one_of() {
    local name=$1 value=$2 allowed
    shift 2
    for allowed in "$@"; do
        [[ $value == "$allowed" ]] && return
    done
    wrong "$name" "$value" "$(printf '%s, ' "$@" | sed 's/, $//')"
}

# Paths are passed to other actions, which expand wildcards and split at newlines.
safe_path() {
    local name=$1 value=$2
    [[ $value =~ ^[A-Za-z0-9_./][A-Za-z0-9_./\ -]*$ ]] ||
        wrong "$name" "$value" "a path of letters, digits, spaces, '.', '_', '-' and '/'"
    [[ /$value/ != */../* ]] || wrong "$name" "$value" "a path without '..'"
}

python_version() {
    [[ $1 =~ ^([0-9][0-9.x]*)?$ ]] ||
        wrong python-version "$1" "a version such as 3.12, or empty for the Python on PATH"
}

# artifact_name INPUT VALUE EMPTY: the name of a workflow artifact, or what EMPTY says.
artifact_name() {
    [[ $2 =~ ^[A-Za-z0-9._-]*$ && (-n $2 || -n $3) ]] ||
        wrong "$1" "$2" "letters, digits, '.', '_' and '-'${3:+, or empty for $3}"
}

# git check-ref-format allows more, but characters that are special in a shell or a URL are refused.
release_tag() {
    [[ $1 =~ ^([A-Za-z0-9][A-Za-z0-9._/+-]*)?$ ]] ||
        wrong release-tag "$1" "a tag of letters, digits, '.', '_', '/', '+' and '-', or empty for the tag of the run"
}
