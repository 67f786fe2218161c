#!/bin/sh
# Checks lease.pml with spin: the rules as they are must hold, each rule left
# out must be noticed, and what must be possible must be reachable.
#
#   model/check.sh          every case, small scopes (continuous integration)
#   model/check.sh -wide    the larger scopes as well (minutes, up to 6 GiB)
#   model/check.sh -trace FAMILY FLAG
#                           the shortest story of one case, step by step, e.g.
#                           model/check.sh -trace base BROKEN_NO_MARGIN
#
# Prints one line per case: verdict, states, seconds. Exits 0 if all came out as
# they must, 1 on a surprise, 2 on wrong usage, 3 if spin or a C compiler is missing.

set -u
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
cc=${CC:-gcc}

for tool in spin "$cc"; do
	if ! command -v "$tool" >/dev/null 2>&1; then
		echo "check.sh: $tool is not installed; the model was not checked." >&2
		echo "check.sh: install it, for example: apt-get install spin gcc" >&2
		exit 3
	fi
done

tmp=$(mktemp -d "${TMPDIR:-/tmp}/perdure-model.XXXXXX") || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# flags FAMILY: a family is a scope, small enough to be searched to the end.
flags() {
	case $1 in
	base)   echo "-DBOOTS=2 -DEARLIER -DNO_STOPS -DNO_LATE" ;;
	boots)  echo "-DBOOTS=3 -DNO_RESTARTS" ;;
	gate)   echo "-DGATE -DBOOTS=1 -DEARLIER -DNO_STOPS" ;;
	pair)   echo "-DHOLDERS=2 -DBOOTS=2 -DHOLD_LONG=1 -DNO_STOPS -DNO_RESTARTS -DNO_LATE -DPROMPT" ;;
	joint)  echo "-DLOG=LOG_JOINT $change" ;;
	single) echo "-DLOG=LOG_SINGLE $change" ;;
	lower)  echo "-DLOG=LOG_LOWER -DHOLD_LONG=3 -DHOLD_SHORT=1 -DBOOTS=1 -DEARLIER -DNO_STOPS" ;;
	raise)  echo "-DLOG=LOG_RAISE -DHOLD_LONG=3 -DHOLD_SHORT=1 -DBOOTS=1 -DEARLIER -DNO_STOPS" ;;
	new)    echo "-DLOG=LOG_JOINT -DVOTERS=4 -DBOOTS=2 -DHOLD_LONG=1 -DEARLIER -DNO_STOPS -DNO_LATE -DNO_RESTARTS -DPROMPT" ;;
	both)   echo "-DLOG=LOG_BOTH -DHOLD_LONG=2 -DHOLD_SHORT=1 $change" ;;
	wide)   echo "-DBOOTS=3" ;;
	longer) echo "-DBOOTS=1 -DHOLD_LONG=3" ;;
	pairs)  echo "-DHOLDERS=2 -DBOOTS=2 -DHOLD_LONG=1 -DNO_STOPS -DNO_LATE -DPROMPT" ;;
	long)   echo "-DLOG=LOG_BOTH -DHOLD_LONG=3 -DHOLD_SHORT=1 $change" ;;
	*) return 1 ;;
	esac
}
change="-DVOTERS=4 -DBOOTS=1 -DEARLIER -DNO_STOPS -DPROMPT"

