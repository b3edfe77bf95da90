#!/bin/sh
# What can be checked of the form of the sources without a formatter. Prints a line for each finding; fails if there are any.
set -eu
cd "$(dirname "$0")/.."
tab=$(printf '\t')

# Hidden behind a list, so that a folder which does not exist yet is no error.
sources() {
    for folder in include src tests examples bench bindings scripts cmake proto; do
        test ! -d $folder || find $folder -type f \( "$@" \)
    done
}
code=$(sources -name '*.[ch]')
text=$(sources -name '*.[ch]' -o -name '*.py' -o -name '*.sh' -o -name '*.cmake' -o -name '*.proto' -o -name CMakeLists.txt)

# label TEXT: puts TEXT behind each line.
label() {
    sed "s|\$|: $1|"
}

# shellcheck disable=SC2086
findings=$(
    grep -noH ' $' $text | label 'space at the end of a line'
    grep -noH "$tab" $text | label 'tab'
    awk 'length > 200 && FILENAME !~ /_vectors\.h$/ { print FILENAME ":" FNR }' $code | label 'longer than 200'
    grep -noH '^#include "\.\./.*' $code | grep '^src/' | label 'include it by its name from src/'
    grep -L 'SPDX-License-Identifier: Apache-2.0' $code | label 'no SPDX line'
    for file in $text; do
        test -z "$(tail -c 1 "$file")" || echo "$file"
    done | label 'no newline at the end'
)
test -z "$findings" || { echo "$findings"; exit 1; }
echo "$(echo "$text" | wc -l) files"
