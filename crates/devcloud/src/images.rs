//! Images: a directory with an `image.json` and the root directories of its layers, topmost first.

use std::path::{Component, Path};

use serde::Deserialize;

use crate::{Error, ImageConfig, Profile};

/// `image.json`. Members that are not named here belong to whoever made the image.
#[derive(Deserialize)]
struct ImageFile {
    name: String,
    #[serde(default)]
    description: String,
    architecture: String,
    layers: Vec<String>,
    /// Whether an instance's disk goes with it.
    #[serde(default = "yes")]
    delete_on_termination: bool,
}

fn yes() -> bool {
    true
}

impl ImageConfig {
    /// Reads the image in `directory`, following a symbolic link once, so that a later switch of the link changes
    /// nothing for machines that run.
    ///
    /// # Errors
    /// [`Error::Image`] with what is missing or wrong.
    pub fn read(directory: &Path) -> Result<Self, Error> {
        let wrong = |reason: String| Error::Image {
            path: directory.to_owned(),
            reason,
        };
        let resolved = fs_err::canonicalize(directory).map_err(|error| wrong(error.to_string()))?;
        let text = fs_err::read(resolved.join("image.json")).map_err(|error| wrong(error.to_string()))?;
        let file: ImageFile =
            serde_json::from_slice(&text).map_err(|error| wrong(format!("image.json: {error}")))?;
        if file.name.is_empty() || file.name.len() > 128 || file.name.chars().any(char::is_control) {
            return Err(wrong(
                "image.json: `name` must have 1 to 128 printable characters".to_owned(),
            ));
        }
        if file.layers.is_empty() {
            return Err(wrong("image.json: `layers` is empty".to_owned()));
        }
        let mut layers = Vec::new();
        for layer in file.layers {
            let plain = Path::new(&layer)
                .components()
                .all(|part| matches!(part, Component::Normal(_)));
            let path = resolved.join(&layer);
            if !plain || !path.is_dir() {
                return Err(wrong(format!(
                    "image.json: the layer `{layer}` is no directory below the image"
                )));
            }
            layers.push(path);
        }
        Ok(Self {
            id: Profile::AWS.image_id(&file.name),
            name: file.name,
            description: file.description,
            architecture: file.architecture,
            layers,
            keeps_volume: !file.delete_on_termination,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{ImageConfig, Profile};

    #[test]
    fn an_image_is_read_from_its_directory() {
        let directory = tempfile::tempdir().unwrap();
        fs_err::create_dir(directory.path().join("root")).unwrap();
        let file = directory.path().join("image.json");
        let text = r#"{"name":"small","architecture":"x86_64","layers":["root"],"recipe":"x"}"#;
        fs_err::write(&file, text).unwrap();
        let image = ImageConfig::read(directory.path()).unwrap();
        assert_eq!(image.id, Profile::AWS.image_id("small"));
        assert_eq!(
            image.layers,
            [directory.path().canonicalize().unwrap().join("root")]
        );

        assert!(!image.keeps_volume);
        let kept = text.replace(r#""recipe":"x""#, r#""delete_on_termination":false"#);
        fs_err::write(&file, kept).unwrap();
        assert!(ImageConfig::read(directory.path()).unwrap().keeps_volume);

        for bad in ["../root", "/root", "absent"] {
            let text = format!(r#"{{"name":"small","architecture":"x86_64","layers":["{bad}"]}}"#);
            fs_err::write(&file, text).unwrap();
            let error = ImageConfig::read(directory.path()).unwrap_err().to_string();
            assert!(error.contains(bad), "{error}");
        }
        fs_err::write(&file, "{\"name\":3}").unwrap();
        let error = ImageConfig::read(directory.path()).unwrap_err().to_string();
        assert!(error.contains("line 1 column"), "{error}");
    }
}
