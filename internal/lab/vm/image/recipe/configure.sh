#!/bin/sh
# Run by mmdebstrap when all packages are installed; $1 is the root.
set -eu

# A guest under systemd starts what its test asks for and nothing else: other
# units only make it boot later.
mkdir -p "$1/etc/systemd/system-preset"
echo 'disable *' >"$1/etc/systemd/system-preset/00-lab.preset"
chroot "$1" systemctl preset-all
rm -f "$1"/etc/rc?.d/*

# What each machine has of its own is not in the image that all share.
: >"$1/etc/machine-id"
rm -f "$1/var/lib/dbus/machine-id" "$1/var/lib/systemd/random-seed"
mkdir -p "$1/etc/iscsi"
echo 'GenerateName=yes' >"$1/etc/iscsi/initiatorname.iscsi"
rm -f "$1"/etc/ssh/ssh_host_*

# nginx serves where a test says, not on port 80.
rm -f "$1/etc/nginx/sites-enabled/default"
