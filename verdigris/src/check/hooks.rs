//! Whether the programs of hooks are there and may be executed, by whoever runs the check.

use std::{fs, io, path::Path};

use model::fleet::{Contradiction, FleetSpec, HookPoint};
use rustix::fs::{Access, access};

/// The programs that cannot be run.
pub(super) fn look(fleet: &FleetSpec) -> Vec<Contradiction> {
    let mut found = Vec::new();
    for point in HookPoint::ALL {
        for (index, hook) in fleet.hooks.at(point).iter().enumerate() {
            let Some(program) = hook.cmd.first() else { continue };
            if let Some(words) = wrong(Path::new(program)) {
                let path = ["hooks", point.as_str(), &index.to_string(), "cmd", "0"];
                found.push(Contradiction::new(&path, words));
            }
        }
    }
    found
}

/// Why a program cannot be run; `None` where it can.
fn wrong(program: &Path) -> Option<String> {
    let shown = program.display();
    match fs::metadata(program) {
        Ok(it) if !it.is_file() => Some(format!("{shown} is no file")),
        Ok(_) => access(program, Access::EXEC_OK)
            .is_err()
            .then(|| format!("{shown} may not be executed")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(format!("there is no program {shown}")),
        Err(error) => Some(format!("{shown}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_program_is_a_file_that_is_there_and_may_be_executed() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, mode: u32| {
            let path = directory.path().join(name);
            fs::write(&path, "#!/bin/sh\n").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path.display().to_string()
        };
        let (good, closed) = (file("good", 0o755), file("closed", 0o644));
        let folder = directory.path().display().to_string();
        for (program, words) in [
            (&good, None),
            (&closed, Some(format!("{closed} may not be executed"))),
            (&folder, Some(format!("{folder} is no file"))),
            (
                &"/nowhere/x".to_owned(),
                Some("there is no program /nowhere/x".to_owned()),
            ),
        ] {
            let fleet: FleetSpec = serde_json::from_value(serde_json::json!({
                "schema": 1, "fleet": "019ac1f0-0000-7000-8000-000000000000", "name": "test", "provision": {}, "pools": {},
                "hooks": {"after_ready": [{"cmd": ["/bin/sh"]}, {"cmd": [program, "-v"]}]},
            }))
            .unwrap();
            let found: Vec<String> = look(&fleet).iter().map(ToString::to_string).collect();
            let expected = words.map(|words| format!("hooks.after_ready[1].cmd[0]: {words}"));
            assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{program}");
        }
    }
}
