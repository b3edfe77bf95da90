#!/bin/sh
# alone.sh INCLUDE COMPILER STANDARD: each public header by itself, twice in a file, with all that the compiler finds to say as errors. As C++, what a header declares
# is called by its C name.
set -eu
include=$1 compiler=$2 standard=$3
command -v "$compiler" >/dev/null || { echo "no $compiler here"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

warnings="-pedantic -Wall -Wextra -Wundef -Wshadow"
case $standard in
c++*) suffix=cc warnings="$warnings -Wold-style-cast" ;;
*) suffix=c warnings="$warnings -Wstrict-prototypes -Wmissing-prototypes" ;;
esac

count=0
for header in "$include"/chat/*.h; do
    name=$(basename "$header")
    function=$(sed -n 's/^CHAT_API .*[ *]\(chat_[a-z0-9_]*\)(.*/\1/p' "$header" | tail -n 1)
    test -n "$function" || { echo "$name declares no function"; exit 1; }
    printf '#include <chat/%s>\n#include <chat/%s>\nextern void (*const use)(void);\nvoid (*const use)(void) = %s;\n' \
        "$name" "$name" "$(case $suffix in cc) echo "reinterpret_cast<void (*)(void)>($function)" ;; *) echo "(void (*)(void))$function" ;; esac)" >"$work/use.$suffix"
    # shellcheck disable=SC2086
    "$compiler" "-std=$standard" $warnings -Werror -Wno-cast-function-type "-I$include" -c -o "$work/use.o" "$work/use.$suffix"
    nm -u "$work/use.o" | grep -q " $function\$" || { echo "$name: $function is called by another name:"; nm -u "$work/use.o"; exit 1; }
    count=$((count + 1))
done
echo "$count headers as $standard by $compiler"
