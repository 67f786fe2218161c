#!/bin/sh
# Run when mmdebstrap has finished; $1 is the root.
set -eu

# The machine that built it: its name, resolver and sources of packages.
rm -rf "$1/etc/apt/sources.list" "$1"/etc/apt/sources.list.d/* "$1"/etc/apt/apt.conf.d/99mmdebstrap
echo lab >"$1/etc/hostname"
: >"$1/etc/resolv.conf"
printf '127.0.0.1 localhost\n::1 localhost\n' >"$1/etc/hosts"

# What the installation left, that is also what differs from run to run.
rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/* "$1"/var/cache/debconf/*-old \
	"$1"/var/cache/ldconfig/* "$1"/var/lib/dpkg/*-old "$1"/tmp/* "$1"/run/*
for dir in doc man info locale lintian bash-completion bug; do
	rm -rf "$1/usr/share/$dir"/*
done
find "$1/var/log" -type f -delete

# systemd need not rebuild its caches at every boot: /etc and /var are as old
# as /usr.
touch -r "$1/usr" "$1/etc/.updated" "$1/var/.updated"
