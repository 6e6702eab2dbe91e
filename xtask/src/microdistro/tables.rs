//! What is in the micro-distribution: the packages, the names that spec files know them by, and what Debian's
//! maintainer scripts would have made.

/// What every build root holds; the group package requires them. Debian's names.
pub(super) const BUILD_ROOT: &[&str] = &[
    "base-files",
    "bash",
    "binutils",
    "bzip2",
    "coreutils",
    "cpio",
    "dash",
    "debianutils",
    "debugedit",
    "diffutils",
    "file",
    "findutils",
    "gawk",
    "gcc",
    "grep",
    "gzip",
    "hostname",
    "libc-bin",
    "libc6-dev",
    "make",
    "ncurses-base",
    "passwd",
    "patch",
    "perl-base",
    "pkgconf",
    "rpm",
    "sed",
    "tar",
    "util-linux",
    "xz-utils",
    "zstd",
];

/// In the repository too, installed when a package asks for them.
pub(super) const ON_REQUEST: &[&str] = &["less", "m4", "procps", "zlib1g-dev"];

/// The names that spec files use for what Debian calls otherwise.
pub(super) const PROVIDES: &[(&str, &[&str])] = &[
    ("bash", &["/bin/bash"]),
    ("coreutils", &["/usr/bin/env"]),
    ("dash", &["/bin/sh"]),
    ("debianutils", &["which"]),
    ("gawk", &["awk", "/usr/bin/awk"]),
    ("gcc", &["cpp"]),
    // The link-time hash style that RPM notes on every dynamic program; the loader is here.
    ("libc6", &["glibc", "rtld(GNU_HASH)"]),
    ("libc6-dev", &["glibc-devel", "glibc-headers"]),
    ("libc-bin", &["glibc-common"]),
    ("passwd", &["shadow-utils"]),
    ("perl-base", &["perl", "perl-interpreter", "/usr/bin/perl"]),
    (
        "pkgconf",
        &["pkgconfig", "pkgconf-pkg-config", "/usr/bin/pkg-config"],
    ),
    ("procps", &["procps-ng"]),
    ("rpm", &["redhat-rpm-config", "rpm-build", "system-rpm-config"]),
    ("xz-utils", &["xz"]),
    ("zlib1g", &["zlib"]),
    ("zlib1g-dev", &["zlib-devel", "pkgconfig(zlib)"]),
];

/// The links that the alternatives system or a script would have made: package, link, target.
pub(super) const LINKS: &[(&str, &str, &str)] = &[
    ("debianutils", "/usr/bin/which", "which.debianutils"),
    ("gawk", "/usr/bin/awk", "gawk"),
    ("gcc", "/usr/bin/cc", "gcc"),
];

/// Directories whose content is left out: nobody reads a manual in a build root.
pub(super) const LEFT_OUT: &[&str] = &[
    "/usr/share/bug",
    "/usr/share/doc-base",
    "/usr/share/gcc/python",
    "/usr/share/info",
    "/usr/share/lintian",
    "/usr/share/locale",
    "/usr/share/man",
    "/usr/share/menu",
];

/// Of a package's documentation, the licence alone is kept.
pub(super) const DOCUMENTATION: &str = "/usr/share/doc";
pub(super) const LICENCE: &str = "copyright";

/// Files of Debian's that the filesystem package has its own text for.
pub(super) const REPLACED: &[&str] = &["/etc/os-release", "/usr/lib/os-release"];

/// The directories that the filesystem package owns.
pub(super) const DIRECTORIES: &[&str] = &[
    "/boot",
    "/dev",
    "/etc",
    "/etc/default",
    "/etc/ld.so.conf.d",
    "/etc/pam.d",
    "/etc/profile.d",
    "/etc/rpm",
    "/etc/skel",
    "/home",
    "/media",
    "/mnt",
    "/opt",
    "/proc",
    "/root",
    "/run",
    "/srv",
    "/sys",
    "/tmp",
    "/usr",
    "/usr/bin",
    "/usr/games",
    "/usr/include",
    "/usr/lib",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib64",
    "/usr/libexec",
    "/usr/local",
    "/usr/sbin",
    "/usr/share",
    "/usr/share/doc",
    "/usr/src",
    "/var",
    "/var/cache",
    "/var/lib",
    "/var/lib/rpm",
    "/var/log",
    "/var/mail",
    "/var/spool",
    "/var/tmp",
];

/// Top directories that are links into /usr.
pub(super) const FOLDED: &[&str] = &["bin", "lib", "lib64", "sbin"];

/// Modes other than 0755.
pub(super) const MODES: &[(&str, u32)] = &[("/root", 0o700), ("/tmp", 0o1777), ("/var/tmp", 0o1777)];

/// The filesystem package's own files.
pub(super) const FILES: &[(&str, &str)] = &[
    ("/etc/fstab", ""),
    ("/etc/group", GROUPS),
    ("/etc/hostname", "builder\n"),
    ("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
    ("/etc/ld.so.conf", "include /etc/ld.so.conf.d/*.conf\n"),
    (
        "/etc/nsswitch.conf",
        "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n",
    ),
    ("/etc/passwd", USERS),
    ("/etc/rpm/macros", MACROS),
    ("/etc/shells", "/bin/sh\n/bin/bash\n"),
    ("/usr/lib/os-release", RELEASE),
];

const USERS: &str = "\
root:x:0:0:root:/root:/bin/bash
bin:x:1:1:bin:/bin:/usr/sbin/nologin
daemon:x:2:2:daemon:/sbin:/usr/sbin/nologin
nobody:x:65534:65534:Nobody:/:/usr/sbin/nologin
";

const GROUPS: &str = "\
root:x:0:
bin:x:1:
daemon:x:2:
sys:x:3:
tty:x:5:
disk:x:6:
mail:x:12:
users:x:100:
nogroup:x:65534:
";

/// Debian's rpm has no database in /var, no `%dist`, no multi-arch library directory and no compiler flags: an RPM distribution's spec files expect them.
const MACROS: &str = "\
%_dbpath /var/lib/rpm
%_topdir %{getenv:HOME}/build
%_libdir /usr/lib/x86_64-linux-gnu
%_build_id_links none
%_source_date_epoch_from_changelog 0
%dist .md1
%microdistro 1
";

const RELEASE: &str = "\
NAME=\"Microdistro\"
ID=microdistro
VERSION_ID=1
PRETTY_NAME=\"Microdistro 1\"
CPE_NAME=\"cpe:/o:verdigris:microdistro:1\"
";

/// All of this page as one text, for the recipe's digest.
pub(super) fn all() -> String {
    let lists = [BUILD_ROOT, ON_REQUEST, LEFT_OUT, REPLACED, DIRECTORIES, FOLDED];
    format!("{lists:?} {PROVIDES:?} {LINKS:?} {MODES:?} {FILES:?}")
}
