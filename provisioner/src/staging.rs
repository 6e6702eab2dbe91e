//! `provision-files/`: what is pushed to builders, and its rendering.
//!
//! The folder becomes a staging directory, which playbooks copy from (`src: "{{ staged }}/..."`): plain files as they
//! are, `NAME.hbs` rendered by Handlebars to `NAME`, and `@LIST.EXT.hbs` rendered once for each element of the
//! variable `LIST`, to `ELEMENT.name.EXT`, with the element as `this`. So real Ansible, which knows no Handlebars,
//! can run the same playbook on the same staging directory.
//!
//! What is left out of the folder says the module `folder`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use handlebars::{
    Context, Handlebars, Helper, HelperResult, Output, RenderContext, RenderError, RenderErrorReason,
};
use serde_json::{Map, Value};

use crate::error::{Error, Mistake};
use crate::folder::{self, File, Links, mistake};

/// The files, read and compiled.
pub(crate) struct Staging {
    files: Vec<File>,
    templates: Handlebars<'static>,
}

/// A file to be written: its path, with slashes, and its content.
type Written<'a> = (String, Cow<'a, [u8]>);

impl Staging {
    /// Reads the whole folder and compiles its templates.
    pub(crate) fn load(folder: &Path) -> Result<Self, Error> {
        let files = folder::read(folder, Links::Refused)?;
        let mut templates = Handlebars::new();
        templates.set_strict_mode(true);
        templates.register_escape_fn(handlebars::no_escape);
        templates.register_helper("json", Box::new(helper_json));
        templates.register_helper("line", Box::new(helper_line));
        templates.register_helper("optional", Box::new(helper_optional));
        let mut mistakes = Vec::new();
        for file in files.iter().filter(|file| is_template(file)) {
            compile(&mut templates, file).unwrap_or_else(|mistake| mistakes.push(mistake));
        }
        if mistakes.is_empty() {
            Ok(Self { files, templates })
        } else {
            Err(Error::Mistakes(mistakes))
        }
    }

    /// Every file, for the digest of the configuration.
    pub(crate) fn files(&self) -> &[File] {
        &self.files
    }

    /// Writes everything below `target`, rendered with `variables`. No file takes the place of another one.
    pub(crate) fn write(&self, target: &Path, variables: &Map<String, Value>) -> Result<(), Error> {
        let mut made: BTreeMap<String, &str> = BTreeMap::new();
        for file in &self.files {
            for (path, content) in self.rendered(file, variables)? {
                write_file(target, &path, &content, file.executable)?;
                let message = format!("it becomes {path}, which");
                if let Some(other) = made.insert(path, &file.path) {
                    return Err(mistake(&file.path, format!("{message} {other} becomes too")));
                }
            }
        }
        Ok(())
    }

    /// What one file becomes: the names and the contents.
    fn rendered<'a>(
        &self,
        file: &'a File,
        variables: &Map<String, Value>,
    ) -> Result<Vec<Written<'a>>, Error> {
        if !is_template(file) {
            return Ok(vec![(file.path.clone(), Cow::Borrowed(&file.content))]);
        }
        let path = file.path.strip_suffix(".hbs").unwrap_or(&file.path);
        let (folder, name) = path
            .split_at_checked(path.rfind('/').map_or(0, |at| at + 1))
            .unwrap_or(("", path));
        let texts = match name.strip_prefix('@') {
            None => vec![(
                name.to_owned(),
                self.render(file, &Value::Object(variables.clone()))?,
            )],
            Some(name) => self.render_each(file, name, variables)?,
        };
        let texts = texts.into_iter();
        Ok(texts
            .map(|(name, text)| (format!("{folder}{name}"), Cow::Owned(text.into_bytes())))
            .collect())
    }

    /// Renders a template for each element of a list; gives the names of the files and their texts.
    fn render_each(
        &self,
        file: &File,
        name: &str,
        variables: &Map<String, Value>,
    ) -> Result<Vec<(String, String)>, Error> {
        let (list, extension) = name
            .split_at_checked(name.find('.').unwrap_or(name.len()))
            .unwrap_or((name, ""));
        let Some(Value::Array(elements)) = variables.get(list) else {
            return Err(mistake(
                &file.path,
                format!("the variable {list:?} is not a list"),
            ));
        };
        let mut texts = Vec::new();
        for element in elements {
            let name = element.get("name").and_then(Value::as_str).unwrap_or_default();
            if !is_file_name(name) {
                return Err(mistake(
                    &file.path,
                    format!("an element of {list} is called {name:?}: no file name"),
                ));
            }
            texts.push((format!("{name}{extension}"), self.render(file, element)?));
        }
        Ok(texts)
    }

    fn render(&self, file: &File, context: &Value) -> Result<String, Error> {
        self.templates.render(&file.path, context).map_err(|error| {
            let number =
                |value: Option<usize>| value.and_then(|value| u64::try_from(value).ok()).unwrap_or(0);
            Error::Mistakes(vec![Mistake {
                file: file.path.clone(),
                line: number(error.line_no),
                column: number(error.column_no),
                message: match error.reason() {
                    RenderErrorReason::MissingVariable(Some(name)) => {
                        format!("the variable {name:?} is missing")
                    }
                    reason => reason.to_string(),
                },
            }])
        })
    }
}

