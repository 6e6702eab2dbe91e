//! Our metadata against that of createrepo_c 1.2.5, element by element, for packages chosen to be strange.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::Read as _,
    path::{Path, PathBuf},
};

use flate2::read::MultiGzDecoder;
use quick_xml::events::{BytesStart, Event};
use repository::{PackageMetadata, Publisher};

use crate::support::{NOW, build, format6, key, must, python_tool, repository, simple_spec, text};

/// The packages of one metadata file: id, then its elements in order as lines.
type Packages = BTreeMap<String, Vec<String>>;

fn open(path: &Path) -> String {
    let mut out = String::new();
    MultiGzDecoder::new(fs_err::File::open(path).unwrap())
        .read_to_string(&mut out)
        .unwrap();
    out
}

fn start(element: &BytesStart<'_>, depth: usize) -> String {
    let mut attributes: Vec<String> = element
        .attributes()
        .map(|attribute| {
            let attribute = attribute.unwrap();
            format!(
                "{:?}={:?}",
                attribute.key,
                quick_xml::escape::unescape(&attribute.value).unwrap()
            )
        })
        .collect();
    attributes.sort();
    let name = element.name().as_ref().to_owned();
    format!("{}{name} {}", " ".repeat(depth), attributes.join(" "))
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Parses a metadata file; what stands outside of packages is under the empty id.
fn packages(xml: &str) -> Packages {
    let mut reader = quick_xml::Reader::from_str(xml);
    reader.config_mut().expand_empty_elements = true;
    let (mut all, mut current, mut depth, mut value) = (Packages::new(), Vec::new(), 0, String::new());
    loop {
        match reader.read_event().unwrap() {
            Event::Start(element) => {
                depth += 1;
                value.clear();
                let line = start(&element, depth);
                if depth == 1 {
                    all.entry(String::new()).or_default().push(line);
                } else {
                    current.push(line);
                }
            }
            Event::Text(content) => value.push_str(&content),
            Event::GeneralRef(name) => write!(value, "&{};", &*name).unwrap(),
            Event::End(element) => {
                if !value.trim().is_empty() {
                    current.push(format!("{}={value:?}", " ".repeat(depth)));
                }
                value.clear();
                depth -= 1;
                if element.name().as_ref() == "package" {
                    let id = current
                        .iter()
                        .flat_map(|line| line.split('"'))
                        .find(|part| is_digest(part));
                    let id = id.map(str::to_owned);
                    let twice = all.insert(id.expect("a package has an id"), std::mem::take(&mut current));
                    assert!(twice.is_none(), "a package appears once");
                }
            }
            Event::Eof => return all,
            _ => {}
        }
    }
}

/// The file of a kind that `repomd.xml` names, checked against what `repomd.xml` says of it.
fn metadata(repodata: &Path, kind: &str) -> Packages {
    let repomd = fs_err::read_to_string(repodata.join("repomd.xml")).unwrap();
    let data = repomd
        .split("<data ")
        .find(|data| data.starts_with(&format!("type=\"{kind}\"")))
        .unwrap();
    let name = data
        .split("href=\"repodata/")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let path = repodata.join(name);
    let xml = open(&path);
    let field = |name: &str| {
        data.split(&format!("<{name}"))
            .nth(1)
            .unwrap()
            .split(['>', '<'])
            .nth(1)
            .unwrap()
            .to_owned()
    };
    let size = fs_err::metadata(&path).unwrap().len();
    assert_eq!(
        (field("size"), field("open-size")),
        (size.to_string(), xml.len().to_string()),
        "sizes of {kind}"
    );
    let sum = |file: &str| must("sha256sum", &[file]).split(' ').next().unwrap().to_owned();
    assert_eq!(field("checksum"), sum(text(&path)));
    assert!(name.starts_with(&field("checksum")));
    let opened = repodata.join("opened");
    fs_err::write(&opened, &xml).unwrap();
    assert_eq!(field("open-checksum"), sum(text(&opened)));
    fs_err::remove_file(opened).unwrap();
    packages(&xml)
}

const STRANGE: &str = r#"
Name: strange+name_x
Epoch: 3
Version: 1.0~rc1^git20260101
Release: 0.2+b1
Summary: Ünïcödé & <tags> "quotes" 'single' – 漢字
License: MIT AND (GPL-2.0-or-later)
URL: https://example.org/?a=1&b=2
Group: Applications/Odd
Packager: Ann <ann@example.org>
Vendor: Vend & Co
Provides: virtual = 2:1.5-3, other(x) < 4, plain
Provides: bundled(z) >= 1, bundled(x) = 1.2.3-rc.1
Requires: virtual = 2:1.5-3, virtual
Requires(meta): documentation
Requires: /usr/bin/strange
Requires: /usr/share/strange/data
Requires: libc.so.6(GLIBC_2.4)(64bit), libc.so.6()(64bit), libc.so.6(GLIBC_2.34)(64bit), libc.so.6(GLIBC_2.17)(64bit)
Requires: foo >= 1.0-1, foo < 2:3, foo
Requires: (bar >= 1 if baz else (qux and quux))
Requires(pre): shadow-utils
Requires(post): shadow-utils
Requires(preun): something
Requires(posttrans): otherthing >= 4
Conflicts: enemy < 5, foe
Obsoletes: old-name < 3:1.0, ancient
Recommends: nice-to-have >= 1, (rich or poor)
Suggests: idea
Supplements: (a and b)
Enhances: better = 1:2-3
BuildRequires: make, gcc >= 4

%package -n sub
Summary: Sub
BuildArch: noarch
%description -n sub
Sub.

%description
Many lines,
	a tab

an empty line & <xml> "text" ]]> done.

