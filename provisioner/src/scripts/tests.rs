//! What the scripts have in common, run by the shells that are `sh` where builders run: of Debian, and of Fedora.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

const PRELUDE: &str = include_str!("prelude.sh");
const SHELLS: [&[&str]; 2] = [&["dash"], &["bash", "--posix"]];

/// The prelude and these lines, with a path as `$1`.
fn run(shell: &[&str], lines: &str, path: &Path) -> Output {
    let (program, arguments) = shell.split_first().expect("a program");
    let mut command = Command::new(program);
    command.args(arguments).arg("-c").arg(format!("{PRELUDE}{lines}"));
    command.args(["sh", "0"]).arg(path).output().expect("a shell")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn what_takes_the_place_of_a_file_is_made_under_a_name_that_nobody_can_guess() {
    let lines = "begin_part \"$1\"; stat -c '%F %a' -- \"$unfinished\"; umask; printf '%s\\n' \"${unfinished##*/}\"; end_part \"$1\"";
    let mut names = std::collections::BTreeSet::new();
    for shell in SHELLS {
        let folder = TempDir::new().expect("a folder");
        for _ in 0..3 {
            let output = run(shell, lines, &folder.path().join("file"));
            let said = text(&output);
            let Some(name) = said.strip_prefix("regular empty file 600\n0022\n.part.") else {
                panic!("{shell:?}: {said}");
            };
            assert!(names.insert(name.to_owned()), "{name} once more");
        }
        assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 1, "{shell:?}");
    }
}

#[test]
fn a_folder_that_takes_no_file_ends_the_script_with_the_systems_words() {
    for shell in SHELLS {
        let output = run(shell, "begin_part \"$1\"; echo on", Path::new("/proc/none"));
        assert!(!output.status.success(), "{shell:?}: {}", text(&output));
        let said = text(&output);
        assert!(
            said.contains("/proc/.part.") && !said.contains("on\n"),
            "{shell:?}: {said}"
        );
    }
}

#[test]
fn a_file_that_takes_the_place_of_another_has_its_owner_group_and_mode() {
    for shell in SHELLS {
        let folder = TempDir::new().expect("a folder");
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "old").expect("a file");
        let given = rustix::process::geteuid().is_root();
        if given {
            std::os::unix::fs::chown(&file, Some(1), Some(2)).expect("another owner");
        }
        fs::set_permissions(&file, fs::Permissions::from_mode(0o4751)).expect("its mode");
        symlink(&file, &link).expect("a link");
        let lines = "begin_part \"$1\"; echo new >\"$unfinished\"; like \"$1\"; end_part \"$1\"";
        let output = run(shell, lines, &link);
        assert_eq!(text(&output), "", "{shell:?}");
        let (old, new) = (
            fs::metadata(&file).expect("a file"),
            fs::symlink_metadata(&link).expect("a file"),
        );
        assert_eq!(
            (new.uid(), new.gid(), new.mode()),
            (old.uid(), old.gid(), old.mode()),
            "{shell:?}"
        );
        assert_eq!(fs::read_to_string(&link).expect("a file"), "new\n");
        assert!(!given || new.uid() == 1);
    }
}
