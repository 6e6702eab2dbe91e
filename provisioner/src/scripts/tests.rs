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
fn what_a_killed_run_left_is_neither_in_the_way_nor_lost() {
    let lines = "echo old >\"${1%/*}/.part.$$.0\"; ln -s nowhere \"${1%/*}/.part.$$.1\"\nbegin_part \"$1\"\n\
                 stat -c %a -- \"$unfinished\"; umask; echo new >\"$unfinished\"; end_part \"$1\"; echo x >\"$1.next\"";
    for shell in SHELLS {
        let folder = TempDir::new().expect("a folder");
        let output = run(shell, lines, &folder.path().join("file"));
        assert_eq!(text(&output), "600\n0022\n", "{shell:?}");
        let mut found: Vec<_> = fs::read_dir(&folder)
            .expect("a folder")
            .map(|entry| entry.expect("one").path())
            .collect();
        found.sort();
        let [first, second, file, _] = found.as_slice() else {
            panic!("{shell:?}: {found:?}");
        };
        assert_eq!(fs::read_to_string(first).expect("a file"), "old\n");
        assert!(second.is_symlink() && !second.exists(), "{shell:?}");
        assert_eq!(fs::read_to_string(file).expect("a file"), "new\n");
    }
}

#[test]
fn a_folder_that_takes_no_file_ends_the_script_with_the_systems_words() {
    for shell in SHELLS {
        let output = run(shell, "begin_part \"$1\"; echo on", Path::new("/proc/none"));
        assert_eq!(output.status.code(), Some(64), "{shell:?}: {}", text(&output));
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
