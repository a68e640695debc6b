#!/usr/bin/env bash
# Lists lines of code that are wider than 100 characters, of which a tab is one. What cannot be
# broken may be wider: lines that begin with a string, and C declarations in documentation.
set -euo pipefail
cd "$(dirname "$0")/.."
find . \( -path ./.build -o -path ./.git -o -path ./bin \) -prune -o -type f \
	\( -name '*.go' -o -name '*.[ch]' -o -name '*.sh' -o -name Makefile -o -name Dockerfile \
	-o -path ./.ci/run \) -print0 | LC_ALL=C xargs -0 awk '
	{ line = $0; gsub(/[\200-\277]/, "", line) }
	length(line) > 100 && $0 !~ /^[ \t]*["`]/ && $0 !~ /^\/\/\t/ {
		print FILENAME ":" FNR ": " length(line) " characters"; wide = 1
	}
	END { exit wide }'
