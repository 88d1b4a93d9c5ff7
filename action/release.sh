#!/usr/bin/env bash
# Put the artifacts on the release of a tag: exactly the files of the manifest, verified first, on a
# draft until all of them are uploaded and read back. A published release is never changed: another
# run either finds it complete or fails.
#
# Reads KITO_PASSED, KITO_ARTIFACTS_DIR, KITO_REPORT, KITO_SUMMARY, INPUT_RELEASE_TAG, GH_TOKEN and
# GITHUB_*; KITO_RETRY_SECONDS is the pause after the first failed try.
set -euo pipefail
here=$(cd "${BASH_SOURCE[0]%/*}" && pwd)
# shellcheck source=action/lib.sh
source "$here/lib.sh"

BEGIN='<!-- kito: begin -->' END='<!-- kito: end -->'
folder=$KITO_ARTIFACTS_DIR
tag=${INPUT_RELEASE_TAG:-$GITHUB_REF_NAME}
scratch=$(mktemp -d --tmpdir="${RUNNER_TEMP:-/tmp}")
trap 'rm -rf "$scratch"' EXIT

refuse() {
    fail "nothing is published: $1"
}

# The API fails at times: try a command five times, and double the pause after each failure.
retry() {
    local pause=${KITO_RETRY_SECONDS:-2} try
    for try in 1 2 3 4 5; do
        "$@" && return
        [[ $try != 5 ]] || return 1
        printf 'kito: try %s of 5 failed, the next is in %s s\n' "$try" "$pause"
        sleep "$pause"
        pause=$((pause * 2))
    done
}

release() {
    local verb=$1
    shift
    gh release "$verb" "$tag" --repo "$GITHUB_REPOSITORY" "$@"
}

# Write the release to release.json; no file and status 0 if there is no such release.
read_release() {
    rm -f "$scratch/release.json"
    release view --json isDraft,body,assets >"$scratch/view" 2>"$scratch/view.err" || {
        grep -qi 'release not found' "$scratch/view.err" && return
        sed 's/^/gh: /' "$scratch/view.err"
        return 1
    }
    mv "$scratch/view" "$scratch/release.json"
}

# Create the draft. An earlier try may have created it even though gh reported a failure.
create_draft() {
    read_release || return 1
    [[ ! -f $scratch/release.json ]] || return 0
    release create --draft --verify-tag --title "$tag" --notes-file "$scratch/table" || return 1
    read_release && [[ -f $scratch/release.json ]]
}

release_state() {
    python -I "$here/release_state.py" "$@"
}

download_files() {
    rm -rf "$scratch/online"
    mkdir "$scratch/online"
    [[ ! -s $scratch/assets ]] || release download --dir "$scratch/online" --clobber
}

matches_local() {
    [[ -f $scratch/online/$1 ]] && cmp -s -- "$folder/$1" "$scratch/online/$1"
}

# ---- the files of this run --------------------------------------------------------------------

bash "$here/verify.sh" >"$scratch/files" || { cat "$scratch/files"; exit 1; }
mapfile -t files <"$scratch/files"

# ---- the release on GitHub --------------------------------------------------------------------

retry read_release || refuse "gh cannot read the release of '$tag'; does the job have the permission 'contents: write'?"
{ printf '%s\n\n' "$BEGIN"; cat -- "$KITO_SUMMARY"; printf '\n%s\n' "$END"; } >"$scratch/table"
[[ -f $scratch/release.json ]] || retry create_draft ||
    refuse "gh cannot create a draft release; was the tag '$tag' pushed, and does the job have the permission 'contents: write'?"
release_state assets "$scratch/release.json" >"$scratch/assets"
extra=$(grep -vxFf "$scratch/files" "$scratch/assets" || true)
[[ -z $extra ]] || refuse "the release of '$tag' has files that are not in the manifest: $(quoted "$extra"); delete them, or use another tag"
retry download_files || refuse "gh cannot download the files of the release of '$tag'"

if [[ $(release_state draft "$scratch/release.json") == false ]]; then
    # The manifests differ in times and figures; the artifacts must have the same digests.
    if matches_local SHA256SUMS && kito verify "$scratch/online" >"$scratch/verified" 2>&1; then
        printf "kito: the release of '%s' is complete, with these very files\n" "$tag"
        exit 0
    fi
    refuse "the release of '$tag' is published already, without these files or with other ones; a published release is not changed: use another tag, or make it a draft again"
fi

# ---- fill the draft, read it back, publish ----------------------------------------------------

for file in "${files[@]}"; do
    matches_local "$file" || retry release upload "$folder/$file" --clobber ||
        refuse "'$file' could not be uploaded; the draft of '$tag' stays, and the next run completes it"
done

retry read_release && [[ -f $scratch/release.json ]] || refuse "the draft of '$tag' is gone"
release_state assets "$scratch/release.json" >"$scratch/assets"
diff <(sort "$scratch/assets") <(sort "$scratch/files") >/dev/null || refuse "the draft of '$tag' does not hold exactly the files of the manifest"
retry download_files || refuse "gh cannot download what was uploaded"
for file in "${files[@]}"; do
    matches_local "$file" || refuse "'$file' as downloaded from the draft of '$tag' is not what was uploaded"
done

release_state notes "$scratch/release.json" "$scratch/table" "$BEGIN" "$END" >"$scratch/notes"
retry release edit --draft=false --notes-file "$scratch/notes" || fail "the draft of '$tag' is complete, but gh could not publish it; run again"
printf "kito: published %s files on the release of '%s'\n" "${#files[@]}" "$tag"