# build FAMILY FLAG OPTIMISE COMPILERFLAGS: makes $tmp/pan.
build() {
	f=$(flags "$1") || { echo "check.sh: no family named $1" >&2; exit 2; }
	[ "$2" = - ] || f="$f -D$2"
	f="$f $story"
	# shellcheck disable=SC2086 # the flags are words
	(cd "$tmp" && rm -f pan pan.* ./*.trail && cp "$here/lease.pml" . &&
		spin $f -a lease.pml >spin.out 2>&1 &&
		"$cc" "$3" -w -DSAFETY -DNOREDUCE -DMEMLIM="$memory" $4 -o pan pan.c >cc.out 2>&1) || {
		echo "check.sh: $1 $2: lease.pml does not compile:" >&2
		cat "$tmp"/spin.out "$tmp"/cc.out >&2 2>/dev/null
		exit 1
	}
}

surprises=0
count=0
memory=2000 # MiB, and CPU seconds, for one search
cpu=300
depth=100000
story=

# check FAMILY FLAG hold|fail [OPTIMISE]: searches and compares. Short searches are
# not worth an optimised build.
check() {
	start=$(date +%s)
	if [ "$3" = hold ]; then build "$1" "$2" "${4--O1}" ""; else build "$1" "$2" "${4--O0}" ""; fi
	(ulimit -t $cpu 2>/dev/null; cd "$tmp" && ./pan -m$depth -w21 -n >pan.out 2>&1)
	errors=$(sed -n 's/.*errors: \([0-9]*\).*/\1/p' "$tmp/pan.out")
	states=$(sed -n 's/ *\([0-9.e+]*\) states, stored.*/\1/p' "$tmp/pan.out" | head -n 1)
	seconds=$(($(date +%s) - start))
	# A search that ended early proves nothing. A broken assertion is the only
	# refutation that counts.
	if grep -Eq 'max search depth too small|out of memory|Search not completed' "$tmp/pan.out" &&
		[ "${errors:-0}" = 0 ]; then
		got=incomplete
	elif [ "$errors" = 0 ]; then
		got=hold
	elif grep -q 'assertion violated' "$tmp/pan.out"; then
		got=fail
	else
		got=broken
	fi
	case $3/$2 in
	hold/*) want="holds" ;;
	fail/REACH_*) want="reached" ;;
	*) want="caught" ;;
	esac
	count=$((count + 1))
	if [ "$got" = "$3" ]; then
		verdict=$want
	else
		verdict="SURPRISE ($got)"
		surprises=$((surprises + 1))
		tail -n 20 "$tmp/pan.out" >&2
	fi
	printf '%-7s %-28s %-10s %9s states %4s s\n' "$1" "$2" "$verdict" "$states" "$seconds"
}

wide=no
case ${1-} in
'') ;;
-wide) wide=yes ;;
-trace)
	[ $# -eq 3 ] || { echo "usage: check.sh -trace FAMILY FLAG" >&2; exit 2; }
	memory=6000
	story=-DSTORY
	build "$2" "$3" -O2 -DBFS
	(cd "$tmp" && ./pan -w22 -n >pan.out 2>&1; grep -q 'assertion violated' pan.out) || {
		echo "$2 $3: nothing to show, it holds"
		exit 0
	}
	# shellcheck disable=SC2086
	(cd "$tmp" && spin $f -t -T lease.pml | sed '/^spin: trail/,$d')
	exit 0
	;;
*) echo "usage: check.sh [-wide | -trace FAMILY FLAG]" >&2; exit 2 ;;
esac

for family in gate raise boots lower; do
	check $family - hold -O0
done
for family in base pair joint single both; do
	check $family - hold
done

# What the voters owe.
check base BROKEN_PROMISE_FORGOTTEN fail
check base BROKEN_NO_RESTART_WAIT fail
check base BROKEN_NO_MARGIN fail
check boots BROKEN_ACK_AFTER_PROMISE fail
check boots BROKEN_MINORITY fail
# What the holder owes.
check boots BROKEN_LEASE_FROM_RECEIPT fail
check gate BROKEN_RELATIVE_GATE fail
check boots BROKEN_ADMIT_RUNNING fail
check boots BROKEN_OLD_ASSIGN fail
check boots BROKEN_START_AFTER_STOPPED fail
# What the register refuses.
check boots BROKEN_EVICT_ANY_GENERATION fail
check boots BROKEN_STOPPED_ANY_EPOCH fail
check boots BROKEN_ADMIT_UNCONDITIONAL fail
# Changes of voters.
check joint BROKEN_NO_CONFIG_WAIT fail -O1
check joint BROKEN_ACK_WITHOUT_CONFIG fail
check joint BROKEN_EVICT_ANY_CONFIG fail -O1
check joint BROKEN_PROMISE_ANY_CONFIG fail -O1
check joint BROKEN_ACK_EVICTED fail -O1
check joint BROKEN_NO_CHAIN fail
check single BROKEN_NO_CHAIN fail
check joint BROKEN_APPLIED_FORGOTTEN fail
# Changes of the duration.
check lower BROKEN_NO_CEILING fail
check lower BROKEN_ACK_WITHOUT_DURATION fail
check lower BROKEN_SETTLE_BY_MAJORITY fail
check lower BROKEN_APPLIED_FORGOTTEN fail
check raise BROKEN_APPLIED_FORGOTTEN fail
check both BROKEN_NO_CEILING fail

# The model isn't empty: what must be possible is reached.
check base REACH_TAKEOVER fail
check base REACH_RETURN fail
check pair REACH_ROUND fail
check joint REACH_TAKEOVER fail
check joint REACH_RETURN fail
check joint REACH_OLD_LEASE fail
check both REACH_TAKEOVER fail

if [ $wide = yes ]; then
	memory=6000
	cpu=3600
	depth=1000000
	for family in wide longer pairs new long; do
		check $family - hold
	done
fi

if [ $surprises -ne 0 ]; then
	echo "model: $surprises of $count cases came out otherwise than they must" >&2
	exit 1
fi
echo "model: $count cases, all as they must be"
