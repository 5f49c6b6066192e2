#!/usr/bin/env bash
# Installs what the tests need beyond Go, git and make: on Debian, as root, by
# apt. Does nothing where all is there. Elsewhere it says what is missing.
set -euo pipefail

# A command the tests call, or a file they need, and the Debian package it comes from.
needed=(
	"gcc            gcc"
	"/usr/include/stdlib.h libc6-dev"
	"firefox-esr    firefox-esr"
	"chromium       chromium"
	"libnotify.so.4 libnotify4"
	"dbus-daemon    dbus-daemon"
	"redis-server   redis-server"
	"nginx          nginx"
	"node           nodejs"
	"npm            npm"
	# The pictures show Chinese, Thai and emoji.
	"/usr/share/fonts/truetype/wqy/wqy-microhei.ttc    fonts-wqy-microhei"
	"/usr/share/fonts/opentype/tlwg/Loma.otf           fonts-tlwg-loma-otf"
	"/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf fonts-noto-color-emoji"
)

have() {
	case $1 in
	/*) [ -e "$1" ] ;;
	*.so.*) /sbin/ldconfig -p 2>/dev/null | grep -qF "$1" ;;
	*) command -v "$1" >/dev/null ;;
	esac
}

missing() {
	local line what package
	for line in "${needed[@]}"; do
		read -r what package <<<"$line"
		have "$what" || echo "$package"
	done
}

versions() {
	local line what package
	for line in "${needed[@]}"; do
		read -r what package <<<"$line"
		case $what in
		/* | *.so.*) continue ;;
		nginx) echo "  $(nginx -v 2>&1)" ;;
		npm) echo "  npm $(npm --version 2>/dev/null)" ;;
		node) echo "  node $(node --version)" ;;
		*) echo "  $("$what" --version </dev/null 2>/dev/null | head -n 1)" ;;
		esac
	done
}

node_is_new_enough() {
	node -e 'process.exit(process.versions.node.split(".")[0] >= 18 ? 0 : 1)'
}

fail() {
	echo "$@" >&2
	exit 1
}

install() {
	export DEBIAN_FRONTEND=noninteractive
	local apt=(apt-get -q -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 ${sources[@]+"${sources[@]}"}) policy=/usr/sbin/policy-rc.d
	# The package lists may be missing, or from before the security updates.
	"${apt[@]}" update
	# No service is to start because a package came: the tests start their own.
	if [ ! -e $policy ]; then
		printf '#!/bin/sh\nexit 101\n' >$policy
		chmod 755 $policy
		trap 'rm -f '$policy EXIT
	fi
	"${apt[@]}" install -y --no-install-recommends "$@"
	# Nor at the next boot, if it was this script that brought the server.
	local server
	for server in redis-server valkey-server; do
		if [[ " $* " == *" $server "* ]] && command -v systemctl >/dev/null; then
			systemctl disable "$server" >/dev/null 2>&1 || true
		fi
	done
}

# Where apt reads from instead of where it is set up to; empty: as set up.
sources=()

# install_valkey takes Valkey from Debian or, where only they have it (12), from
# its backports, which are read for this one call.
install_valkey() {
	local codename uri dir
	apt-get -q -o DPkg::Lock::Timeout=300 update
	codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	uri=$(apt-get indextargets --format '$(REPO_URI) $(LABEL) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' |
		awk -v codename="$codename" '$2 == "Debian" && $3 == codename && $4 == "main" && !seen++ { print $1 }')
	[ -n "$uri" ] || return 0
	dir=$(mktemp -d)
	chmod 755 "$dir" # apt reads as a user of its own
	mkdir -p "$dir/lists/partial"
	printf "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri %s main\n" \
		"$codename" "$codename-backports" >"$dir/list"
	sources=(-o "Dir::Etc::sourcelist=$dir/list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$dir/lists"
		-o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o "APT::Default-Release=$codename-backports")
	install valkey-server
	sources=()
	rm -rf "$dir"
}

packages=($(missing))
if [ ${#packages[@]} -gt 0 ]; then
	if ! command -v apt-get >/dev/null; then
		echo "Only Debian's packages are known to this script, and this is $(uname -s)." >&2
		echo "Missing for the whole of the tests: ${packages[*]}" >&2
		echo "The browser tests also need Linux: D-Bus notifications and /proc." >&2
		fail "'make test-go' runs what needs Go alone."
	fi
	[ "$(id -u)" = 0 ] || fail "Missing: ${packages[*]}. Run as root: apt-get install --no-install-recommends ${packages[*]}"
	echo "Installing: ${packages[*]}"
	install "${packages[@]}"
	packages=($(missing))
	[ ${#packages[@]} -eq 0 ] || fail "Still missing after the installation: ${packages[*]}"
fi
if ! have valkey-server && command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
	echo "Installing: valkey-server"
	(install_valkey) || true
fi
[ "$(uname -s)" = Linux ] || fail "The browser tests need Linux (D-Bus notifications, /proc), and this is $(uname -s). 'make test-go' runs what needs Go alone."
node_is_new_enough || fail "node $(node --version) is too old: the type check needs 18 or newer."
echo "The tests use:"
versions
if have valkey-server; then
	echo "  $(valkey-server --version)"
else
	echo "  no Valkey: none could be installed, and the tests leave its run out"
fi