%install
mkdir -p %{buildroot}/usr/bin %{buildroot}/usr/share/strange/empty %{buildroot}/etc/strange.d %{buildroot}/usr/lib %{buildroot}/opt/x/sbin/deep %{buildroot}/var/log
echo x > %{buildroot}/usr/bin/strange
echo x > "%{buildroot}/usr/share/strange/with space & amp"
echo x > %{buildroot}/usr/share/strange/data
echo x > %{buildroot}/usr/share/strange/ünïcödé
ln -s data %{buildroot}/usr/share/strange/link
echo x > %{buildroot}/etc/strange.d/conf
echo x > %{buildroot}/usr/lib/sendmail
echo x > %{buildroot}/opt/x/sbin/deep/file
echo x > %{buildroot}/var/log/strange.log
for i in $(seq 1 1500); do echo $i > %{buildroot}/usr/share/strange/empty/f$i; done

%files
/usr/bin/strange
/usr/share/strange
%dir /etc/strange.d
%config(noreplace) /etc/strange.d/conf
%attr(755,root,root) /usr/lib/sendmail
/opt/x
%ghost /var/log/strange.log

%files -n sub
"#;

/// A source that is not in the source package, ghosts of all kinds, files of odd attributes and names, triggers, and relations of odd
/// qualifiers, order and likeness.
const ODD: &str = r#"
Name: odd
Epoch: 0
Version: 1~~^^1+_.x
Release: 0.a+b~c^d
Summary: tab	here   trailing
Summary(de): Seltsam
License: MIT
Source0: absent.tar
NoSource: 0
AutoReqProv: no
Requires: z, a, m >= 2, m >= 1, m, a >= 0:1, a >= 1, a >= 00:1, b = 1-, z
Requires(pre): dup
Requires: dup
Requires: dup >= 1
Requires(post): dup >= 1
Requires(interp): /bin/foo
Requires(verify): ver >= 1
Requires(pre,post): two
Requires(meta,post): three
Requires: two, (  spaced   or   out  ), ((a >= 1.0 with a < 2.0) or x), (x if (y or z) else w)
Requires: /etc/g.d, /etc/g.conf, /usr/bin/gl, /etc/g.d/, //usr/bin/y, own = 1:2.0, own >= 1
OrderWithRequires: later
Provides: own = 1:2.0-3, own = 1:2.0, /etc/p, uni(ü) = 3, z = 1, z = 2, z
Conflicts: z < 1, z < 1, (a unless b else c), (d with e >= 2)
Obsoletes: gone, gone
Supplements: (k unless l)
%description
   leading

