//! Commands: an argument vector and an environment, turned into the one string that SSH carries.
//!
//! sshd hands that string to the user's login shell. Here, and nowhere else, words become shell text, each in
//! single quotes; so no argument, whatever it holds, can be anything but an argument.

use std::collections::BTreeMap;

use crate::Error;

/// The longest command text. Linux takes 128 KiB in one argument (`MAX_ARG_STRLEN`), and the login shell gets it
/// as one; larger data belongs on standard input.
const MAX_TEXT: usize = 120 * 1024;

/// How many words of a script's command stand before its values: `sh -c TEXT sh`.
const SCRIPT_WORDS: usize = 4;

/// A program with its arguments and additional environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    label: String,
    wrapper: Vec<String>,
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
    script: Option<&'static str>,
    contained: bool,
}

impl Command {
    /// A command that runs `program`, found by the remote `PATH` if it has no slash.
    pub fn new(program: impl Into<String>) -> Self {
        let program = program.into();
        Self {
            label: program.clone(),
            wrapper: Vec::new(),
            arguments: vec![program],
            environment: BTreeMap::new(),
            script: None,
            contained: false,
        }
    }

    /// A POSIX `sh` script of ours with the values it works on as `$1`, `$2`...
    ///
    /// The text is `'static` on purpose: what varies is an argument, never part of a script.
    pub fn script<S: Into<String>>(
        label: impl Into<String>,
        text: &'static str,
        values: impl IntoIterator<Item = S>,
    ) -> Self {
        let mut command = Self::new("sh").arguments(["-c", text, "sh"]).arguments(values);
        command.label = label.into();
        command.script = Some(text);
        command
    }

    /// Says of a script that nothing which it starts outlives it, and that it is not about its own process: it may run in a
    /// shell that runs others after it ([`crate::OpenShell`]).
    #[must_use]
    pub fn contained(mut self) -> Self {
        self.contained = true;
        self
    }

    /// The script and its values, if it is contained and nothing is changed in its environment.
    pub(crate) fn as_contained(&self) -> Option<(&'static str, &[String])> {
        let script = self
            .script
            .filter(|_| self.contained && self.environment.is_empty())?;
        Some((script, self.arguments.get(SCRIPT_WORDS..)?))
    }

    /// What stands before the command.
    pub(crate) fn wrapper(&self) -> &[String] {
        &self.wrapper
    }

    /// Adds one argument.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Adds several arguments.
    #[must_use]
    pub fn arguments<S: Into<String>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of the command's environment, beside those of the login.
    #[must_use]
    pub fn environment(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// Puts a program before the command that runs it in its turn, such as `sudo -n --`; the environment is set inside.
    #[must_use]
    pub fn through<S: Into<String>>(mut self, wrapper: impl IntoIterator<Item = S>) -> Self {
        self.wrapper.extend(wrapper.into_iter().map(Into::into));
        self
    }

    /// Names the command for logs and errors, where its arguments, which may be secret, never appear.
    #[must_use]
    pub fn labelled(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// What logs and errors call the command: its label, else the program.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The text for the remote login shell: `exec 'program' 'argument'...`, through `env` if variables are set.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a NUL, a bad variable name, an empty program, or more than 120 KiB.
    pub fn to_shell_text(&self) -> Result<String, Error> {
        let invalid = |why: String| Error::Invalid {
            what: format!("the command {}", self.label),
            why,
        };
        let mut text = String::from("exec");
        for word in &self.wrapper {
            push_quoted(&mut text, word);
        }
        if !self.environment.is_empty() {
            text.push_str(" env");
        }
        for (name, value) in &self.environment {
            let head = name
                .bytes()
                .next()
                .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
            if !head
                || !name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            {
                return Err(invalid(format!(
                    "{name:?} is not the name of an environment variable"
                )));
            }
            push_quoted(&mut text, &format!("{name}={value}"));
        }
        // A leading dash would be an option of the shell's `exec`.
        if self
            .arguments
            .first()
            .is_none_or(|program| program.is_empty() || program.starts_with('-'))
        {
            return Err(invalid("it names no program".to_owned()));
        }
        for argument in &self.arguments {
            push_quoted(&mut text, argument);
        }
        if text.contains('\0') {
            return Err(invalid("an argument or variable holds a NUL byte".to_owned()));
        }
        if text.len() > MAX_TEXT {
            return Err(invalid(format!(
                "its {} bytes are more than the {MAX_TEXT} permitted",
                text.len()
            )));
        }
        Ok(text)
    }
}

/// Appends a space and the word in single quotes; a quote inside ends the quoting, is escaped, and begins it anew.
pub(crate) fn push_quoted(text: &mut String, word: &str) {
    text.push_str(" '");
    for part in word.split_inclusive('\'') {
        match part.strip_suffix('\'') {
            Some(before) => {
                text.push_str(before);
                text.push_str("'\\''");
            }
            None => text.push_str(part),
        }
    }
    text.push('\'');
}

#[cfg(test)]
mod tests;
