#!/bin/sh
# Run by mmdebstrap when the essential packages are installed; $1 is the root.
# What is left out is not said to mmdebstrap itself: it would send every
# essential package through a slow filter. scrub.sh removes what came before.
set -eu
for dir in doc man info locale lintian bash-completion bug; do
	echo "path-exclude=/usr/share/$dir/*"
done >"$1/etc/dpkg/dpkg.cfg.d/lab"

# PostgreSQL's compiler of queries: 120 MB that no test uses.
cat >>"$1/etc/dpkg/dpkg.cfg.d/lab" <<END
path-exclude=/usr/lib/*/libLLVM*
path-exclude=/usr/lib/llvm-*/*
path-exclude=/usr/lib/postgresql/*/lib/llvmjit*
path-exclude=/usr/lib/postgresql/*/lib/bitcode/*
END
