//! A repository as it is after its distribution has moved on: no build root that was made before is of it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

const DESCRIPTION: &str = "repodata/repomd.xml";
const REVISION: (&str, &str) = ("<revision>", "</revision>");

/// Makes it of another one, with the same packages; where it is.
pub(super) fn copy(repository: &Path, place: &Path) -> Result<PathBuf> {
    link_all(repository, place)?;
    let description = place.join(DESCRIPTION);
    let text = fs_err::read_to_string(&description)?;
    // The file itself is the other repository's too.
    fs_err::remove_file(&description)?;
    let newer = revised(&text).with_context(|| format!("{} has no revision", description.display()))?;
    fs_err::write(&description, newer)?;
    Ok(place.to_owned())
}

/// The same files under other names.
fn link_all(from: &Path, to: &Path) -> Result<()> {
    fs_err::create_dir_all(to)?;
    for entry in fs_err::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            link_all(&entry.path(), &target)?;
        } else {
            fs_err::hard_link(entry.path(), target)?;
        }
    }
    Ok(())
}

/// The text of a `repomd.xml` of another revision.
fn revised(text: &str) -> Option<String> {
    let (start, rest) = text.split_once(REVISION.0)?;
    let (revision, end) = rest.split_once(REVISION.1)?;
    Some(format!("{start}{}{revision}0{}{end}", REVISION.0, REVISION.1))
}

#[cfg(test)]
mod tests {
    use super::{DESCRIPTION, copy, revised};

    #[test]
    fn another_revision_is_another_text_and_nothing_else_changes() {
        let text = "<repomd><revision>17</revision><data type=\"primary\"/></repomd>";
        let newer = "<repomd><revision>170</revision><data type=\"primary\"/></repomd>";
        assert_eq!(revised(text).unwrap(), newer);
        for odd in ["<repomd/>", "<revision>17", ""] {
            assert_eq!(revised(odd), None, "{odd}");
        }
    }

    #[test]
    fn the_newer_repository_has_the_same_packages_and_leaves_the_other_as_it_is() {
        let place = tempfile::tempdir().unwrap();
        let (old, new) = (place.path().join("old"), place.path().join("new"));
        let text = "<revision>1</revision>";
        fs_err::create_dir_all(old.join("repodata")).unwrap();
        fs_err::write(old.join(DESCRIPTION), text).unwrap();
        fs_err::write(old.join("a.rpm"), "package").unwrap();
        assert_eq!(copy(&old, &new).unwrap(), new);
        assert_eq!(fs_err::read_to_string(old.join(DESCRIPTION)).unwrap(), text);
        assert_eq!(
            fs_err::read_to_string(new.join(DESCRIPTION)).unwrap(),
            "<revision>10</revision>"
        );
        assert_eq!(fs_err::read_to_string(new.join("a.rpm")).unwrap(), "package");
        fs_err::write(old.join(DESCRIPTION), "<repomd/>").unwrap();
        let error = copy(&old, &place.path().join("odd")).unwrap_err().to_string();
        assert!(error.ends_with("repodata/repomd.xml has no revision"), "{error}");
    }
}
