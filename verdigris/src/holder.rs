//! Under what names controllers hold the leases of their fleets. A lease is given at once to who has its name, so no two controllers
//! have one: in containers, host names and process ids may well be equal.

use std::{io::ErrorKind, path::Path};

use anyhow::Context as _;
use runtime::chance::new_id;

use crate::secrets::write_private;

/// The file in a farm's directory that tells its name from those of other farms.
const FILE: &str = "holder";
/// How many hexadecimal digits tell names apart.
const DIGITS: usize = 12;

/// The name of a process that holds the lease for as long as it lives.
pub(crate) fn of_process(host: &str) -> String {
    format!("{host}:{}:{}", std::process::id(), own_part())
}

/// The name of the farm that holds the lock of a directory. It is the same after a restart: the one that comes is the one before, and
/// need not wait until that one's lease is over.
///
/// # Errors
/// The file of the name cannot be read or made.
pub(crate) fn of_farm(host: &str, directory: &Path) -> anyhow::Result<String> {
    let path = directory.join(FILE);
    let written = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    let mut part = written.trim_end().to_owned();
    if part.len() != DIGITS || !part.chars().all(|digit| digit.is_ascii_hexdigit()) {
        part = own_part();
        write_private(&path, &format!("{part}\n"))?;
    }
    Ok(format!("{host}:up:{part}"))
}

/// What nobody else has.
fn own_part() -> String {
    // The end of an id is random; its beginning is the time.
    let id = new_id().simple().to_string();
    id.chars().skip(id.len().saturating_sub(DIGITS)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_with_one_host_name_and_one_id_have_names_of_their_own() {
        let (one, other) = (of_process("builder"), of_process("builder"));
        assert!(
            one.starts_with(&format!("builder:{}:", std::process::id())),
            "{one}"
        );
        assert_ne!(one, other);
    }

    #[test]
    fn a_farm_has_its_name_again_after_a_restart_and_that_of_another_directory_has_another() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let first = of_farm("box", one.path()).unwrap();
        assert!(first.starts_with("box:up:"), "{first}");
        assert_eq!(of_farm("box", one.path()).unwrap(), first);
        assert_ne!(of_farm("box", other.path()).unwrap(), first);
        // What is no name is replaced, and what cannot be read is told of.
        std::fs::write(one.path().join(FILE), "").unwrap();
        let second = of_farm("box", one.path()).unwrap();
        assert!(second != first && second.len() == first.len(), "{second}");
        std::fs::remove_file(one.path().join(FILE)).unwrap();
        std::fs::create_dir(one.path().join(FILE)).unwrap();
        let said = of_farm("box", one.path()).unwrap_err().to_string();
        assert!(
            said.starts_with("reading ") && said.ends_with("/holder"),
            "{said}"
        );
    }
}