trailing
%install
mkdir -p %{buildroot}/etc/g.d %{buildroot}/usr/bin %{buildroot}/var/g %{buildroot}/usr/share/bin/x
ln -s /absent %{buildroot}/usr/bin/gl
touch %{buildroot}/etc/g.conf %{buildroot}/var/g/f %{buildroot}/usr/share/bin/x/y %{buildroot}/usr/bin/suid
touch "%{buildroot}/usr/share/quo\"te <&>" "%{buildroot}/usr/share/[br] {c} \$d"
ln %{buildroot}/usr/bin/suid %{buildroot}/usr/bin/hard
%files
%ghost %dir /etc/g.d
%ghost %config(noreplace) /etc/g.conf
%ghost /usr/bin/gl
%ghost /var/g
%ghost %attr(0644,-,-) /run/absent
%attr(4755,root,mail) /usr/bin/suid
%lang(de) %verify(not md5 size) /usr/bin/hard
%dev(c,1,3) /dev/null2
/usr/share/*
%filetriggerin -- /usr/lib /usr/lib64
cat
%transfiletriggerun -P 10 -- /usr/share
cat
%triggerpostun -p /usr/bin/perl -- q < 2:3, r
print 1
%verifyscript -p <lua>
x=1
%post -p "/usr/bin/prog -x"
%changelog
* Mon Jan 05 2026 Same <s@x>
- one
* Mon Jan 05 2026 Same <s@x>
- one
* Mon Jan 05 2026 	Tab	Name
- text   %{nil}

  after an empty line
* Thu Jan 01 1998 x
"#;

fn strange() -> String {
    let mut spec = STRANGE.to_owned();
    spec.push_str("\n%changelog\n");
    // More than ten, and several of one day.
    for day in [
        "14", "13", "13", "13", "12", "11", "11", "10", "09", "08", "07", "06", "05",
    ] {
        let week = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"][(day.parse::<usize>().unwrap() + 2) % 7];
        // One entry has a time of day, which rpmbuild keeps.
        let time = if day == "12" { " 23:59:58 UTC" } else { "" };
        writeln!(
            spec,
            "* {week} Jan {day}{time} 2026 Ann Ü <ann@example.org> - 1.{day}\n- change & <{day}>\n- more\n"
        )
        .unwrap();
    }
    spec
}

/// Packages with all that metadata can hold, of formats 4 and 6.
fn packages_to_compare(directory: &Path) -> Vec<PathBuf> {
    let mut built = build(directory, "strange", strange());
    let sources = directory.join("build-odd/SOURCES");
    fs_err::create_dir_all(&sources).unwrap();
    fs_err::write(sources.join("absent.tar"), "").unwrap();
    built.extend(build(directory, "odd", ODD));
    built.extend(build(directory, "simple", simple_spec("simple", "1")));
    let mut latin = simple_spec("latin", "2").into_bytes();
    latin.splice(0..0, b"Packager: J\xf6rg <j@example.org>\n".iter().copied());
    built.extend(build(directory, "latin", latin));
    // Scriptlets of all kinds need the same shell in different ways.
    let kinds = ["%pretrans", "%pre", "%post", "%preun", "%postun", "%posttrans"];
    let scripts = kinds.map(|kind| format!("{kind}\necho x\n")).concat();
    let scripted = simple_spec("scripted", "1").replace("%files", &format!("{scripts}%files"));
    built.extend(build(directory, "scripted", scripted));
    for name in ["sub-1.0", "simple-1-1.noarch", "odd-1~~^^1+_.x-0.a+b~c^d.x86_64"] {
        let old = built
            .iter()
            .find(|path| text(path).contains(&format!("/{name}")))
            .unwrap();
        let new = directory.join(format!("{name}.format6.rpm"));
        format6(&["convert", text(old), text(&new)]);
        built.push(new);
    }
    let six = directory.join("six.rpm");
    format6(&["make", "six", text(&six)]);
    built.push(six);
    assert_eq!(built.len(), 15, "{built:?}");
    built
}

#[test]
fn our_metadata_equals_createrepo_c_for_strange_packages() {
    let temporary = tempfile::tempdir().unwrap();
    assert_same_metadata(temporary.path(), &packages_to_compare(temporary.path()));
}

/// Publishes packages, and has createrepo_c read what was published.
pub(crate) fn assert_same_metadata(temporary: &Path, built: &[PathBuf]) {
    let publisher = Publisher::new(temporary.join("results"));
    let (id, key) = (repository(), key());
    publisher.create_repository(&id, &key, NOW).unwrap();
    let directory = publisher.directory(&id);
    let metadata_of: Vec<PackageMetadata> = built
        .iter()
        .enumerate()
        .map(|(number, path)| {
            crate::support::add(&publisher, &id, i64::try_from(number).unwrap(), path, &key)
        })
        .collect();
    // Stored and read back, as the farm does between two publications.
    let stored = serde_json::to_string(&metadata_of).unwrap();
    let stored: Vec<PackageMetadata> = serde_json::from_str(&stored).unwrap();
    publisher.publish(&id, &stored, &key, 1, NOW).unwrap();

    let oracle = temporary.join("oracle");
    fs_err::create_dir_all(&oracle).unwrap();
    must(
        &python_tool("createrepo_c"),
        &[
            "-q",
            "--no-database",
            "--general-compress-type=gz",
            "-o",
            text(&oracle),
            text(&directory),
        ],
    );
    for kind in ["primary", "filelists", "other"] {
        let ours = metadata(&directory.join("repodata"), kind);
        let theirs = metadata(&oracle.join("repodata"), kind);
        assert_eq!(ours.len(), built.len() + 1, "the packages and the root of {kind}");
        assert_eq!(
            ours.keys().collect::<Vec<_>>(),
            theirs.keys().collect::<Vec<_>>(),
            "ids of {kind}"
        );
        for (id, lines) in &ours {
            assert_eq!(lines, &theirs[id], "package {id} of {kind}");
        }
    }
}

#[test]
fn the_highest_version_of_the_c_library_and_its_markers_are_required() {
    let temporary = tempfile::tempdir().unwrap();
    let spec = simple_spec("libc", "1").replace(
        "BuildArch",
        "AutoReqProv: no\nRequires: libc.so.6(GLIBC_2.4)(64bit), libc.so.6(GLIBC_2.34)(64bit), libc.so.6()(64bit)\n\
         Requires: libc.so.6(GLIBC_ABI_DT_X86_64_PLT)(64bit), libc.so.6(GLIBC_ABI_DT_RELR)(64bit), libc.so.6\nBuildArch",
    );
    let built = build(temporary.path(), "libc", spec);
    let path = built
        .iter()
        .find(|path| !crate::support::is_source(path))
        .unwrap();
    let package = repository::read_package(path).unwrap();
    let names: Vec<&str> = package.requires.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "libc.so.6(GLIBC_ABI_DT_RELR)(64bit)",
            "libc.so.6(GLIBC_ABI_DT_X86_64_PLT)(64bit)",
            "libc.so.6",
            "libc.so.6(GLIBC_2.34)(64bit)"
        ]
    );
}