fn is_template(file: &File) -> bool {
    file.path.ends_with(".hbs")
}

fn compile(templates: &mut Handlebars<'static>, file: &File) -> Result<(), Mistake> {
    let wrong = |(line, column): (u64, u64), message: String| Mistake {
        file: file.path.clone(),
        line,
        column,
        message,
    };
    let text = std::str::from_utf8(&file.content)
        .map_err(|_| wrong((0, 0), "a template must be UTF-8 text".to_owned()))?;
    templates
        .register_template_string(&file.path, text)
        .map_err(|error| {
            let place = error.pos().unwrap_or((0, 0));
            let number = |value: usize| u64::try_from(value).unwrap_or(0);
            wrong((number(place.0), number(place.1)), error.reason().to_string())
        })
}

/// Names of elements become names of files: letters, digits and `._+-`, not beginning with a dot.
fn is_file_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
    !name.is_empty() && name.len() <= 128 && !name.starts_with('.') && name.bytes().all(allowed)
}

fn write_file(target: &Path, path: &str, content: &[u8], executable: bool) -> Result<(), Error> {
    let path: PathBuf = target.join(path);
    let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| {
        let mut file = fs::File::create(&path)?;
        file.write_all(content)?;
        file.set_permissions(fs::Permissions::from_mode(if executable { 0o755 } else { 0o644 }))
    });
    written.map_err(|cause| Error::File {
        path,
        why: "it cannot be written",
        cause,
    })
}

/// `{{json value}}`: any value as JSON on one line, which is also a literal of Python if it holds no booleans or null.
fn helper_json(
    helper: &Helper<'_>,
    _: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    output: &mut dyn Output,
) -> HelperResult {
    output.write(&present(helper, "json")?.to_string())?;
    Ok(())
}

/// `{{line text}}`: text for a file made of lines (an INI file inside a quoted Python text): one line, no
/// backslash, no quotes, or the rendering fails. Booleans come as 1 and 0.
fn helper_line(
    helper: &Helper<'_>,
    _: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    output: &mut dyn Output,
) -> HelperResult {
    output.write(&one_line(present(helper, "line")?)?)?;
    Ok(())
}

/// `{{optional object "key" "default"}}`: a member as `line` writes it, or the default if it is missing or null.
fn helper_optional(
    helper: &Helper<'_>,
    _: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    output: &mut dyn Output,
) -> HelperResult {
    let parameter = |index| {
        helper
            .param(index)
            .map(handlebars::PathAndJson::value)
            .ok_or(RenderErrorReason::ParamNotFoundForIndex("optional", index))
    };
    let key = parameter(1)?.as_str().unwrap_or_default();
    let value = parameter(0)?.get(key).filter(|value| !value.is_null());
    output.write(&one_line(value.unwrap_or(parameter(2)?))?)?;
    Ok(())
}

/// A helper's first parameter; strict mode does not look at those, so that a missing variable is found here.
fn present<'a>(helper: &'a Helper<'_>, name: &'static str) -> Result<&'a Value, RenderError> {
    let parameter = helper
        .param(0)
        .ok_or(RenderErrorReason::ParamNotFoundForIndex(name, 0))?;
    if parameter.is_value_missing() {
        let path = parameter.relative_path().cloned();
        return Err(RenderErrorReason::MissingVariable(path).into());
    }
    Ok(parameter.value())
}

fn one_line(value: &Value) -> Result<String, RenderError> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Bool(value) => u8::from(*value).to_string(),
        Value::Number(number) => number.to_string(),
        _ => return Err(RenderErrorReason::InvalidParamType("text or number").into()),
    };
    if text
        .chars()
        .any(|character| character.is_control() || matches!(character, '"' | '\\' | '\''))
    {
        let message = format!("{text:?} holds a quote, a backslash or a control character");
        return Err(RenderErrorReason::Other(message).into());
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
